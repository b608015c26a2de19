#!/usr/bin/env bash
# format_currency rounds to the currency's decimals, as Unicode's locale data has them: what people pay with. ISO 4217, which
# invoices and payment files follow, has two more for 14 currencies and three for the Iraqi dinar: 1234.56 forints are printed
# as 1235.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check babel==2.19.0 iso4217==1.16.20260101
echo "babel 2.19.0, iso4217 1.16.20260101"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision
from iso4217 import Currency

amount = Decimal("1234.56")
differ = {
    currency.code: (get_currency_precision(currency.code), currency.exponent)
    for currency in Currency
    if currency.exponent is not None and get_currency_precision(currency.code) != currency.exponent
}
forints = format_currency(amount, "HUF", locale="en")
exact = format_currency(amount, "HUF", locale="en", currency_digits=False)
print(f"{amount} forints: {forints}; with currency_digits=False: {exact}")
print("decimals in Unicode's data and in ISO 4217: " + ", ".join(f"{code} {a}/{b}" for code, (a, b) in differ.items()))
if forints != "HUF1,235" or exact != "HUF1,234.56" or differ.get("HUF") != (0, 2) or len(differ) != 15:
    sys.exit("otherwise than found")
print("as found")
PY
