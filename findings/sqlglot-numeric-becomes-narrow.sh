#!/usr/bin/env bash
# NUMERIC without a size is exact in PostgreSQL. sqlglot writes it as DECIMAL, which is DECIMAL(18, 3) in DuckDB and
# DECIMAL(10, 0) in Spark and MySQL: what the migrated table is given is rounded. The other way round sqlglot knows the
# default and writes it out.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check sqlglot==30.30.0 duckdb==2.0.0
echo "sqlglot 30.30.0, duckdb 2.0.0"
venv/bin/python - <<'PY'
import sys

import duckdb
import sqlglot

create = sqlglot.transpile("CREATE TABLE rates (rate NUMERIC)", read="postgres", write="duckdb")[0]
back = sqlglot.transpile("CREATE TABLE rates (rate DECIMAL)", read="duckdb", write="postgres")[0]
spark = sqlglot.transpile("CREATE TABLE rates (rate NUMERIC)", read="postgres", write="spark")[0]
duckdb.execute(create)
duckdb.execute("INSERT INTO rates VALUES ('1.12345')")
stored = str(duckdb.execute("SELECT rate FROM rates").fetchone()[0])
print(f"PostgreSQL to DuckDB: {create}")
print(f"PostgreSQL to Spark:  {spark}")
print(f"DuckDB to PostgreSQL: {back}")
print(f"1.12345 is stored as: {stored}")
if stored != "1.123" or "DECIMAL(18, 3)" not in back or not spark.endswith("(rate DECIMAL)"):
    sys.exit("otherwise than found")
print("as found")
PY
