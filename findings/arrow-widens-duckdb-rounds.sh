#!/usr/bin/env bash
# pyarrow puts two columns of decimals with different scales together without a loss: where they need more than 38 digits, as
# decimal256. DuckDB refuses such a column in a table of Arrow, and reads it from a Parquet file as DOUBLE, without a word.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1
echo "duckdb 2.0.0, pyarrow 26.0.1"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

amounts = pa.table({"amount": pa.array([Decimal("12345678901234567.89")], pa.decimal128(38, 2))})
rates = pa.table({"amount": pa.array([Decimal("7.12345")], pa.decimal128(38, 5))})
joined = pa.concat_tables([amounts, rates], promote_options="permissive")
pq.write_table(joined, "amounts.parquet")
kind, value = duckdb.execute("SELECT typeof(amount), amount FROM 'amounts.parquet'").fetchone()
try:
    direct = str(duckdb.execute("SELECT amount FROM joined").fetchall())
except duckdb.Error as error:
    direct = type(error).__name__
print(f"pyarrow makes of both:         {joined.schema.field('amount').type}, {joined['amount'][0]}")
print(f"DuckDB, from the table:        {direct}")
print(f"DuckDB, from its Parquet file: {kind}, {value:.2f}")
if str(joined["amount"][0]) != "12345678901234567.89000" or direct != "NotImplementedException" or kind != "DOUBLE":
    sys.exit("otherwise than found")
print("as found")
PY
