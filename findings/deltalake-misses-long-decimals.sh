#!/usr/bin/env bash
# A Delta table keeps the least and the greatest amount of a file as floating point numbers. From 17 digits on they are
# another number, so a filter that is exact finds nothing, and a delete removes nothing: without an error.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
echo "deltalake 1.6.6, pyarrow 26.0.1"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

amount = Decimal("12345678901234567.89")
write_deltalake("table", pa.table({"amount": pa.array([amount], pa.decimal128(38, 2))}))
table = DeltaTable("table")
there = table.to_pyarrow_table().to_pylist()
found = table.to_pyarrow_table(filters=[("amount", "=", amount)]).to_pylist()
deleted = table.delete(f"amount = {amount}")
left = table.to_pyarrow_table().to_pylist()
print(f"in the table:           {there}")
print(f"found by its own value: {found}")
print(f"left after deleting it: {left}")
if not (there == left == [{"amount": amount}] and found == [] and deleted["num_removed_files"] == 0):
    sys.exit("otherwise than found: the filter or the delete sees the row")
print("as found")
PY
