"""A program that opens one job store in many processes at once: `python -m tests.jobs.openers ADDRESS PROCESSES`.

All are forked before any of them opens anything, and go when the one pipe that they all read is closed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback

from vismanet_async._jobs.sql.store import SqlStore


async def open_and_read(address: str) -> None:
    store = SqlStore(address)
    try:
        await store.open()
        assert await store.select(company="c") == []
    finally:
        await store.aclose()


def main() -> None:
    address, processes = sys.argv[1], int(sys.argv[2])
    gate, start = os.pipe()
    children = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(start)
                os.read(gate, 1)
                asyncio.run(open_and_read(address))
                code = 0
            except BaseException:  # noqa: BLE001 - nothing of a child may go on in its parent's code
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    os.close(start)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    print(f"{processes - failed} of {processes} opened it")  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
