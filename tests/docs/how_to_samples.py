"""Write the table of Visma's how-to samples: `python -m tests.docs.how_to_samples`; `--check` compares.

The samples are data (`tests/data/how_to_samples.json`), and `tests/api/test_how_to_samples.py` sends each of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "how-to" / "visma-samples.md"
SAMPLES: Final = json.loads((ROOT / "tests" / "data" / "how_to_samples.json").read_text("utf-8"))

_HEAD: Final = """# Visma's samples

Written by `make generate` from the samples of [Visma's how-to pages][how-tos], as they were on 2026-01-28; do not edit
by hand. Each body is sent word for word by a test, and answered as documented by the [simulator](../simulator.md).
Where a sample may not do what its title says, `DoubtfulWrite` warns at the line of the call:

[how-tos]: https://docs.vismasoftware.no/vismanetapi/how-tos/

```python page
import warnings

from vismanet_async.errors import DoubtfulWrite

warnings.simplefilter("error", DoubtfulWrite)  # refuse them instead: nothing is sent
try:
    await visma.purchase_order.create({"date": "2019-12-27T09:46:11.202Z"})
except DoubtfulWrite as doubt:
    print(doubt)
```

```text output
date has a time zone (2019-12-27T09:46:11.202Z), as in Visma's samples: ... Send "2019-12-27". It is sent as given.
```

## Bodies

| sample | call | documented answer | here |
|---|---|---|---|
"""
_QUERIES: Final = """
## Queries

| sample | call |
|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    return _HEAD + "".join(map(_body, SAMPLES["requests"])) + _QUERIES + "".join(map(_query, SAMPLES["queries"]))


def _body(sample: dict[str, Any]) -> str:
    ids = "".join(f"{one!r}, " for one in sample["ids"]).replace("'", '"')
    shown = f"sent, with `DoubtfulWrite`: {sample['trap']}" if "warns" in sample else "sent"
    return f"| {sample['title']} | `visma.{sample['method']}({ids}body)` | {sample['answer']} | {shown} |\n"


def _query(sample: dict[str, str]) -> str:
    note = f"; {sample['note']}" if "note" in sample else ""
    return f"| `{sample['url']}` | `visma.{sample['call']}`{note} |\n"


def main() -> int:
    """Write the page, or compare it; return the exit code."""
    text = page()
    if "--check" in sys.argv and PAGE.read_text("utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is not what the samples say: make generate")  # noqa: T201 - a command
        return 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
