#!/usr/bin/env bash
# msgspec writes a float that is not a number as null, and such a Decimal as text. With decimal_format="number" it writes NaN
# as it stands: no JSON, and msgspec itself does not read it back.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check msgspec==0.22.0
echo "msgspec 0.22.0"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import msgspec

as_number = msgspec.json.Encoder(decimal_format="number")
float_written = as_number.encode([float("nan")])
written = as_number.encode([Decimal("1.10"), Decimal("NaN"), Decimal("Infinity")])
try:
    read = str(msgspec.json.decode(written, type=list[Decimal | None]))
except msgspec.DecodeError as error:
    read = str(error)
print(f"a float:     {float_written.decode()}")
print(f"decimals:    {written.decode()}")
print(f"read back:   {read}")
if float_written != b"[null]" or written != b"[1.10,NaN,Infinity]" or "malformed" not in read:
    sys.exit("otherwise than found")
print("as found")
PY
