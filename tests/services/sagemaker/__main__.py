"""The service in a process of its own: `python -m tests.services.sagemaker FOLDER [PORT]`.

It writes its port to `FOLDER/port` and whatever it takes, ends or makes to `FOLDER/ledger.jsonl`, from which it goes on
when it is started again. `FOLDER/options.json` says how it behaves.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.services.process import serve
from tests.services.sagemaker.account import Account
from tests.services.sagemaker.protocol import Handler
from tests.services.sagemaker.shapes import Shapes


def main(folder: str, port: str = "0") -> None:
    Handler.shapes = Shapes()
    Handler.account = Account(Path(folder))
    serve(Path(folder), Handler, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
