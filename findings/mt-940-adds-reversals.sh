#!/usr/bin/env bash
# RC in a bank statement is a credit taken back: money leaves the account. mt-940 gives its amount without a sign unless asked
# with Options(reversal_sign=True), although the docs of Amount count RC among the negative ones: entries and balances do not
# add up.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check mt-940==5.1.1
echo "mt-940 5.1.1"
venv/bin/python - <<'PY'
import sys

import mt940

statement = """:20:STATEMENT
:25:NO9386011117947
:28C:1/1
:60F:C250101NOK100,00
:61:2501020102C40,00NTRFNONREF
:61:2501030103RC40,00NTRFNONREF
:62F:C250103NOK100,00
"""
seen = {}
for name, options in {"as it comes": mt940.Options(), "reversal_sign": mt940.Options(reversal_sign=True)}.items():
    read = mt940.parse(statement, options=options)
    opening, closing = (read.data[f"final_{which}_balance"].amount.amount for which in ("opening", "closing"))
    entries = [entry.data["amount"].amount for entry in read]
    seen[name] = (opening + sum(entries), closing)
    print(f"{name}: {opening} and {', '.join(map(str, entries))} are {seen[name][0]}, the bank says {closing}")
if list(seen.values()) != [(180, 100), (100, 100)]:
    sys.exit("otherwise than found")
print("as found")
PY
