"""Coverage-guided fuzzing of every reader: `make fuzz` (FUZZ_SECONDS=..., READER="..." for one of them).

An input that breaks something is written to build/; put it into corpus.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vismanet_async"]):
    from tests.fuzz.corpus import corpus
    from tests.fuzz.readers import READERS, check


def main() -> None:
    only = os.environ.get("READER")
    readers = [READERS[only]] if only else list(READERS.values())

    def test_one_input(data: bytes) -> None:
        # the first byte chooses who reads the rest
        if data:
            check(readers[data[0] % len(readers)], data[1:])

    Path("build").mkdir(exist_ok=True)
    seconds = os.environ.get("FUZZ_SECONDS") or "60"
    with tempfile.TemporaryDirectory(prefix="vismanet-fuzz-") as folder:
        for place, data in enumerate(corpus()):
            for number in range(len(readers)):
                Path(folder, f"{place}-{number}").write_bytes(bytes([number]) + data[:4_000])
        atheris.Setup([sys.argv[0], folder, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10",
                       "-artifact_prefix=build/",
                       "-rss_limit_mb=2048", "-print_final_stats=1", *sys.argv[1:]], test_one_input)  # fmt: skip
        atheris.Fuzz()


if __name__ == "__main__":
    main()
