#!/usr/bin/env bash
# A DECIMAL of DuckDB is exact, and so is its text. printf and format, which put it into a letter or a file with two decimals,
# make a double of it first: the report says another amount than the table.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check duckdb==2.0.0
echo "duckdb 2.0.0"
venv/bin/python - <<'PY'
import sys

import duckdb

row = duckdb.execute(
    "SELECT amount::VARCHAR, printf('%.2f', amount), format('{:.2f}', amount) "
    "FROM (SELECT 12345678901234567.89::DECIMAL(38, 2) AS amount)"
).fetchone()
for name, text in zip(("as text", "printf", "format"), row, strict=True):
    print(f"{name}: {text}")
if row != ("12345678901234567.89", "12345678901234568.00", "12345678901234568.00"):
    sys.exit("otherwise than found")
print("as found")
PY
