#!/usr/bin/env bash
# .NET writes moments with seven digits of a second. msgspec rounds the seventh instead of dropping it, and carries: the last
# moment of a year becomes the first of the next. datetime.fromisoformat drops it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check msgspec==0.22.0
echo "msgspec 0.22.0"
venv/bin/python - <<'PY'
import sys
from datetime import datetime

import msgspec

text = "2025-12-31T23:59:59.9999999"
decoded = msgspec.json.decode(f'"{text}"', type=datetime)
parsed = datetime.fromisoformat(text)
print(f"msgspec:  {text} is {decoded}")
print(f"datetime: {text} is {parsed}")
if decoded != datetime(2026, 1, 1) or parsed != datetime(2025, 12, 31, 23, 59, 59, 999999):
    sys.exit("otherwise than found: the year stays")
print("as found")
PY
