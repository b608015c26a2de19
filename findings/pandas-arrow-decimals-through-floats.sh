#!/usr/bin/env bash
# pandas takes decimal128 as a dtype of read_csv. With engine="pyarrow" the file is read as floats first and cast then: other
# digits, no warning. pyarrow itself reads the same column exactly, and pandas' own engine raises ArrowInvalid.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1
echo "pandas 3.1.1, pyarrow 26.0.1"
venv/bin/python - <<'PY'
import io
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.csv

text = b"amount\n12345678901234567.89\n"
exact = pa.decimal128(38, 2)
options = pyarrow.csv.ConvertOptions(column_types={"amount": exact})
seen = {"pyarrow": str(pyarrow.csv.read_csv(io.BytesIO(text), convert_options=options)["amount"][0])}
for engine in ("pyarrow", "c"):
    try:
        frame = pd.read_csv(io.BytesIO(text), engine=engine, dtype={"amount": pd.ArrowDtype(exact)})
        seen[f"pandas, engine={engine}"] = str(frame["amount"][0])
    except pa.ArrowInvalid as error:
        seen[f"pandas, engine={engine}"] = type(error).__name__
for name, value in seen.items():
    print(f"{name}: {value}")
if list(seen.values()) != ["12345678901234567.89", "12345678901234568.00", "ArrowInvalid"]:
    sys.exit("otherwise than found")
print("as found")
PY
