#!/usr/bin/env bash
# "Valid until 9999-12-31" is a date in most systems, and in PostgreSQL. asyncpg stores it as infinity, and 0001-01-01 as
# -infinity: the row compares otherwise, its text is another, and psycopg, which stores the date as it is, cannot read it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check asyncpg==0.32.0 'psycopg[binary]==3.3.9' pgserver==0.1.4
echo "asyncpg 0.32.0, psycopg 3.3.9, PostgreSQL 16.2 (pgserver 0.1.4)"
venv/bin/python - <<'PY'
import asyncio
import datetime
import sys
import tempfile

import asyncpg
import pgserver
import psycopg

server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
last = datetime.date(9999, 12, 31)


async def store() -> None:
    connection = await asyncpg.connect(server.get_uri())
    await connection.execute("CREATE TABLE prices (valid_until date)")
    await connection.execute("INSERT INTO prices VALUES ($1)", last)
    await connection.close()


asyncio.run(store())
with psycopg.connect(server.get_uri()) as connection:
    text, found = connection.execute(
        "SELECT max(valid_until::text), count(*) FILTER (WHERE valid_until = '9999-12-31') FROM prices"
    ).fetchone()
    own = connection.execute("SELECT %s::date::text", [last]).fetchone()[0]
    try:
        read = str(connection.execute("SELECT valid_until FROM prices").fetchone()[0])
    except psycopg.DataError as error:
        read = str(error)
server.cleanup()
print(f"stored by asyncpg:   {text}")
print(f"found as 9999-12-31: {found}")
print(f"read by psycopg:     {read}")
print(f"stored by psycopg:   {own}")
if (text, found, own) != ("infinity", 0, "9999-12-31") or "date too large" not in read:
    sys.exit("otherwise than found")
print("as found")
PY
