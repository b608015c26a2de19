#!/usr/bin/env bash
# A schema that says Decimal makes polars parse the JSON number as a floating point number first. The digits that come out are
# not those of the text, nor those of the nearest short number; a schema that says String loses them in the same way. CSV is
# exact.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check polars==2.1.0
echo "polars 2.1.0"
venv/bin/python - <<'PY'
import io
import sys

import polars as pl

number = "12345678901234567.89"
decimal, text = ({"amount": pl.Decimal(38, 2)}, {"amount": pl.String})
seen = {
    "CSV, as Decimal": pl.read_csv(io.StringIO(f"amount\n{number}"), schema=decimal),
    "JSON, as Decimal": pl.read_json(io.StringIO(f'[{{"amount": {number}}}]'), schema=decimal),
    "lines of JSON, as String": pl.read_ndjson(io.StringIO(f'{{"amount": {number}}}'), schema=text),
}
read = {what: str(frame["amount"][0]) for what, frame in seen.items()}
print(f"written: {number}")
for what, value in read.items():
    print(f"{what}: {value}")
if list(read.values()) != [number, "12345678901234567.68", "12345678901234568"]:
    sys.exit("otherwise than found")
print("as found")
PY
