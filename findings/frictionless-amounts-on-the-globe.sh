#!/usr/bin/env bash
# frictionless guesses the types of a file's columns. Amounts with a decimal comma, as all of Scandinavia writes them, it
# takes for pairs of degrees: 17,50 becomes the point 17 degrees east, 50 north. The report on the file says that it is valid.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check frictionless==5.21.0
echo "frictionless 5.21.0"
venv/bin/python - <<'PY'
import sys
from pathlib import Path

import frictionless

Path("invoices.csv").write_text("invoice;amount\nA1;17,50\nA2;8,25\n", "utf-8")
kinds = {field.name: field.type for field in frictionless.describe("invoices.csv").schema.fields}
rows = frictionless.extract("invoices.csv")["invoices"]
valid = frictionless.validate("invoices.csv").valid
print(f"types: {kinds}")
print(f"rows:  {rows}")
print(f"valid: {valid}")
if kinds != {"invoice": "string", "amount": "geopoint"} or list(map(float, rows[0]["amount"])) != [17.0, 50.0] or not valid:
    sys.exit("otherwise than found")
print("as found")
PY
