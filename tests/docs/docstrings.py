"""Runs the examples of docstrings as a Python prompt would, with top-level `await`.

An example finds its module's names, the package's public ones, and what the blocks of a page find: `visma`, an open
client, and `sim`, the simulator that it is signed in to. All of it is new for each docstring.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import traceback
from typing import TYPE_CHECKING, Final

import attrs
import pytest

import vismanet_async
from tests.docs.blocks import ROOT
from tests.docs.running import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.running import Session

__all__ = ["EXAMPLES", "Examples"]


@attrs.frozen
class Examples:
    """Those of one docstring."""

    module: str
    docstring: doctest.DocTest = attrs.field(repr=False)

    @property
    def name(self) -> str:
        return self.docstring.name.removeprefix("vismanet_async.")

    def run(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run them in order; fails where they show something else than what comes."""
        with open_session(folder, monkeypatch) as session:
            public = {name: getattr(vismanet_async, name) for name in vismanet_async.__all__}
            session.names = public | vars(importlib.import_module(self.module)) | session.names
            for example in self.docstring.examples:
                self._run(example, session)

    def _run(self, example: doctest.Example, session: Session) -> None:
        printed = io.StringIO()
        code = compile(
            example.source, f"<{self.name}>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        try:
            with contextlib.redirect_stdout(printed):
                session.execute(code)
        except Exception as error:  # whatever it is, it is what the example shows, or the example is wrong
            if example.exc_msg is None:
                raise
            got, want = traceback.format_exception_only(error)[-1], example.exc_msg
        else:
            got, want = printed.getvalue(), example.want if example.exc_msg is None else example.exc_msg
        if not doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS):
            pytest.fail(f"{self.name}: {example.source}shows\n{want}\nand gives\n{got}", pytrace=False)


def _found() -> list[Examples]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = []
    for path in sorted((ROOT / "vismanet_async").rglob("*.py")):
        if ">>> " not in path.read_text("utf-8"):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tests = finder.find(importlib.import_module(module), module)
        found += [Examples(module, test) for test in tests if test.examples]
    return found


EXAMPLES: Final = _found()
