#!/usr/bin/env bash
# fsspec's pipe_file has mode="create", which is to fail where there is a file; a lock or a manifest is taken that way.
# obstore's file system for fsspec takes the argument and overwrites. Its own put(mode="create") refuses, as fsspec's memory
# does.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check obstore==0.12.1 fsspec==2026.9.0
echo "obstore 0.12.1, fsspec 2026.9.0"
venv/bin/python - <<'PY'
import sys

import fsspec
import obstore
from obstore.fsspec import FsspecStore
from obstore.store import MemoryStore

seen = {}


def twice(name, create, read) -> None:
    create(b"mine")
    try:
        create(b"theirs")
        ended = "done"
    except (FileExistsError, obstore.exceptions.AlreadyExistsError) as error:
        ended = type(error).__name__
    seen[name] = (ended, bytes(read()))
    print(f"{name}: the second is {ended}, the file has {seen[name][1]}")


memory, store, bridge = fsspec.filesystem("memory"), MemoryStore(), FsspecStore("memory", asynchronous=False)
twice("fsspec", lambda data: memory.pipe_file("/lock", data, mode="create"), lambda: memory.cat_file("/lock"))
twice("obstore", lambda data: store.put("lock", data, mode="create"), lambda: store.get("lock").bytes())
twice("obstore.fsspec", lambda data: bridge.pipe_file("b/lock", data, mode="create"), lambda: bridge.cat_file("b/lock"))
expected = [("FileExistsError", b"mine"), ("AlreadyExistsError", b"mine"), ("done", b"theirs")]
if list(seen.values()) != expected:
    sys.exit("otherwise than found")
print("as found")
PY
