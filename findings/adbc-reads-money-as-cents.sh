#!/usr/bin/env bash
# A column of PostgreSQL's type money comes out of ADBC as an integer of its smallest unit: 12.50 is 1250, a hundred times as
# much, and nothing in the schema says so. The same amount as numeric comes as the text 12.50.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check adbc-driver-postgresql==1.13.0 pyarrow==26.0.1 pgserver==0.1.4
echo "adbc-driver-postgresql 1.13.0, pyarrow 26.0.1, PostgreSQL 16.2 (pgserver 0.1.4)"
venv/bin/python - <<'PY'
import sys
import tempfile

import adbc_driver_postgresql.dbapi
import pgserver

server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
with adbc_driver_postgresql.dbapi.connect(server.get_uri()) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT 12.50::money AS money, 12.50::numeric AS number, 12.50::money::text AS text")
    table = cursor.fetch_arrow_table()
server.cleanup()
row = table.to_pylist()[0]
for name, value in row.items():
    print(f"{name}: {value!r}, {table.schema.field(name).type}")
if row["money"] != 1250 or row["number"] != "12.50" or "12.50" not in row["text"]:
    sys.exit("otherwise than found")
print("as found")
PY
