"""Streams of bytes out of files, compressed or not; told apart by how they begin and not by their names."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from enum import Enum
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from objectives.errors import DataError

BLOCK_BYTES = 2**20
"""Bytes that are read at once."""

FRAME_HEADER_BYTES = 18
"""The longest header of a zstd frame, magic included."""


class Container(Enum):
    """What a file's content is packed in; the value is how such a file begins."""

    GZIP = b"\x1f\x8b"
    ZSTD = b"\x28\xb5\x2f\xfd"
    PARQUET = b"PAR1"
    PLAIN = b""


class Torn(Exception):
    """A compressed stream that is damaged or ends too early. The message says what was found."""


def container_of(file: BufferedReader) -> Container:
    """What the file is packed in; its position stays where it is, at the beginning."""
    head = file.peek(4)
    return next(container for container in Container if head.startswith(container.value))


def is_plain(path: Path) -> bool:
    """Whether the file's bytes are its lines, so that offsets of lines are offsets in the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return container_of(file) is Container.PLAIN
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system does not let us read."""
    return DataError(f"{path}: cannot be read ({error.strerror or error}); expected a file of rows")


def blocks(file: BufferedReader, container: Container) -> Iterator[bytes]:
    """The unpacked bytes, at most 1 MiB at once.

    Raises:
        Torn: the compressed stream is damaged or ends too early.
    """
    if container is Container.GZIP:
        return _gzip_blocks(file)
    if container is Container.ZSTD:
        return _zstd_blocks(file)
    return _read(cast(BinaryIO, file))


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _gzip_blocks(file: BufferedReader) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield from _read(cast(BinaryIO, unpacked))
    except EOFError:
        raise Torn("a gzip file that ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Torn(f"a damaged gzip file ({error})") from None


def _zstd_blocks(file: BufferedReader) -> Iterator[bytes]:
    try:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False) as unpacked:
            yield from _read(cast(BinaryIO, unpacked))
        whole = _zstd_is_whole(file)
    except zstandard.ZstdError as error:
        raise Torn(f"a damaged zstd file ({error})") from None
    # The reader takes the end of the file for the end of the stream, so a torn file looks like a shorter one.
    if not whole:
        raise Torn("a zstd file that ends too early")


def _zstd_is_whole(file: BufferedReader) -> bool:
    """Whether the last frame ends where the file does, by the sizes of its blocks (RFC 8878, section 3.1)."""
    size = file.seek(0, 2)
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(FRAME_HEADER_BYTES)
        if len(head) < 8:
            return False
        if head[1:4] == b"\x2a\x4d\x18":  # A frame to skip.
            position += 8 + int.from_bytes(head[4:8], "little")
            continue
        position += zstandard.frame_header_size(head)
        last = False
        while not last:
            file.seek(position)
            block = file.read(3)
            if len(block) < 3:
                return False
            field = int.from_bytes(block, "little")
            last, kind, length = bool(field & 1), field >> 1 & 3, field >> 3
            position += 3 + (1 if kind == 1 else length)  # A block of one repeated byte holds this byte only.
        position += 4 * zstandard.get_frame_parameters(head).has_checksum
    return position == size
