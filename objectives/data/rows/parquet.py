"""Records of a Parquet file as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

import orjson

from objectives.data.rows.streams import Torn
from objectives.errors import DataError

BATCH_RECORDS = 1024
"""Records that are decoded at once."""


def records(file: BufferedReader) -> Iterator[bytes]:
    """Each record as one line of compact JSON, without the columns that are null in it.

    Values that JSON lacks, such as bytes, are spelled as Python does; no format of rows reads them.

    Raises:
        Torn: the file is damaged or ends too early.
        DataError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{file.name}: found a Parquet file, which takes pyarrow to read; pip install 'ratio-search[parquet]'"
        ) from error
    try:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=BATCH_RECORDS):
            for record in batch.to_pylist():
                filled = {key: value for key, value in record.items() if value is not None}
                yield orjson.dumps(filled, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, TypeError) as error:
        raise Torn(f"a damaged Parquet file, or one that ends too early ({' '.join(str(error).split())})") from error
