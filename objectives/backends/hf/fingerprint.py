"""What a base model is by content, so that a study notices when it is no longer the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUFFIXES = frozenset({".bin", ".jinja", ".json", ".model", ".py", ".safetensors", ".tiktoken", ".txt"})
"""Files of a model's folder that decide what it does."""

BLOCK_BYTES = 65_536
BLOCKS = 64


def model_files(folder: Path) -> tuple[Path, ...]:
    """The files in a model's folder that decide what it does, sorted."""
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES))


def folder_digest(folder: Path) -> str:
    """Digest of a model's folder: names, sizes and content of its files.

    Of a file larger than 4 MiB, 64 blocks of 64 KiB that lie evenly in it are read, so that a folder of many
    gigabytes takes no longer than a small one. Another model shows in any of them; a change of a few layers alone,
    under the same file name and size, could be missed.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in model_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name}/{size}/".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(BLOCK_BYTES, -(-size // BLOCKS))):
                file.seek(start)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()
