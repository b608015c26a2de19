#!/usr/bin/env bash
# SIE, Sweden's format for bookkeeping, lets amounts be written without decimals, and words without quotes. pysie-accounting
# passes over such balances and vouchers without an error: the trial balance is short of what happens to be a round sum.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pysie-accounting==0.0.2 pandas==3.1.1
echo "pysie-accounting 0.0.2, pandas 3.1.1"
venv/bin/python - <<'PY'
import datetime
import sys
from pathlib import Path

from pysie_accounting.pysie import PySIE

Path("year.se").write_text(
    '#FLAGGA 0\n#SIETYP 4\n#ORGNR 5560360793\n#FNAMN "Example AB"\n#RAR 0 20250101 20251231\n'
    '#KONTO 1510 "Receivables"\n#SRU 1510 7251\n#KONTO 1930 "Bank"\n#SRU 1930 7281\n'
    "#IB 0 1510 1000\n#IB 0 1930 2500.50\n#UB 0 1510 1200\n#UB 0 1930 3000.00\n"
    '#VER "A" "1" 20250115 "Quoted" 20250115\n{\n#TRANS 1510 {} 200.00\n#TRANS 1930 {} -200.00\n}\n'
    "#VER A 2 20250116 Unquoted 20250116\n{\n#TRANS 1510 {} 50.00\n#TRANS 1930 {} -50.00\n}\n",
    "utf-8",
)
Path("boxes.csv").write_text("SRU,Ink2\n7251,2.18\n7281,2.26\n", "utf-8")
book = PySIE()
book.open_trans("boxes.csv")
book.open("year.se")
opening = {int(row.Konto): float(row.Balance) for row in book.dfib.itertuples()}
print(f"opening balances of 1510 and 1930: {opening}")
print(f"vouchers of 1 and 2:               {', '.join(book.verifikat)}")
if opening != {1930: 2500.5} or len(book.verifikat) != 1:
    sys.exit("otherwise than found")
print("as found")
PY
