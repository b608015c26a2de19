#!/usr/bin/env bash
# ibis hands a Decimal from Python to DuckDB as DECIMAL without a size, which is DECIMAL(18, 3) there. A filter by a rate with
# four decimals finds nothing or the wrong rows, a default is rounded, and a large amount is out of range.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check 'ibis-framework[duckdb]==12.0.0' duckdb==2.0.0
echo "ibis-framework 12.0.0, duckdb 2.0.0"
venv/bin/python - <<'PY'
import sys
from decimal import Decimal

import ibis
import pyarrow as pa

column = pa.array([Decimal("1.1234"), Decimal("1.1230"), None], pa.decimal128(38, 4))
rates = ibis.memtable(pa.table({"rate": column}))
wanted, default = Decimal("1.1234"), Decimal("0.0625")
found = rates.filter(rates.rate == wanted).to_pyarrow()["rate"].to_pylist()
filled = rates.rate.fill_null(default).to_pyarrow().to_pylist()[-1]
sql = " ".join(ibis.to_sql(ibis.literal(wanted), dialect="duckdb").split())
print(f"as SQL:              {sql}")
print(f"found by {wanted}:    {', '.join(map(str, found))}")
print(f"filled with {default}: {filled.normalize()}")
if found != [Decimal("1.1230")] or filled not in (Decimal("0.062"), Decimal("0.063")):
    sys.exit("otherwise than found")
print("as found")
PY
