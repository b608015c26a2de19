#!/usr/bin/env bash
# polars.concat refuses frames whose columns differ in type; how="vertical_relaxed" is there for those. Decimals of different
# scales it does not refuse: the first frame's scale counts, and digits beyond it are rounded away, without an error.
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

whole = pl.DataFrame({"rate": [Decimal("7.50")]})
finer = pl.DataFrame({"rate": [Decimal("7.759")]})
strict = pl.concat([whole, finer])["rate"].to_list()
relaxed = pl.concat([whole, finer], how="vertical_relaxed")["rate"].to_list()
try:
    pl.concat([whole, whole.cast(pl.Float64)])
    other = "put together"
except pl.exceptions.PolarsError as error:
    other = type(error).__name__
print(f"decimals and floats:      {other}")
print(f"7.50 and 7.759, strict:   {', '.join(map(str, strict))}")
print(f"7.50 and 7.759, relaxed:  {', '.join(map(str, relaxed))}")
if other != "SchemaError" or list(map(str, strict)) != ["7.50", "7.76"] or list(map(str, relaxed)) != ["7.500", "7.759"]:
    sys.exit("otherwise than found: no digit is lost")
print("as found")
PY
