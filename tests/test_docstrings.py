"""Examples in docstrings give what they show; whatever users import has one."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT
from tests.docs.docstrings import EXAMPLES, Examples

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = {examples.docstring.name for examples in EXAMPLES}
_FACES = ("vismanet_async", *(f"vismanet_async.{face}" for face in ("exports", "jobs", "bulk", "webhooks")))
_ONLY_LOOKED_AT = {
    # records and protocols: what is in them, or has to be implemented, is all there is to them
    *(
        "CallInfo",
        "CallObserver",
        "Clock",
        "AdaptiveLimit",
        "Condition",
        "Done",
        "ExportInfo",
        "JobInfo",
        "ResourceObserver",
    ),
    *("Customer", "CustomerUpdate", "Execution"),
    *("EventName", "FinancialEvent", "SalesOrderEvent"),
    *(
        "JobStore",
        "JobUnknown",
        "LeaseLost",
        "JobRecord",
        "JobResult",
        "OperationSummary",
        "Progress",
        "Record",
        "State",
        "StoreNotUsable",
    ),
    *("Bulk", "BulkProgress", "JournalBusy", "Mistake", "Outcome", "RowResult"),
    *("Company", "CompanyDone", "CompanyEvent", "CompanyOutcome", "CompanyProgress", "CompanyStarted", "Event"),
    *("ExportMany", "ManyEvent", "ManyOutcome", "Manifest", "PageWritten", "Part", "Published", "RequestEnded"),
    *("ResourceDone", "ResourceEntry", "ResourceIncomplete", "SystemClock", "File", "UnsetType"),
    "diagnose",  # docs/doctor.md runs it
}


def _documented() -> set[str]:
    """Return what the reference's pages show."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    return {name for page in pages for name in re.findall(r"^::: (\S+)", page.read_text("utf-8"), re.MULTILINE)}


def _public() -> list[str]:
    """Return the public classes and functions that an example can show."""
    shown = {f"{face}.{name}" for face in _FACES for name in importlib.import_module(face).__all__} | _documented()
    return sorted(path for path in shown if path.rpartition(".")[2] not in _ONLY_LOOKED_AT)


@pytest.mark.parametrize("examples", EXAMPLES, ids=[examples.name for examples in EXAMPLES])
def test_examples_give_what_they_show(examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples.run(tmp_path, monkeypatch)


def test_what_is_only_looked_at_is_public() -> None:
    public = {name for face in _FACES for name in importlib.import_module(face).__all__}
    public |= {path.rpartition(".")[2] for path in _documented()}
    assert public >= _ONLY_LOOKED_AT


@pytest.mark.parametrize("path", _public())
def test_what_users_import_has_an_example(path: str) -> None:
    face, _, name = path.rpartition(".")
    thing = importlib.import_module(path) if path in sys.modules else getattr(importlib.import_module(face), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert f"{thing.__module__}.{thing.__name__}" in _NAMES
    elif inspect.ismodule(thing):
        assert any(known.startswith(f"{path}.") for known in _NAMES)
