#!/usr/bin/env bash
# While another connection is writing, whoever wants the write lock waits for as long as the busy timeout says: SQLite asks
# the busy handler. Whoever switches a new database to WAL at that moment is not asked: "database is locked", at once.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check apsw==3.54.1.0
echo "SQLite 3.54.1, in apsw 3.54.1.0"
venv/bin/python - <<'PY'
import sys

import apsw

writer, other = apsw.Connection("new.db"), apsw.Connection("new.db")
asked = []


def wait(times: int) -> bool:
    asked.append(times)
    return times < 3  # three times longer, then give up


other.set_busy_handler(wait)
writer.execute("CREATE TABLE t (x)")
writer.execute("BEGIN IMMEDIATE")
seen = {}
for statement in ("BEGIN IMMEDIATE", "PRAGMA journal_mode = WAL"):
    asked.clear()
    try:
        other.execute(statement)
        ended = "done"
    except apsw.BusyError as error:
        ended = str(error)
    seen[statement] = (ended, len(asked))
    print(f"{statement}: {ended}, the busy handler was asked {len(asked)} times")
if seen != {"BEGIN IMMEDIATE": ("database is locked", 4), "PRAGMA journal_mode = WAL": ("database is locked", 0)}:
    sys.exit("otherwise than found")
print("as found")
PY
