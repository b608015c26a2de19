#!/usr/bin/env bash
# Matching on the body, vcrpy compares JSON by what it means, and numbers by their value as floats: a request with another
# amount is answered with the recorded answer to the first. The same bodies as plain text are told apart.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check vcrpy==9.4.2
echo "vcrpy 9.4.2"
venv/bin/python - <<'PY'
import sys

from vcr.matchers import body
from vcr.request import Request


def match(kind: str) -> str:
    sent = [
        Request("POST", "http://erp.test/payments", f'{{"amount": {amount}}}'.encode(), {"Content-Type": kind})
        for amount in ("12345678901234567.89", "12345678901234568.10")
    ]
    try:
        body(*sent)
    except AssertionError:
        return "different"
    return "the same"


seen = {kind: match(kind) for kind in ("application/json", "text/plain")}
for kind, ended in seen.items():
    print(f"amounts 21 apart in the last digits, as {kind}: {ended}")
if list(seen.values()) != ["the same", "different"]:
    sys.exit("otherwise than found")
print("as found")
PY
