"""Prints the README's commands as they stand there, but for those that make does (`make quickstart`, `make test`)."""

import re
from pathlib import Path

text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
first, *others = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make quickstart", "make test"], first
print("".join(others), end="")
