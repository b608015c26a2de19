#!/usr/bin/env bash
# .NET's empty moment is 0001-01-01T00:00:00, "for ever" is often 9999-12-31. Neither fits into nanoseconds. polars says so
# when it casts to them, but not when it parses a text with time_unit="ns": the first year is then 1754, and for ever ends in
# 1816.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check polars==2.1.0
echo "polars 2.1.0"
venv/bin/python - <<'PY'
import sys

import polars as pl

texts = pl.Series(["0001-01-01T00:00:00", "9999-12-31T00:00:00"])
parsed = texts.str.to_datetime(time_unit="ns", strict=True).dt.to_string("%Y-%m-%d").to_list()
try:
    texts.str.to_datetime(time_unit="us").cast(pl.Datetime("ns"))
    cast = "done"
except pl.exceptions.PolarsError as error:
    cast = type(error).__name__
print(f"parsed as microseconds, then cast: {cast}")
print(f"parsed as nanoseconds, strictly:   {', '.join(parsed)}")
if cast != "InvalidOperationError" or parsed != ["1754-08-30", "1816-03-29"]:
    sys.exit("otherwise than found")
print("as found")
PY
