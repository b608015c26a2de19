#!/usr/bin/env bash
# aiocsv takes the csv module's dialects. With skipinitialspace it skips the space, but no longer sees that a quote follows:
# the quote stays in the cell, and a comma inside of it begins a new one, so that the amount moves to another column.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check aiocsv==1.4.1
echo "aiocsv 1.4.1"
venv/bin/python - <<'PY'
import asyncio
import csv
import io
import sys

import aiocsv

text = 'name, city, amount\n"Berg, Nils", "Lund, Skane", 17\n'


class File:
    def __init__(self) -> None:
        self.text = io.StringIO(text, newline="")

    async def read(self, size: int) -> str:
        return self.text.read(size)


async def rows() -> list[list[str]]:
    return [row async for row in aiocsv.AsyncReader(File(), skipinitialspace=True)]


expected = list(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True))[1]
seen = asyncio.run(rows())[1]
print(f"csv:    {expected}")
print(f"aiocsv: {seen}")
if expected != ["Berg, Nils", "Lund, Skane", "17"] or seen != ["Berg, Nils", '"Lund', 'Skane"', "17"]:
    sys.exit("otherwise than found")
print("as found")
PY
