"""Opens a published export in DuckDB or polars: the files that its manifest names, each record in its latest version.

Records that a run has found to be gone are left out. A folder may also hold files of an export that is just being
published, and after incremental runs a record is in several files. Whoever reads all that is there can read such
records twice.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._api.registry import method_facts
from vismanet_async._columns.arrow import BATCH_BYTES, ArrowReader, Batch
from vismanet_async._columns.schema import columns_of
from vismanet_async._export.key_index import KeysOfRows, is_no_key, keys_in
from vismanet_async._export.stored_rows import row_reader, tombstone_keys
from vismanet_async._export.target.locations import PATTERN, RemotePath, parse_location
from vismanet_async._export.target.manifest import Manifest
from vismanet_async._extras import extra
from vismanet_async._paging.page_formats import PageFormatError
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import duckdb
    import polars as pl

    from vismanet_async._export.target.manifest import ResourceEntry

__all__ = ["open_duckdb", "open_polars"]

# a folder named `status=all` says nothing of what a column holds
_FILES: Final = "read_parquet({paths}, hive_partitioning = false, filename = true, file_row_number = true)"
_LATEST: Final = f"""
    SELECT * EXCLUDE (filename, file_row_number)
    FROM {_FILES}
    QUALIFY row_number() OVER (
        PARTITION BY {{keys}} ORDER BY list_position({{files}}, filename) DESC, file_row_number DESC
    ) = 1
"""  # noqa: S608 - a template
_CHOSEN: Final = f"""
    SELECT * EXCLUDE (filename, file_row_number)
    FROM {_FILES} every
    SEMI JOIN {{beside}} chosen ON list_position({{files}}, filename) = chosen.file AND file_row_number = chosen.row
