#!/usr/bin/env bash
# bareNumber: false lets numbers have text around them, such as a currency. The minus sign of Norwegian, Swedish and Finnish
# in Unicode's locale data is U+2212, and it counts as such text: a credit of 1.50 is read as a debit, without an error.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check frictionless==5.21.0
echo "frictionless 5.21.0"
venv/bin/python - <<'PY'
import sys

from frictionless import Schema

number = {"name": "amount", "type": "number", "decimalChar": ","}
loose = Schema.from_descriptor({"fields": [number | {"bareNumber": False}]}).fields[0]
bare = Schema.from_descriptor({"fields": [number]}).fields[0]
seen = {}
for name, text in {"hyphen": "-1,50 kr", "U+2212": "\u22121,50 kr"}.items():
    value, notes = loose.read_cell(text)
    seen[name] = str(value)
    print(f"{name}, with a currency: {value}, errors: {notes}")
refused = bare.read_cell("\u22121,50")
print(f"U+2212, bareNumber: true: {refused[0]}, errors: {refused[1]}")
if seen != {"hyphen": "-1.50", "U+2212": "1.50"} or refused[0] is not None:
    sys.exit("otherwise than found")
print("as found")
PY
