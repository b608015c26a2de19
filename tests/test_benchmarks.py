"""What the benchmarks compare, as far as it can be said without measuring."""

from __future__ import annotations

import importlib
from pathlib import Path
from time import thread_time
from typing import get_args

import pytest

from benchmarks.against import SUBJECTS, paired, touched
from benchmarks.clients import CLIENTS
from benchmarks.groups import GROUPS, Figure, Group
from benchmarks.report import HEADINGS
from benchmarks.stages import STAGES, Clocks

PACKAGE = Path(__file__).parents[1] / "vismanet_async"


@pytest.mark.parametrize("group", [*GROUPS, paired(SUBJECTS, "0000000")], ids=lambda group: group.name)
def test_groups_name_what_there_is(group: Group) -> None:
    assert {case.client for case in group.cases} <= CLIENTS.keys()
    names = {case.name for case in group.cases}
    assert len(names) == len(group.cases)
    for target in group.targets:
        assert target.names <= names
    assert group.reference is None or group.reference in names


def test_every_figure_has_a_heading() -> None:
    assert set(get_args(Figure)) <= HEADINGS.keys()


def test_a_change_is_measured_where_it_can_be_felt() -> None:
    told = [each.name for each in touched(["vismanet_async/_export/sinks/csv.py"])]
    assert told == ["JSON lines", "JSON lines, 100 ms", "Parquet", "CSV", "import"]
    assert touched([]) == list(SUBJECTS)
    for folder in {folder for each in SUBJECTS for folder in each.folders}:
        assert any(str(path.relative_to(PACKAGE)).startswith(folder) for path in PACKAGE.rglob("*.py")), folder


def test_stages_are_functions_that_there_are() -> None:
    for _, _, where, name in STAGES:
        module, _, owner = where.partition(":")
        found = importlib.import_module(module)
        assert callable(getattr(getattr(found, owner) if owner else found, name)), f"{where}.{name}"


def test_a_stage_within_a_stage_is_counted_once() -> None:
    def busy() -> None:
        until = thread_time() + 0.01
        while thread_time() < until:
            pass

    class Page:
        def inner(self) -> None:
            busy()

        def outer(self) -> None:
            self.inner()

    clocks = Clocks()
    clocks.wrap(Page, "inner", "inside")
    clocks.wrap(Page, "outer", "around")
    began = thread_time()
    Page().outer()
    took = thread_time() - began
    assert 0.01 <= clocks.seconds["inside"] <= took
    assert 0 <= clocks.seconds["around"] <= took - clocks.seconds["inside"]
