#!/usr/bin/env bash
# polars takes the scale of a decimal column from the first 100 rows. A later row with more digits is rounded to it.
# strict=True, the default, is to raise for a value that does not fit the type, and raises nothing here. A column given as a
# list is exact. It was to raise since https://github.com/pola-rs/polars/pull/15309
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check polars==2.1.0
echo "polars 2.1.0"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import polars as pl

amounts = [Decimal("19.5")] * 100 + [Decimal("19.5555")]
by_rows = pl.DataFrame([{"amount": amount} for amount in amounts])["amount"]
by_column = pl.DataFrame({"amount": amounts})["amount"]
print(f"the last of 101 amounts:       {amounts[-1]}")
print(f"in a frame made of rows:       {by_rows[-1]}, as {by_rows.dtype}")
print(f"in a frame made of a column:   {by_column[-1]}, as {by_column.dtype}")
if str(by_rows[-1]) != "19.6" or str(by_column[-1]) != "19.5555":
    sys.exit("otherwise than found: rows and columns agree")
print("as found")
PY
