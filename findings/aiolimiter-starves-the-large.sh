#!/usr/bin/env bash
# Waiting calls of aiolimiter go by their size, not by their turn: the smallest first. A call for many points, as for an
# export, waits as long as small ones keep coming, though it came first and the limit is never exceeded.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check aiolimiter==1.3.0
echo "aiolimiter 1.3.0"
venv/bin/python - <<'PY'
import asyncio
import sys

from aiolimiter import AsyncLimiter


async def main() -> list[str]:
    limiter, order = AsyncLimiter(4, 0.4), []

    async def call(name: str, points: int) -> None:
        await limiter.acquire(points)
        order.append(name)

    await limiter.acquire(4)
    calls = [asyncio.create_task(call("export", 4))]
    await asyncio.sleep(0)
    calls += [asyncio.create_task(call(f"row {number}", 1)) for number in range(1, 9)]
    await asyncio.gather(*calls)
    return order


order = asyncio.run(main())
print(f"asked for: export, row 1 to row 8; given: {', '.join(order)}")
if order.index("export") != 8:
    sys.exit("otherwise than found")
print("as found")
PY
