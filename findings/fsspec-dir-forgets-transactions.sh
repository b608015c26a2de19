#!/usr/bin/env bash
# What is written in a transaction of fsspec comes to be at its end, and not at all if it fails. A dir:// file system before
# another one, the usual way to stay below a folder, has transactions too: they end in an error, and the files are there.
# Known: https://github.com/fsspec/filesystem_spec/issues/1823
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check fsspec==2026.9.0
echo "fsspec 2026.9.0"
venv/bin/python - <<'PY'
import sys
import tempfile

import fsspec

folder = tempfile.mkdtemp(dir=".")
local = fsspec.filesystem("file")
seen = {}
for name, files, path in (
    ("file", local, f"{folder}/one"),
    ("dir", fsspec.filesystem("dir", path=folder, fs=local), "two"),
):
    try:
        with files.transaction:
            with files.open(path, "wb") as file:
                file.write(b"first half")
            raise ConnectionError("the second half never came")
    except ConnectionError:
        seen[name] = files.exists(path)
    print(f"{name}: there after a failed transaction: {seen[name]}")
if seen != {"file": False, "dir": True}:
    sys.exit("otherwise than found")
print("as found")
PY
