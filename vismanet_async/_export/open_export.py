"""Opens a published export in DuckDB or polars: the files that its manifest names, each record in its latest version.

Records that a run has found to be gone are left out. A folder may also hold files of an export that is just being
published, and after incremental runs a record is in several files. Whoever reads all that is there can read such
records twice.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import msgspec

from vismanet_async._api.registry import method_facts
from vismanet_async._columns.arrow import BATCH_BYTES, ArrowReader, Batch
from vismanet_async._columns.schema import columns_of
from vismanet_async._export.key_index import keys_in
from vismanet_async._export.stored_rows import tombstone_keys
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async._export.target.manifest import Manifest
from vismanet_async._extras import extra
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import duckdb
    import polars as pl

    from vismanet_async._export.target.manifest import ResourceEntry

__all__ = ["open_duckdb", "open_polars"]

_Key: TypeAlias = "tuple[str | None, ...]"
"""The values that identify a record, as texts; a part that a record lacks is None."""

_ALL: Final = "SELECT * FROM read_parquet({files})"
_LATEST: Final = """
    SELECT * EXCLUDE (filename, file_row_number)
    FROM read_parquet({files}, filename = true, file_row_number = true)
    QUALIFY row_number() OVER (
        PARTITION BY {keys} ORDER BY list_position({files}, filename) DESC, file_row_number DESC
    ) = 1
"""


def open_duckdb(path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB database in memory with a view of each list of a published export. Sends nothing.

    A view has each record once, in its latest version. Parquet files are read when they are asked; JSON lines are read
    now, with the columns and types that Parquet has. Close the connection when you are done. Blocks. Needs the extra
    `duckdb`.

    Args:
        path: the directory of the export.

    Raises:
        RequestRefused: DuckDB is not installed, the export is of CSV files, which have no types, or in a store.
        ExportError: nothing is published there, or a file is not as the manifest states.

    Examples:
        >>> _ = await visma.export("customer", to="opened", format="parquet")
        >>> with open_duckdb("opened") as db:
        ...     db.sql("SELECT count(*), typeof(sum(creditLimit)) FROM customer").fetchall()
        [(40, 'DECIMAL(38,4)')]
    """
    module = extra("duckdb", "duckdb")
    lists = [*_published(path)]
    database: duckdb.DuckDBPyConnection = module.connect()
    try:
        for each in lists:
            if each.format == "parquet":
                if each.gone:
                    database.execute(each.gone_table())
                database.execute(f"CREATE VIEW {_named(each.name)} AS {each.query()}")
            else:
                database.register(each.name, each.table())
    except BaseException:
        database.close()
        raise
    return database


def open_polars(path: str | os.PathLike[str]) -> dict[str, pl.LazyFrame]:
    """Return a lazy polars frame of each list of a published export, by name. Sends nothing.

    A frame has each record once, in its latest version. Parquet files are read when the frame is collected; JSON lines
    are read now, with the columns and types that Parquet has. Blocks. Needs the extra `polars`.

    Args:
        path: the directory of the export.

    Raises:
        RequestRefused: polars is not installed, the export is of CSV files, which have no types, or in a store.
        ExportError: nothing is published there, or a file is not as the manifest states.

    Examples:
        >>> _ = await visma.export("customer", to="opened", format="parquet")
        >>> customers = open_polars("opened")["customer"]
        >>> customers.collect().height
        40
    """
    module = extra("polars", "polars")
    frames: dict[str, pl.LazyFrame] = {}
    for each in _published(path):
        if each.format == "parquet":
            frame = module.scan_parquet(each.files, glob=False)
            frame = frame.unique([*each.keys], keep="last", maintain_order=True) if each.keys else frame
            if each.gone:
                texts = [module.col(key).cast(module.String) for key in each.keys]
                gone = module.LazyFrame([*each.gone], schema=dict.fromkeys(each.keys, module.String), orient="row")
                frame = frame.join(gone, left_on=texts, right_on=[*each.keys], how="anti", nulls_equal=True)
            frames[each.name] = frame
        else:
            frames[each.name] = module.from_arrow(each.table()).lazy()
    return frames


