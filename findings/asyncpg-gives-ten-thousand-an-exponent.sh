#!/usr/bin/env bash
# PostgreSQL keeps a numeric's zeros behind the point, and no others. asyncpg makes of 10000 the Decimal 1E+4: equal, but
# another text wherever it goes on as one: in JSON, CSV, a hash of the row. 10000.00 it leaves, and psycopg leaves both.
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

import asyncpg
import pgserver
import psycopg

server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
query = "SELECT amount, amount::text FROM (VALUES (10000::numeric), (120000), (10000.00), (12345)) AS t (amount)"


async def ask() -> list[tuple[str, str]]:
    connection = await asyncpg.connect(server.get_uri())
    try:
        return [(text, str(amount)) for amount, text in await connection.fetch(query)]
    finally:
        await connection.close()


by_asyncpg = asyncio.run(ask())
with psycopg.connect(server.get_uri()) as connection:
    by_psycopg = [(text, str(amount)) for amount, text in connection.execute(query)]
server.cleanup()
for name, pairs in {"asyncpg": by_asyncpg, "psycopg": by_psycopg}.items():
    print(f"{name}: " + ", ".join(f"{text} is {amount}" for text, amount in pairs))
expected = [("10000", "1E+4"), ("120000", "1.2E+5"), ("10000.00", "10000.00"), ("12345", "12345")]
if by_asyncpg != expected or any(text != amount for text, amount in by_psycopg):
    sys.exit("otherwise than found")
print("as found")
PY
