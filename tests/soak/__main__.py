"""`make soak`: minutes to hours of everything at once. Prints its seed first and what came of it last.

SOAK_SECONDS (300), SOAK_SEED (a random one), SOAK_RECORD (a file that one line of JSON is added to).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

# Arrow's own allocator keeps what it once had; the system's gives it back, so that growth is a leak
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from tests.soak.soak import soak


def main() -> int:
    seconds = float(os.environ.get("SOAK_SECONDS") or 300)
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**9))
    print(
        f"soaking for {seconds:.0f} s; the same again: make soak SOAK_SECONDS={seconds:.0f} SOAK_SEED={seed}",
        flush=True,
    )
    record = soak(seed, seconds=seconds)
    line = json.dumps(record.as_dict())
    print(line)
    if target := os.environ.get("SOAK_RECORD"):
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    for text in record.wrong:
        print(f"BROKEN: {text}")
    print(f"{record.rounds} rounds, {record.requests} requests, {sum(record.faults.values())} faults: "
          f"{'every promise kept' if not record.wrong else f'{len(record.wrong)} promises broken'}")  # fmt: skip
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
