#!/usr/bin/env bash
# A filter of pyiceberg with a Decimal of another scale than the column's is refused. A float it rounds to the column's scale,
# and then compares: 2.00 is not greater than 1.999, since that has become 2.00, and not less than 2.004.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check 'pyiceberg[sql-sqlite,pyarrow]==0.12.0' pyarrow==26.0.1
echo "pyiceberg 0.12.0, pyarrow 26.0.1"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import GreaterThan, LessThan

here = Path.cwd()
catalog = SqlCatalog("c", uri=f"sqlite:///{here}/catalog.db", warehouse=f"file://{here}/lake")
catalog.create_namespace("n")
rows = pa.table({"price": pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("3.00")], pa.decimal128(10, 2))})
table = catalog.create_table("n.prices", schema=rows.schema)
table.append(rows)
seen = []
for condition in (GreaterThan, LessThan):
    for limit in (1.999, 2.004):
        found = table.scan(row_filter=condition("price", limit)).to_arrow()["price"].to_pylist()
        seen.append([str(price) for price in found])
        print(f"{condition.__name__}({limit}): {', '.join(seen[-1])}")
try:
    table.scan(row_filter=GreaterThan("price", Decimal("1.999"))).to_arrow()
    exact = "found something"
except ValueError as error:
    exact = str(error)
print(f"GreaterThan(Decimal('1.999')): {exact}")
if seen != [["3.00"], ["3.00"], ["1.00"], ["1.00"]] or "Could not convert 1.999" not in exact:
    sys.exit("otherwise than found")
print("as found")
PY
