#!/usr/bin/env bash
# An amount of zero in a decimal column with more than six decimals leaves pyarrow as 0E-12, in CSV and as text; small amounts
# too. Any other amount in the same column is written plainly, so a test with real ones does not show it. It stopped Delta
# tables once: https://github.com/delta-io/delta-rs/issues/2221
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1
echo "pyarrow 26.0.1"
venv/bin/python - <<'PY'
import io
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv

rates = pa.array([Decimal("7.5"), Decimal("0"), Decimal("0.00000001")], pa.decimal128(20, 12))
file = io.BytesIO()
pyarrow.csv.write_csv(pa.table({"rate": rates}), file)
lines = file.getvalue().decode().split()[1:]
texts = rates.cast(pa.string()).to_pylist()
print(f"CSV:     {', '.join(lines)}")
print(f"as text: {', '.join(texts)}")
if not lines == texts == ["7.500000000000", "0E-12", "1.0000E-8"]:
    sys.exit("otherwise than found")
print("as found")
PY
