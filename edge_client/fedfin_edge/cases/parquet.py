"""Parquet files as rows of cells as a CSV file would hold them; the first row is number 2, as below a header."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedfin.errors import InputError
from fedfin_edge.cases.plain import plain_cell
from fedfin_edge.cases.rows import READING, Progress, Rows, read_header

if TYPE_CHECKING:
    from pyarrow import RecordBatch

# pandas' own numbering of rows, which in a CSV file is a column without a name.
_INDEX = re.compile(r"__index_level_\d+__")
BATCH = 10_000
MAX_ROWS = 1 << 22
MAX_UNPACKED = 1 << 30


def read_parquet(path: Path, progress: Progress) -> Rows:
    """Columns of lists stay lists. Raises InputError for a damaged file, and as `read_header`.

    Raises ModuleNotFoundError without pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            _check_size(path, file.metadata)
            columns = read_header(path, ["" if _INDEX.fullmatch(n) else n for n in file.schema_arrow.names])
            rows = Rows([name for name in columns if name])
            for batch in file.iter_batches(BATCH):
                for row, cells in enumerate(_cells(batch), start=len(rows.rows) + 2):
                    rows.take(row, columns, cells)
                progress(READING, len(rows.rows), total)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: cannot be read as a Parquet file ({type(error).__name__}); write it anew"
        ) from None
    return rows


def _check_size(path: Path, metadata: Any) -> None:
    """Refuse a file by what it says it grows to."""
    groups = range(metadata.num_row_groups)
    grown = sum(metadata.row_group(group).total_byte_size for group in groups)
    if metadata.num_rows > MAX_ROWS or grown > MAX_UNPACKED:
        raise InputError(
            f"{path}: holds {metadata.num_rows:,} rows of {grown >> 20:,} MiB; at most {MAX_ROWS:,} rows and"
            f" {MAX_UNPACKED >> 20} MiB are read: split it"
        )


def _cells(batch: "RecordBatch") -> Iterator[list[Any]]:
    columns = [[plain_cell(value) for value in _values(column)] for column in batch.columns]
    return map(list, zip(*columns, strict=True))


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    # Python's datetime ends at microseconds; pandas writes nanoseconds.
    wanted = pa.timestamp("us") if pa.types.is_timestamp(column.type) else column.type
    return list(column.cast(wanted, safe=False).to_pylist())
