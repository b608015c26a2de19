"""Every numbered fact is a switch, is always so, or says why it is not simulated."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from vismanet_async._simulator.fixed_behaviours import WITHOUT_SWITCH
from vismanet_async.simulator import Simulator, list_behaviours

ROOT = Path(__file__).parents[2]
_FACT = re.compile(r"^\*\*(\d+)\.(\d+) ", re.MULTILINE)


def facts() -> set[str]:
    """The numbers of sections 1 to 12 (13 holds open questions)."""
    text = (ROOT / "docs" / "facts.md").read_text("utf-8")
    return {f"{section}.{number}" for section, number in _FACT.findall(text) if int(section) <= 12}


def test_every_fact_is_answered_for_once() -> None:
    switched = {number for one in list_behaviours() for number in re.findall(r"\d+\.\d+", one.source)}
    told = Counter(number for one in WITHOUT_SWITCH for number in one.facts)
    assert switched <= facts()
    assert set(told) <= facts()
    assert max(told.values()) == 1
    assert not facts() - switched - set(told)
    assert len(facts()) > 140


def test_the_page_has_the_table() -> None:
    text = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    for one in WITHOUT_SWITCH:
        kind = "" if one.simulated else "not simulated: "
        assert f"| {', '.join(one.facts)} | {kind}{one.text} |\n" in text


@pytest.mark.parametrize("switch", list_behaviours(), ids=lambda one: one.name)
def test_every_switch_is_turned_by_a_test(switch: object) -> None:
    name = switch.name  # type: ignore[attr-defined] # a Behaviour
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    assert any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in tests), f"no test mentions {name}"


def test_what_the_table_points_to_is_there() -> None:
    sim = Simulator()
    for text in (one.text for one in WITHOUT_SWITCH):
        for path in re.findall(r"`sim\.([a-z_.]+)", text):
            found: object = sim
            for name in path.split("."):
                found = getattr(found, name)
