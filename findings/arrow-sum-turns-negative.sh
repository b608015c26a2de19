#!/usr/bin/env bash
# The sum of decimals is as wide as Arrow can make it, 38 digits, and past them it goes on at the other end: with 30 decimals,
# three amounts of 60 million are less than nothing. pyarrow's own addition of two columns refuses that, polars refuses the
# sum. Of integers it is known: https://github.com/apache/arrow/issues/37090
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0
echo "pyarrow 26.0.1, polars 2.1.0"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

amounts = pa.array([Decimal(60_000_000)] * 3, pa.decimal128(38, 30))
total = pc.sum(amounts).as_py()
grouped = pa.table({"k": [1, 1, 1], "a": amounts}).group_by("k").aggregate([("a", "sum")])["a_sum"][0].as_py()
refused = {}
for name, add in {"pyarrow's add": lambda: pc.add(amounts, amounts), "polars' sum": pl.Series(amounts).sum}.items():
    try:
        refused[name] = str(add())
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        refused[name] = type(error).__name__
print(f"pyarrow's sum:      {total:.2f}")
print(f"pyarrow's group_by: {grouped:.2f}")
print("".join(f"{name}: {ended}\n" for name, ended in refused.items()), end="")
if not (total == grouped < 0 and list(refused.values()) == ["ArrowInvalid", "ComputeError"]):
    sys.exit("otherwise than found")
print("as found")
PY
