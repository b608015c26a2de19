#!/usr/bin/env bash
# Of Decimal | str, pydantic takes the member that fits the input best, and for a str from Python that is str. From JSON it is
# the first that accepts it: the customer number "000225" comes out as 225. With str | Decimal the zeros stay.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pydantic==2.14.4
echo "pydantic 2.14.4"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

from pydantic import TypeAdapter

number = "000225"
union, turned = TypeAdapter(Decimal | str), TypeAdapter(str | Decimal)
seen = {
    "Decimal | str, from Python": union.validate_python(number),
    "Decimal | str, from JSON": union.validate_json(f'"{number}"'),
    "str | Decimal, from JSON": turned.validate_json(f'"{number}"'),
}
for what, value in seen.items():
    print(f"{what}: {value!r}")
if list(seen.values()) != [number, Decimal(225), number]:
    sys.exit("otherwise than found")
print("as found")
PY
