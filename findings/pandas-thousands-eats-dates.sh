#!/usr/bin/env bash
# decimal="," and thousands="." is how amounts are written in Denmark and Germany, and 31.12.2025 is how dates are. The points
# of every column go, whatever stands between them: a date becomes the number 31122025, and an article number 10.11 becomes
# 1011.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pandas==3.1.1
echo "pandas 3.1.1"
venv/bin/python - <<'PY'
import io
import sys

import pandas as pd

text = "date;article;amount\n31.12.2025;10.11;1.234,50\n01.02.2025;10.12;17,00\n"
row = pd.read_csv(io.StringIO(text), sep=";", decimal=",", thousands=".").iloc[0].to_list()
plain = pd.read_csv(io.StringIO(text), sep=";", decimal=",").iloc[0].to_list()
print(f"the first line:      {text.splitlines()[1]}")
print(f"with thousands='.':  {', '.join(map(str, map(float, row)))}")
print(f"without:             {', '.join(map(str, plain))}")
if row != [31122025, 1011, 1234.5] or plain[0] != "31.12.2025":
    sys.exit("otherwise than found")
print("as found")
PY
