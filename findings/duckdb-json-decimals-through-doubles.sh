#!/usr/bin/env bash
# read_json with a column declared as DECIMAL, ->> and a cast of what it gives all see a double: the last digits are others.
# json_transform of the same text to the same type is exact. One case has been mended:
# https://github.com/duckdb/duckdb/issues/24989
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check duckdb==2.0.0
echo "duckdb 2.0.0"
venv/bin/python - <<'PY'
import sys
from pathlib import Path

import duckdb

number = "12345678901234567.89"
Path("rows.json").write_text(f'[{{"amount": {number}}}]', "utf-8")
queries = {
    "read_json": "SELECT amount FROM read_json('rows.json', columns = {amount: 'DECIMAL(38, 2)'})",
    "->> and a cast": f"""SELECT ('{{"amount": {number}}}'::JSON ->> 'amount')::DECIMAL(38, 2)""",
    "json_transform": f"""SELECT json_transform('{{"amount": {number}}}', '{{"amount": "DECIMAL(38, 2)"}}').amount""",
}
read = {name: str(duckdb.execute(query).fetchone()[0]) for name, query in queries.items()}
print(f"written: {number}")
for name, value in read.items():
    print(f"{name}: {value}")
if list(read.values()) != ["12345678901234567.68", "12345678901234568.00", number]:
    sys.exit("otherwise than found")
print("as found")
PY
