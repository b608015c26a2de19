#!/usr/bin/env bash
# A call that its own side cancels, because a user left or a shutdown began, says nothing about the server. purgatory's
# circuit breaker counts it as a failure: a few cancelled calls, and everybody else is refused.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check purgatory==3.0.1
echo "purgatory 3.0.1"
venv/bin/python - <<'PY'
import asyncio
import sys

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

breakers = AsyncCircuitBreakerFactory(default_threshold=3, default_ttl=60)


async def call(started: asyncio.Event, answer: asyncio.Event) -> str:
    async with await breakers.get_breaker("server"):
        started.set()
        await answer.wait()
        return "answered"


async def main() -> str:
    for _ in range(3):
        started = asyncio.Event()
        leaving = asyncio.create_task(call(started, asyncio.Event()))
        await started.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    there = asyncio.Event()
    there.set()
    try:
        return await call(asyncio.Event(), there)
    except OpenedState as error:
        return type(error).__name__


ended = asyncio.run(main())
print(f"the next call, after three cancelled ones: {ended}")
if ended != "OpenedState":
    sys.exit("otherwise than found")
print("as found")
PY
