#!/usr/bin/env bash
# A quantity of 1.9 for an integer column: asyncpg cuts it to 1 on the way, without an error, a Decimal too. A text for the
# same column it refuses. PostgreSQL would round, and through psycopg it does: 2.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check asyncpg==0.32.0 'psycopg[binary]==3.3.9' pgserver==0.1.4
echo "asyncpg 0.32.0, psycopg 3.3.9, PostgreSQL 16.2 (pgserver 0.1.4)"
venv/bin/python - <<'PY'
import asyncio
import sys
import tempfile
from decimal import Decimal

import asyncpg
import pgserver
import psycopg

server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
values = (1.9, Decimal("1.9"), Decimal("-1.9"))


async def ask() -> list[int]:
    connection = await asyncpg.connect(server.get_uri())
    try:
        return [await connection.fetchval("SELECT $1::int8", value) for value in values]
    finally:
        await connection.close()


by_asyncpg = asyncio.run(ask())
with psycopg.connect(server.get_uri()) as connection:
    by_psycopg = [connection.execute("SELECT %s::int8", [value]).fetchone()[0] for value in values]
server.cleanup()
print(f"given:   {', '.join(map(str, values))}")
print(f"asyncpg: {by_asyncpg}")
print(f"psycopg: {by_psycopg}")
if (by_asyncpg, by_psycopg) != ([1, 1, -1], [2, 2, -2]):
    sys.exit("otherwise than found")
print("as found")
PY
