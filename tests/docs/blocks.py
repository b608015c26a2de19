"""The code blocks of the pages, each with the mode that says how it is held to what the code does.

====================  ================================================================================================
```python run         a program of its own, executed as `__main__`
```python page        executed with the page's other `page` blocks in one namespace, top-level `await` allowed; there,
                      `visma` is an open client of the page's own simulator `sim`
```python types       type-checked only
```console run        each `vismanet` command is executed; what is shown below it is what it prints
```console check      commands, options, make targets and extras exist
```text output        what the block above prints; `...` stands for anything
```text shown         anything else that is to be looked at; also for languages that are not ours
```json parse         parsed, as are toml and yaml
====================  ================================================================================================

An HTML comment that begins with `<!-- python page` is a block that the reader does not see. All Python is also
type-checked (`python -m tests.docs.typed`).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["MODES", "PAGES", "ROOT", "Block", "Page", "pages"]

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    ROOT / "README.md",
    *sorted((ROOT / ".github").glob("*.md")),
    ROOT / "findings" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
MODES: Final = {
    "python": {"run", "page", "types"},
    "console": {"run", "check"},
    "text": {"output", "shown"},
    "json": {"parse"},
    "toml": {"parse"},
    "yaml": {"parse"},
}
"""Languages that are ours; others can only be `shown`."""

_BLOCK: Final = re.compile(
    r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$"
    r"|^<!--[ ](?P<hidden>python[ ]page)\n(?P<hidden_code>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    page: Path
    line: int
    """Of the fence."""
    language: str
    mode: str
    code: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def at_its_line(self) -> str:
        """The code with empty lines before it, so that a failure names the line of the page."""
        return "\n" * self.line + self.code

    def compiled(self, *, flags: int = 0) -> Any:
        return compile(self.at_its_line, str(self.page), "exec", flags=flags, dont_inherit=True)


@attrs.frozen(slots=False)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return [self._block(found) for found in _BLOCK.finditer(self.text)]

    def _block(self, found: re.Match[str]) -> Block:
        line = self.text.count("\n", 0, found.start()) + 1
        language, _, mode = (found["hidden"] or found["info"]).strip().partition(" ")
        code = found["hidden_code"] if found["hidden"] else found["code"]
        indent = found["indent"] or ""
        plain = "".join(part.removeprefix(indent) for part in code.splitlines(keepends=True))
        return Block(self.path, line, language, mode.strip(), plain)


def pages() -> list[Page]:
    return [Page(path) for path in PAGES]
