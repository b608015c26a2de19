#!/usr/bin/env bash
# AsyncFileSystemWrapper makes an asynchronous file system of a synchronous one. Its open() for writing gives a file that
# takes every byte and closes without an error, and nothing has been written; pipe_file writes. Met before:
# https://github.com/datachain-ai/datachain/pull/1160
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check fsspec==2026.9.0
echo "fsspec 2026.9.0"
venv/bin/python - <<'PY'
import sys

import fsspec
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

plain = fsspec.filesystem("memory")
wrapped = AsyncFileSystemWrapper(plain, asynchronous=False)
seen = {}
for name, files in {"memory": plain, "wrapped": wrapped}.items():
    with files.open(f"/{name}/opened", "wb") as file:
        taken = file.write(b"invoice 17")
    files.pipe_file(f"/{name}/piped", b"invoice 17")
    seen[name] = (taken, plain.exists(f"/{name}/opened"), plain.exists(f"/{name}/piped"))
    print(f"{name}: open() took {taken} bytes, there: {seen[name][1]}; pipe_file, there: {seen[name][2]}")
if seen != {"memory": (10, True, True), "wrapped": (10, False, True)}:
    sys.exit("otherwise than found")
print("as found")
PY
