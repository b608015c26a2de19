"""What tools read from exports, against the truth: the table of docs/reference/types.md.

`python -m tests.export.readings` writes it.
"""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pyarrow.parquet as pq

from tests.export.pages import page
from vismanet_async._export.sinks.opening import open_sink

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "types.md"
BEGIN, END = "<!-- readings -->\n", "<!-- end of readings -->\n"

AMOUNTS = [
    "0", "0.1", "-0.01", "12.10", "1234.7700", "-1234.5678", "99999999.99", "123456789.1234", "90071992547409.93",
    "1234567890123.4567", "-9999999999999.9999", "98765432109876.543",
]  # fmt: skip
KEYS = [
    "10000", "000225", "1E5", "12.10", "2024-01-05", "TRUE", "NULL", "NA", "nan", "0x1F", "1,5", "1 000", "+47 22 33",
]  # fmt: skip

Reading = tuple[list[Any], list[Any]]
"""The amounts and the keys, as a tool gives them."""


def _columns(frame: Any) -> Reading:
    return list(frame["creditLimit"]), list(frame["number"])


def _duckdb(query: str) -> Callable[[str], Reading]:
    def read(file: str) -> Reading:
        with duckdb.connect() as db:
            found = db.execute(f"SELECT creditLimit, number FROM {query}", [file]).fetchall()
        return [amount for amount, _ in found], [key for _, key in found]

    return read


def _json_lines(file: str) -> Reading:
    rows = [json.loads(line, parse_float=Decimal) for line in Path(file).read_text("utf-8").splitlines()]
    return [row["creditLimit"] for row in rows], [row["number"] for row in rows]


def _pandas(call: Callable[[Any, str], Any]) -> Callable[[str], Reading]:
    def read(file: str) -> Reading:
        import pandas as pd

        return _columns(call(pd, file))

    return read


READERS: list[tuple[str, str, str, Callable[[str], Reading]]] = [
    ("parquet", "DuckDB", "SELECT * FROM read_parquet(...)", _duckdb("read_parquet(?)")),
    ("parquet", "polars", "pl.scan_parquet(...)", lambda file: _columns(pl.scan_parquet(file).collect())),
    ("parquet", "pyarrow", "pq.read_table(...)", lambda file: _columns(pq.read_table(file).to_pydict())),
    ("parquet", "pandas", 'pd.read_parquet(..., dtype_backend="pyarrow")',
     _pandas(lambda pd, file: pd.read_parquet(file, dtype_backend="pyarrow"))),
    ("parquet", "pandas", "pd.read_parquet(...)", _pandas(lambda pd, file: pd.read_parquet(file))),
    ("jsonl", "Python", "json.loads(line, parse_float=Decimal)", _json_lines),
    ("jsonl", "DuckDB", "SELECT * FROM read_json(...)", _duckdb("read_json(?, format = 'newline_delimited')")),
    ("jsonl", "polars", "pl.read_ndjson(...)", lambda file: _columns(pl.read_ndjson(file))),
    ("jsonl", "pandas", "pd.read_json(..., lines=True)", _pandas(lambda pd, file: pd.read_json(file, lines=True))),
    ("csv", "DuckDB", "read_csv(..., all_varchar = true)", _duckdb("read_csv(?, all_varchar = true, nullstr = '')")),
    ("csv", "polars", "pl.read_csv(..., infer_schema=False)",
     lambda file: _columns(pl.read_csv(file, infer_schema=False))),
    ("csv", "pandas", "pd.read_csv(..., dtype=str, keep_default_na=False)",
     _pandas(lambda pd, file: pd.read_csv(file, dtype=str, keep_default_na=False))),
    ("csv", "DuckDB", "SELECT * FROM '....csv'", _duckdb("read_csv(?)")),
    ("csv", "polars", "pl.read_csv(...)", lambda file: _columns(pl.read_csv(file))),
    ("csv", "pandas", "pd.read_csv(...)", _pandas(lambda pd, file: pd.read_csv(file))),
]  # fmt: skip
"""The right line of each tool first, then the obvious one where it is another."""


def table() -> str:
    """Return the table, in Markdown. Each form of a key is alone in its column, of which some tools guess the type."""
    lines = ["| file | tool | read by | amounts exact | keys exact |", "|---|---|---|--:|--:|"]
    with tempfile.TemporaryDirectory() as folder:
        files = {
            kind: [_write(Path(folder, kind, str(at)), kind, key) for at, key in enumerate(KEYS)]
            for kind in ("parquet", "jsonl", "csv")
        }
        for kind, tool, line, read in READERS:
            amounts, _ = read(files[kind][0])
            exact = sum(map(_is_exact, amounts, AMOUNTS))
            same = sum(
                all(type(one) is str and one == key for one in read(file)[1])
                for file, key in zip(files[kind], KEYS, strict=True)
            )
            lines.append(f"| {kind} | {tool} | `{line}` | {exact} of {len(AMOUNTS)} | {same} of {len(KEYS)} |")
    return "\n".join([*lines, ""])


def _is_exact(found: Any, truth: str) -> bool:
    """Return whether a value is the amount to the last digit: a decimal, a whole number, or the very text."""
    return (isinstance(found, Decimal | int) and found == Decimal(truth)) or found == truth


def _write(folder: Path, kind: str, key: str) -> str:
    rows = [b'{"number":%s,"creditLimit":%s}' % (msgspec.json.encode(key), amount.encode()) for amount in AMOUNTS]
    sink = open_sink(kind, folder, operation_id="Customer_GetAll", part_bytes=1 << 20)
    try:
        sink.write(page(b"[%s]" % b",".join(rows)))
        (part,) = sink.finish()
    finally:
        sink.close()
    return str(folder / Path(part.file).name)


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    main()
