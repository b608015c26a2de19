"""Examples in docstrings give what they show; whatever users import has one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import vismanet_async
from tests.docs.docstrings import EXAMPLES, Examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("examples", EXAMPLES, ids=[examples.name for examples in EXAMPLES])
def test_examples_give_what_they_show(examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples.run(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", sorted(set(vismanet_async.__all__) - {"__version__", "UNSET", "UnsetType"}))
def test_what_users_import_has_an_example(name: str) -> None:
    thing = getattr(vismanet_async, name)
    names = {examples.docstring.name for examples in EXAMPLES}
    home = f"{inspect.getmodule(thing).__name__}.{thing.__name__}"  # type: ignore[union-attr]  # all have one
    assert home in names
