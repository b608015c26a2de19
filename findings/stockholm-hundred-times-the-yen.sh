#!/usr/bin/env bash
# Money of 100 yen is equal, whether its currency was given as Currency.JPY or as "JPY"; but the second knows no decimals of
# the currency and takes two. As minor units, which payment services count in, it is a hundred times as much.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check stockholm==0.5.7
echo "stockholm 0.5.7"
venv/bin/python - <<'PY'
import sys

from stockholm import Currency, Money

seen = {}
for name, currency in {"Currency.JPY": Currency.JPY, '"JPY"': "JPY"}.items():
    seen[name] = int(Money(100, currency).to_sub_units().amount)
    print(f"100 of {name} in minor units: {seen[name]}")
equal = Money(100, Currency.JPY) == Money(100, "JPY")
print(f"the two are equal: {equal}")
if list(seen.values()) != [100, 10_000] or not equal:
    sys.exit("otherwise than found")
print("as found")
PY
