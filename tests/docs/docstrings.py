"""Runs the examples of docstrings as a Python prompt would, with top-level `await`.

An example finds its module's names and the package's public ones. Where it speaks of `visma` or `sim`, these are an
open client and the simulator that it is signed in to, new for each docstring; the current folder is its own.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import re
import traceback
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import vismanet_async
from tests.docs.blocks import ROOT
from tests.docs.running import QuickClock, company
from vismanet_async import VismaNet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EXAMPLES", "Examples"]

_ELLIPSIS: Final = doctest.ELLIPSIS
_COMPANY: Final = re.compile(r"\b(visma|sim)\b")


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
        names = {name: getattr(vismanet_async, name) for name in vismanet_async.__all__}
        names |= vars(importlib.import_module(self.module))
        monkeypatch.chdir(folder)
        with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
            if any(_COMPANY.search(example.source) for example in self.docstring.examples):
                simulator = stack.enter_context(company())
                for name, value in simulator.environment().items():
                    monkeypatch.setenv(name, value)
                visma = VismaNet.from_env(job_store=folder / "jobs.sqlite", clock=QuickClock())
                stack.callback(lambda: runner.run(visma.aclose()))
                names |= {"visma": visma, "sim": simulator}
            for example in self.docstring.examples:
                self._run(example, names, runner)

    def _run(self, example: doctest.Example, names: dict[str, Any], runner: asyncio.Runner) -> None:
        printed = io.StringIO()
        code = compile(
            example.source, f"<{self.name}>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        try:
            with contextlib.redirect_stdout(printed):
                result = eval(code, names)
                if inspect.iscoroutine(result):
                    runner.run(result)
        except Exception as error:  # whatever it is, it is what the example shows, or the example is wrong
            if example.exc_msg is None:
                raise
            got, want = traceback.format_exception_only(error)[-1], example.exc_msg
        else:
            got, want = printed.getvalue(), example.want if example.exc_msg is None else example.exc_msg
        if not doctest.OutputChecker().check_output(want, got, _ELLIPSIS):
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
