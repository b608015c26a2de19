#!/usr/bin/env bash
# aiohttp-retry passes the same data to each attempt. The first one has read a BytesIO or an asynchronous generator to its
# end: the second sends an empty body, and the server's 200 for it looks like success. A file it finds closed, and raises
# ValueError.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check aiohttp==3.14.5 aiohttp-retry==2.9.1
echo "aiohttp 3.14.5, aiohttp-retry 2.9.1"
venv/bin/python - <<'PY'
import asyncio
import io
import sys

from aiohttp import web
from aiohttp_retry import ExponentialRetry, RetryClient


async def send(data: object) -> tuple[int, list[bytes]]:
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=503 if len(bodies) == 1 else 200)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    again = ExponentialRetry(attempts=2, start_timeout=0.01, statuses={503})
    async with RetryClient(retry_options=again) as client, client.post(
        f"http://127.0.0.1:{runner.addresses[0][1]}/", data=data
    ) as response:
        status = response.status
    await runner.cleanup()
    return status, bodies


async def generate():
    yield b"payment"


seen = {}
for name, data in {"bytes": b"payment", "BytesIO": io.BytesIO(b"payment"), "generator": generate()}.items():
    seen[name] = asyncio.run(send(data))
    print(f"{name}: status {seen[name][0]}, sent {seen[name][1]}")
twice, lost = (200, [b"payment"] * 2), (200, [b"payment", b""])
if list(seen.values()) != [twice, lost, lost]:
    sys.exit("otherwise than found")
print("as found")
PY