@attrs.frozen(kw_only=True)
class _PublishedList:
    """One list of a published export."""

    name: str
    format: str
    files: list[str]
    """Their paths, oldest first."""
    keys: tuple[str, ...]
    """The columns that identify a record; empty where each record is in one version only."""
    gone: frozenset[_Key] = frozenset()
    """The keys of records that were there and are not any more."""

    @property
    def _gone_name(self) -> str:
        return _named(f"{self.name}.gone")

    def gone_table(self) -> str:
        """Return the statement that makes the table of the records that are gone."""
        rows = ", ".join(f"({', '.join(map(_literal, key))})" for key in self.gone)
        columns = ", ".join(f"{_named(key)} VARCHAR" for key in self.keys)
        return f"CREATE TEMP TABLE {self._gone_name} ({columns}); INSERT INTO {self._gone_name} VALUES {rows}"  # noqa: S608 - quoted

    def query(self) -> str:
        """Return the query of Parquet files."""
        files = f"[{', '.join(map(_quoted, self.files))}]"
        if not self.keys:
            return _ALL.format(files=files)
        latest = _LATEST.format(files=files, keys=", ".join(map(_named, self.keys)))
        if not self.gone:
            return latest
        same = " AND ".join(
            f"CAST(latest.{_named(key)} AS VARCHAR) IS NOT DISTINCT FROM gone.{_named(key)}" for key in self.keys
        )
        return f"SELECT latest.* FROM ({latest}) latest ANTI JOIN {self._gone_name} gone ON {same}"  # noqa: S608 - quoted

    def table(self) -> Any:
        """Return the rows of JSON lines as an Arrow table."""
        pyarrow = extra("pyarrow", "arrow")
        operation = method_facts(self.name, "list")["id"]
        reader = ArrowReader(columns_of(operation), operation_id=operation)
        tables = [table for batch in self._batches() for table in reader.joined([reader.structs(batch)])]
        table = pyarrow.concat_tables(tables) if tables else reader.schema.empty_table()
        if not self.keys:
            return table
        rows = zip(*(table[key].to_pylist() for key in self.keys), strict=True)
        latest = {key: number for number, key in enumerate(rows) if _key(key) not in self.gone}
        return table.take(sorted(latest.values()))

    def _batches(self) -> Iterator[Batch]:
        batch = Batch(0)
        for file in self.files:
            with _reading(Path(file), self.format) as lines:
                for line in lines:
                    batch.add(line, [len(line) - 1])
                    if len(batch.lines) >= BATCH_BYTES:
                        yield batch
                        batch = Batch(batch.first_row + batch.rows)
        if batch.rows:
            yield batch


def _published(path: str | os.PathLike[str]) -> Iterator[_PublishedList]:
    location = parse_location(path)
    if isinstance(location, RemotePath):
        raise RequestRefused(
            f"{path} is in a store, where DuckDB and polars sign in by themselves: pass them the files that "
            "Manifest.read(...).files(name) names. Nothing was opened."
        )
    manifest = Manifest.read(location)
    for name, entry in manifest.resources.items():
        if entry.format == "csv":
            raise RequestRefused(
                f"{name} is exported as csv, which has no types: a reader would guess them. Export it as parquet, or "
                "read it as text. Nothing was opened."
            )
        for part in entry.parts:
            file = location / part.file
            size = file.stat().st_size if file.is_file() else None
            if size != part.bytes:
                found = "is missing" if size is None else f"has {size} bytes"
                raise ExportError(f"{file} {found}, which its manifest does not say. Export the list again.")
        gone = _gone(location, entry)
        several = bool(gone) or sum(1 for run in entry.runs if run.rows) > 1
        yield _PublishedList(
            name=name,
            format=entry.format,
            files=[str(location / part.file) for part in entry.parts],
            keys=_keys(name) if several else (),
            gone=gone,
        )


def _gone(location: Path, entry: ResourceEntry) -> frozenset[_Key]:
    """Return the keys that a run found gone, and that are not there again."""
    gone = {key for part in entry.tombstones for keys in tombstone_keys(location, part) for key in keys}
    if gone and entry.keys is not None:
        gone.difference_update(keys_in(location, entry.keys.file))
    return frozenset(_key(msgspec.json.decode(key)) for key in gone)


def _keys(name: str) -> tuple[str, ...]:
    """Return the columns that identify a record of a list with several versions."""
    facts = method_facts(name, "list")
    keys = tuple(facts.get("identity", ()))
    if not keys or not {*keys} <= {column.name for column in columns_of(facts["id"])}:
        raise RequestRefused(
            f"{name} was exported incrementally, and its records have no key by which the latest version of each can "
            "be told. Nothing was opened. Export it whole, or read the files that manifest.files(...) names."
        )
    return keys


def _key(values: Iterable[Any]) -> _Key:
    return tuple(None if value is None else str(value) for value in values)


def _literal(value: str | None) -> str:
    return "NULL" if value is None else _quoted(value)


def _named(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _reading(path: Path, format: str) -> Any:  # noqa: A002 - what it is called everywhere
    if format == "jsonl.gz":
        return gzip.open(path, "rb")
    if format == "jsonl.zst":
        return io.BufferedReader(extra("zstandard", "zstd").open(path, "rb"))
    return path.open("rb")