"""  # noqa: S608 - a template
_ALL: Final = "SELECT * FROM read_parquet({paths}, hive_partitioning = false)"
_NO_KEY: Final = (
    "SELECT 1 FROM read_parquet({paths}, hive_partitioning = false) WHERE {lacks} GROUP BY {keys} HAVING count(*) > 1 "
    "LIMIT 1"
)
_ROW: Final = "vismanet_async.row"
"""A column that no list has."""


def open_duckdb(path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB database in memory with a view of each list of a published export. Sends nothing.

    A view has each record once, in its latest version. Parquet files are read when they are asked (where a column
    cannot hold their keys, those are read now); JSON lines are read now, with the columns and types that Parquet has.
    Close the connection when you are done. Blocks. Needs the extra `duckdb`.

    Args:
        path: the directory of the export.

    Raises:
        RequestRefused: DuckDB is not installed, the export is of CSV files, which have no types, or in a store; or its
            path holds both a backslash and a character of patterns.
        ExportError: nothing is published there, a file is not as the manifest states, or several rows of several runs
            have no key.

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
                if each.is_unfit:
                    database.register("chosen", each.chosen())
                    database.execute(f"CREATE TEMP TABLE {each.beside} AS FROM chosen")
                    database.unregister("chosen")
                elif each.keys:
                    each.require_keys(are_lacking=database.execute(each.no_key()).fetchone() is not None)
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

    A frame has each record once, in its latest version. Parquet files are read when the frame is collected (where a
    column cannot hold their keys, those are read now); JSON lines are read now, with the columns and types that Parquet
    has. Blocks. Needs the extra `polars`.

    Args:
        path: the directory of the export.

    Raises:
        RequestRefused: polars is not installed, the export is of CSV files, which have no types, or in a store.
        ExportError: nothing is published there, a file is not as the manifest states, or several rows of several runs
            have no key.

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
            number = _ROW if each.is_unfit else None
            frame = module.scan_parquet(each.files, glob=False, hive_partitioning=False, row_index_name=number)
            if each.is_unfit:
                latest = module.LazyFrame({_ROW: each.latest()}).cast(frame.collect_schema()[_ROW])
                frame = frame.join(latest, on=_ROW, how="semi").drop(_ROW)
            elif each.keys:
                texts = [module.col(key).cast(module.String) for key in each.keys]
                no_key = module.any_horizontal(*(text.fill_null("") == "" for text in texts))
                lacking = frame.filter(no_key).select(each.keys).collect()
                each.require_keys(are_lacking=bool(lacking.is_duplicated().any()))
                frame = frame.unique([*each.keys], keep="last", maintain_order=True)
                schema = dict.fromkeys(each.keys, module.String)
                gone = module.LazyFrame([*map(_texts, each.gone)], schema=schema, orient="row")
                if each.gone:
                    frame = frame.join(gone, left_on=texts, right_on=[*each.keys], how="anti", nulls_equal=True)
            frames[each.name] = frame
        else:
            frames[each.name] = module.from_arrow(each.table()).lazy()
    return frames


@attrs.frozen(kw_only=True)
class _PublishedList:
    """One list of a published export."""

    name: str
    entry: ResourceEntry
    location: Path
    keys: tuple[str, ...]
    """The columns that identify a record; empty where each record is in one version only."""
    gone: frozenset[bytes] = frozenset()
    """The keys of records that were there and are not any more."""

    @property
    def format(self) -> str:
        """What the files are."""
        return self.entry.format

    @property
    def files(self) -> list[str]:
        """Their paths, oldest first."""
        return [str(self.location / part.file) for part in self.entry.parts]

    @property
    def is_unfit(self) -> bool:
        """Whether a column of the key lacks values: then the keys are read, and say which rows are the latest."""
        return not {*self.keys}.isdisjoint(self.entry.unfit)

    @property
    def beside(self) -> str:
        """The table that goes with the view."""
        return _named(f"{self.name}.beside")

    def require_keys(self, *, are_lacking: bool) -> None:
        """Raise if several rows have a key that lacks the same part.

        Raises:
            ExportError: they have.
        """
        if are_lacking:
            raise ExportError(
                f"{self.name} has several rows whose {' or '.join(self.keys)} the server left empty: nothing tells "
                "whether they are versions of one record. Nothing was opened. Read the files that "
                "manifest.files(...) names."
            )

    def no_key(self) -> str:
        """Return the query that finds several rows of Parquet files whose key lacks the same part."""
        lacks = " OR ".join(f"coalesce(CAST({_named(key)} AS VARCHAR), '') = ''" for key in self.keys)
        return _NO_KEY.format(
            paths=_list(map(_literally, self.files)), lacks=lacks, keys=", ".join(map(_named, self.keys))
        )

    def latest(self) -> list[int]:
        """Return the numbers of the rows of Parquet files that are the latest version of their record."""
        reader = row_reader(self.location, self.name, self.entry)
        return self._latest(key for part in self.entry.parts for keys in reader.keys(part) for key in keys)

    def chosen(self) -> Any:
        """Return the same rows as an Arrow table, by the place of their file, from 1, and their number in it."""
        rows = iter(self.latest())
        places: list[tuple[int, int]] = []
        begin, row = 0, next(rows, None)
        for file, part in enumerate(self.entry.parts, 1):
            while row is not None and row < begin + part.rows:
                places.append((file, row - begin))
                row = next(rows, None)
            begin += part.rows
        names, pyarrow = ("file", "row"), extra("pyarrow", "duckdb")
        columns = zip(*places, strict=True) if places else ([], [])
        return pyarrow.table([pyarrow.array(values, pyarrow.int64()) for values in columns], names)

    def gone_table(self) -> str:
        """Return the statement that makes the table of the records that are gone."""
        rows = ", ".join(f"({', '.join(map(_literal, _texts(key)))})" for key in self.gone)
        columns = ", ".join(f"{_named(key)} VARCHAR" for key in self.keys)
        return f"CREATE TEMP TABLE {self.beside} ({columns}); INSERT INTO {self.beside} VALUES {rows}"  # noqa: S608 - quoted

    def query(self) -> str:
        """Return the query of Parquet files."""
        files, paths = _list(self.files), _list(map(_literally, self.files))
        if not self.keys:
            return _ALL.format(paths=paths)
        if self.is_unfit:
            return _CHOSEN.format(files=files, paths=paths, beside=self.beside)
        latest = _LATEST.format(files=files, paths=paths, keys=", ".join(map(_named, self.keys)))
        if not self.gone:
            return latest
        same = " AND ".join(
            f"CAST(latest.{_named(key)} AS VARCHAR) IS NOT DISTINCT FROM gone.{_named(key)}" for key in self.keys
        )
        return f"SELECT latest.* FROM ({latest}) latest ANTI JOIN {self.beside} gone ON {same}"  # noqa: S608 - quoted

    def table(self) -> Any:
        """Return the rows of JSON lines as an Arrow table."""
        pyarrow = extra("pyarrow", "arrow")
        operation = method_facts(self.name, "list")["id"]
        reader = ArrowReader(columns_of(operation), operation_id=operation)
        tables, keys, keys_of = list[Any](), list[bytes](), KeysOfRows(self.keys)
        try:
            for batch in self._batches():
                tables += reader.joined([reader.structs(batch)])
                keys += keys_of.read(batch.each()) if self.keys else ()  # a column can lack what the server sent
        except PageFormatError as error:
            raise ExportError(f"{self.name} cannot be read: {error}. Nothing was opened.") from error
        table = pyarrow.concat_tables(tables) if tables else reader.schema.empty_table()
        # of no rows alone pyarrow would not know that they are numbers
        return table.take(pyarrow.array(self._latest(keys), pyarrow.int64())) if self.keys else table

    def _latest(self, keys: Iterable[bytes]) -> list[int]:
        """Return the places of the last of each key that is not gone, in order."""
        latest, are_lacking = dict[bytes, int](), False
        for number, key in enumerate(keys):
            are_lacking = are_lacking or (key in latest and is_no_key(key))
            latest[key] = number
        self.require_keys(are_lacking=are_lacking)
        return sorted(number for key, number in latest.items() if key not in self.gone)

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
            entry=entry,
            location=location,
            keys=_keys(name) if several else (),
            gone=gone,
        )


def _gone(location: Path, entry: ResourceEntry) -> frozenset[bytes]:
    """Return the keys that a run found gone, and that are not there again."""
    gone = {key for part in entry.tombstones for keys in tombstone_keys(location, part) for key in keys}
    if gone and entry.keys is not None:
        gone.difference_update(keys_in(location, entry.keys.file))
    return frozenset(gone)


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


def _texts(key: bytes) -> tuple[str | None, ...]:
    """Return the parts of a key as a database makes texts of them."""
    return tuple(None if value is None else str(value) for value in msgspec.json.decode(key))


def _literally(path: str) -> str:
    """Return what DuckDB, which takes every path for a pattern, reads as that path and no other.

    Raises:
        RequestRefused: there is nothing that it reads so.

    Examples:
        >>> _literally("/out/acme[1]/customer/part-00000.parquet"), _literally("/out/acme")
        ('/out/acme[[]1]/customer/part-00000.parquet', '/out/acme')
    """
    if PATTERN.search(path) and "\\" in path:
        raise RequestRefused(
            f"DuckDB takes {path} for a pattern, and has no spelling of a backslash in one. Nothing was opened. Move "
            "the export to a folder without *, ? or [ in its path, or open it with open_polars."
        )
    return PATTERN.sub(r"[\g<0>]", path)


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


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
