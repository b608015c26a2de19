#!/usr/bin/env bash
# DuckDB's common type of two decimals has room for the digits of both. Where that is more than 38 digits, those behind the
# point go first, silently, however small the numbers are. sum() gives 38 digits, and so do most imports from Arrow and
# polars.
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

narrow = "SELECT 7.50::DECIMAL(10, 2) AS rate UNION ALL SELECT 7.12345::DECIMAL(10, 5)"
wide = "SELECT 7.50::DECIMAL(38, 2) AS rate UNION ALL SELECT 7.12345::DECIMAL(38, 5)"
coalesced = "SELECT coalesce(NULL::DECIMAL(38, 2), 7.12345::DECIMAL(38, 5))"
seen = {}
for name, query in {"10 digits wide": narrow, "38 digits wide": wide, "coalesce, 38 digits wide": coalesced}.items():
    seen[name] = str(duckdb.execute(query).fetchall()[-1][0])
    print(f"{name}: 7.12345 is {seen[name]}")
if list(seen.values()) != ["7.12345", "7.12", "7.12"]:
    sys.exit("otherwise than found")
print("as found")
PY
