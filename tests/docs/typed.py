"""Write the pages' Python to files for the type checker: `python -m tests.docs.typed DIRECTORY`.

Each line stands where it stands on its page, so that `paging.py:12` in a message is line 12 of `paging.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.docs.blocks import pages

if TYPE_CHECKING:
    from tests.docs.blocks import Block, Page

_IMPORTS: Final = "from vismanet_async import VismaNet; from vismanet_async.simulator import Simulator"
_HEAD: Final = (
    f"from __future__ import annotations; {_IMPORTS}",
    "async def page(visma: VismaNet, sim: Simulator) -> None:",
)


def programs(page: Page) -> dict[str, str]:
    """Give the files of one page by name."""
    stem = page.name.removesuffix(".md").replace("/", "_").replace("-", "_")
    files = {}
    together: list[str] = []
    for block in page.blocks:
        if block.language == "python" and block.mode == "page":
            _place(together, block)
        elif block.language == "python":
            files[f"{stem}_{block.line}.py"] = block.at_its_line
    if together:
        files[f"{stem}.py"] = "\n".join([*_HEAD, *together[len(_HEAD) :]]) + "\n"
    return files


def _place(lines: list[str], block: Block) -> None:
    lines.extend("" for _ in range(block.line - len(lines)))
    lines.extend(f"    {line}" if line else "" for line in block.code.splitlines())


def main(target: Path) -> None:
    """Write them all; the directory's own Python files are removed first."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.py"):
        old.unlink()
    for page in pages():
        for name, code in programs(page).items():
            (target / name).write_text(code, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
