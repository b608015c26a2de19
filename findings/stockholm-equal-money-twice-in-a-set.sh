#!/usr/bin/env bash
# Two amounts of stockholm that are equal have different hashes if one has more zeros: a set holds both, a dictionary does not
# find the other, and duplicates of payments are not seen.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check stockholm==0.5.7
echo "stockholm 0.5.7"
venv/bin/python - <<'PY'
import sys

from stockholm import Money

one, other = Money("1.10", "NOK"), Money("1.1", "NOK")
paid = {one: "invoice 17"}
print(f"equal:             {one == other}")
print(f"in a set:          {len({one, other})}")
print(f"looked up by it:   {paid.get(other)}")
if one != other or len({one, other}) != 2 or other in paid:
    sys.exit("otherwise than found")
print("as found")
PY
