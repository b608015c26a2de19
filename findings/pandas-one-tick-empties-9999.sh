#!/usr/bin/env bash
# pandas picks the unit of a column of moments by the finest of them. One text with seven digits of a second, as .NET writes
# them, makes it nanoseconds, and 9999-12-31 no longer fits: an error, or nothing at all with errors="coerce". Without that
# row it fits.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pandas==3.1.1
echo "pandas 3.1.1"
venv/bin/python - <<'PY'
import sys

import pandas as pd

ends = ["9999-12-31T00:00:00", "2025-06-30T00:00:00"]
modified = "2025-01-02T03:04:05.1234567"
without = pd.to_datetime(pd.Series(ends), format="ISO8601", errors="coerce")
beside = pd.to_datetime(pd.Series([*ends, modified]), format="ISO8601", errors="coerce")
try:
    pd.to_datetime(pd.Series([*ends, modified]), format="ISO8601")
    raised = "nothing"
except pd.errors.OutOfBoundsDatetime as error:
    raised = type(error).__name__
print(f"alone:                     {without[0]}, {without.dtype}")
print(f"beside seven digits:       raises {raised}")
print(f"the same, errors='coerce': {beside[0]}, {beside.dtype}")
if without[0].year != 9999 or not pd.isna(beside[0]) or raised != "OutOfBoundsDatetime":
    sys.exit("otherwise than found")
print("as found")
PY
