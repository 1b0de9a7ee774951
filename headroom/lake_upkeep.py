"""Upkeep of the lake: the many small files of a day become one, and what nobody reads any more is deleted.

Every commit leaves a file and an entry in the table's log, and a table that is written every five minutes makes a hundred thousand of each in a
year. A day is rewritten as any other write is, on the condition that nobody wrote since it was read, so that upkeep runs beside writers and beside
itself: the slower one tries again and loses nothing. deltalake's own `optimize.compact` is not used, because two of them at the same time double
every row (1.6.6: it checks its commit against added rows only, and takes over no limit of retries).

Rows, their versions and `available_at` stay as they are, so reads as of a moment and digests do too. What ends is Delta's own time travel, which
nothing here uses: a past version of a table can be read for a week.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from headroom.lake import Lake
from headroom.schemas import TABLES

__all__ = ["TableUpkeep", "tend_lake"]

_LOG = logging.getLogger(__name__)
# A file that is replaced or was never committed stays so long for whoever still reads or writes it; no task lasts as long.
_KEPT_HOURS: Final = 7 * 24
_FILE_BYTES: Final = 128 * 2**20
_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class TableUpkeep:
    """What was done for one table.

    Attributes:
        days: days whose files were put together.
        left: days that others kept writing to; the next upkeep takes them.
        files, bytes: of the table as it is read, before and after, writes of others in the meantime included.
        deleted: files deleted from the storage, replaced or never committed more than a week ago.
    """

    table: str
    days: int
    left: tuple[str, ...]
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    deleted: int

    def __str__(self) -> str:
        size = f"{self.bytes_before / 2**20:.1f} to {self.bytes_after / 2**20:.1f} MiB"
        later = f"; left for the next time: {', '.join(self.left)}" if self.left else ""
        return f"{self.table}: {self.days} days compacted, {self.files_before} to {self.files_after} files, {size}, {self.deleted} deleted{later}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def tend_lake(lake: Lake) -> Iterator[TableUpkeep]:
    """Compact, vacuum and checkpoint every table that exists, one after the other.

    Safe beside readers, writers and itself; killed anywhere it has lost nothing, and the next one goes on. A second one at once changes nothing.
    """
    for name in TABLES:
        if (table := lake.open_table(name)) is not None:
            done = _tend_table(lake, name, table)
            _LOG.info("%s", done)
            yield done


def _tend_table(lake: Lake, name: str, table: DeltaTable) -> TableUpkeep:
    before, version = _files(table), table.version()
    days = _scattered(before)
    left = tuple(day for day in days if not _compact(lake, name, day))
    table.update_incremental()
    deleted = table.vacuum(retention_hours=_KEPT_HOURS, dry_run=False, full=True)
    table.update_incremental()
    if table.version() > version:
        table.create_checkpoint()
        table.cleanup_metadata()
    after = _files(table)
    return TableUpkeep(
        table=name,
        days=len(days) - len(left),
        left=left,
        files_before=len(before),
        files_after=len(after),
        bytes_before=int(before["bytes"].sum()),
        bytes_after=int(after["bytes"].sum()),
        deleted=len(deleted),
    )


def _files(table: DeltaTable) -> pd.DataFrame:
    """`day, bytes` of every file that a reader opens."""
    added = pa.table(table.get_add_actions(flatten=True)).select(["partition.day", "size_bytes"])
    frame: pd.DataFrame = added.rename_columns(["day", "bytes"]).to_pandas()
    return frame


def _scattered(files: pd.DataFrame) -> list[str]:
    """Days that have more files than their size asks for."""
    days = files.groupby("day")["bytes"].agg(["size", "sum"])
    return [str(day) for day in days.index[days["size"] > 1 + days["sum"] // _FILE_BYTES]]


def _compact(lake: Lake, name: str, day: str) -> bool:
    """Rewrite a day's rows as they are; False when others wrote to the table each time."""
    for attempt in range(_ATTEMPTS):
        table = lake.open_table(name)
        if table is None:
            return False
        rows = table.to_pyarrow_dataset(file_pruning_predicate=[("day", "=", day)]).scanner(use_threads=False).to_reader()
        try:
            write_deltalake(
                table,
                rows,
                mode="overwrite",
                predicate=f"day = '{day}'",
                target_file_size=_FILE_BYTES,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            time.sleep(0.1 * 2**attempt)
        else:
            return True
    return False
