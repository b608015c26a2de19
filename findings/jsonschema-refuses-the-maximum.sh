#!/usr/bin/env bash
# jsonschema takes a Decimal for a number, so an answer can be read exactly and checked. The schema has floats, and the two
# are compared as they are: the maximum itself is too much, an integer is none, and multipleOf ends in a TypeError.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jsonschema==4.26.0
echo "jsonschema 4.26.0"
venv/bin/python - <<'PY'
import json
import sys
from decimal import Decimal

from jsonschema import Draft202012Validator

seen = {}
for schema, number in (
    ('{"maximum": 999999.99}', "999999.99"),
    ('{"enum": [0.15, 0.25]}', "0.15"),
    ('{"type": "integer"}', "5.0"),
    ('{"multipleOf": 0.5}', "2.5"),
):
    validator = Draft202012Validator(json.loads(schema))
    as_float, exact = json.loads(number), json.loads(number, parse_float=Decimal)
    try:
        ended = validator.is_valid(exact)
    except TypeError as error:
        ended = type(error).__name__
    seen[schema] = (validator.is_valid(as_float), ended)
    print(f"{schema}, {number}: valid as float {seen[schema][0]}, as Decimal {ended}")
if list(seen.values()) != [(True, False), (True, False), (True, False), (True, "TypeError")]:
    sys.exit("otherwise than found")
print("as found")
PY
