"""Read a Parquet file of anybody: only the columns that are asked for, and none that unfolds to gigabytes."""

import errno
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from glosstune.spaces.files.bounded import open_regular

MOST_ROWS = 5_000_000
LONGEST_CELL = 131_072  # as the csv module has it
MOST_TEXT = 512_000_000
_BATCH = 1000


class ParquetTable:
    """The rows of a file; a few kilobytes can stand for a billion of them, or for a text a million times.

    Raises:
        OSError: it cannot be read, is no regular file, or has more rows or text than any table of recordings; pyarrow
            raises others, without ``strerror``, where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet  # takes long, and checking a sweep file needs none of it

        self._file = open_regular(path)
        try:
            schema = parquet.ParquetFile(self._file).schema
            texts = [column.path for column in map(schema.column, range(len(schema)))]
            # Equal texts as one, so that a cell is known before it is there a million times.
            self._table = parquet.ParquetFile(self._file, read_dictionary=texts)
            self.names: list[str] = list(self._table.schema_arrow.names)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self, columns: Collection[str]) -> Iterator[dict[str, Any]]:
        """The cells of some columns, row by row."""
        many = self._table.metadata.num_rows
        if many > MOST_ROWS:
            raise OSError(errno.EFBIG, f"must have at most {MOST_ROWS:,} rows; got {many:,}")
        wanted = [name for name in self.names if name in columns]
        letters = 0
        for batch in self._table.iter_batches(batch_size=_BATCH, columns=wanted):
            for column in batch.columns:
                letters += _letters(column)
            if letters > MOST_TEXT:
                raise OSError(errno.EFBIG, f"must unfold to at most {MOST_TEXT / 1e6:,.0f} MB of text")
            yield from batch.to_pylist()


def _letters(column: Any) -> int:
    """Bytes of text in a column once each cell stands for itself; OSError where one is too long."""
    from pyarrow import compute, types

    if types.is_struct(column.type):
        return sum(map(_letters, column.flatten()))
    if types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        return _letters(column.flatten())
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not any(
        check(kind) for check in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    ):
        return 8 * len(column)
    sizes = compute.binary_length(column.dictionary if types.is_dictionary(column.type) else column)
    longest = compute.max(sizes).as_py() or 0
    if longest > LONGEST_CELL:
        raise OSError(errno.EFBIG, f"must have no cell longer than {LONGEST_CELL:,} bytes; got {longest:,}")
    if types.is_dictionary(column.type):
        sizes = compute.take(sizes, column.indices)
    return int(compute.sum(sizes).as_py() or 0)
