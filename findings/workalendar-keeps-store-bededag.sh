#!/usr/bin/env bash
# Denmark abolished Store Bededag, the Friday in the fourth week after Easter, from 2024 on. workalendar keeps it: a payment
# due in one working day from 15 May 2025 moves from Friday to Monday. Known since then:
# https://github.com/workalendar/workalendar/issues/762
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check workalendar==17.0.0 holidays==0.109
echo "workalendar 17.0.0, holidays 0.109"
venv/bin/python - <<'PY'
import datetime
import sys

import holidays
from workalendar.europe import Denmark

day = datetime.date(2025, 5, 15)
by_workalendar = Denmark().add_working_days(day, 1)
by_holidays = holidays.Denmark(years=2025).get_nth_working_day(day, 1)
print(f"one working day after {day:%A %d %B %Y}")
print(f"workalendar: {by_workalendar:%A %d %B %Y}")
print(f"holidays:    {by_holidays:%A %d %B %Y}")
if (by_workalendar, by_holidays) != (datetime.date(2025, 5, 19), datetime.date(2025, 5, 16)):
    sys.exit("otherwise than found")
print("as found")
PY
