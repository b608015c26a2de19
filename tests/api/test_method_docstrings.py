"""What an editor shows of a method: each parameter with its meaning, allowed values and facts."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from vismanet_async._api.generator import docstrings
from vismanet_async._api.registry import registry

FACTS = (Path(__file__).parents[2] / "docs" / "facts.md").read_text("utf-8")
RESOURCES = {name: facts for name, facts in registry()["resources"].items() if name != "sales_order_service"}


def methods(resource: str) -> dict[str, Any]:
    module = import_module(f"vismanet_async._api.resources.{resource}")
    found = vars(getattr(module, RESOURCES[resource]["class"]))
    return {name: inspect.unwrap(method) for name, method in found.items() if inspect.isfunction(method)}


def arguments(method: Any) -> dict[str, str]:
    """Read the texts of the section Args."""
    text = inspect.cleandoc(method.__doc__).partition("\nArgs:\n")[2].partition("\n\n")[0]
    return {
        name: " ".join(told.split())
        for name, told in re.findall(r"^    (\w+): ((?:.|\n(?!    \w+: ))*)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("resource", RESOURCES)
def test_each_parameter_is_told(resource: str) -> None:
    for name, method in methods(resource).items():
        told = arguments(method)
        for one in RESOURCES[resource]["methods"].get(name, {}).get("parameters", ()):
            values = registry()["enums"].get(one.get("enum"), ())
            assert all(f"`{value}`" in told[one["name"]] for value in values[:12])
        assert list(told) == list(inspect.signature(method).parameters)[1:], name
        for text in told.values():
            assert text.endswith(".")
            assert len(text.split()) > 2
            for number in re.findall(r"facts (\d+\.\d+)", text):
                assert f"**{number} " in FACTS
        assert "\nReturns:\n" in inspect.cleandoc(method.__doc__)
        assert "RequestRefused" in method.__doc__


@pytest.mark.parametrize("resource", RESOURCES)
def test_what_a_write_leaves_behind_is_told(resource: str) -> None:
    for name, facts in RESOURCES[resource]["methods"].items():
        text = methods(resource)[name].__doc__
        assert ("OutcomeUnknown" in text) == (facts["method"] != "GET")
        assert ("PreconditionFailed" in text) == bool(facts.get("if_match"))
        assert facts.get("notice", "") in " ".join(text.split())


def test_no_meaning_is_left_over() -> None:
    used = {
        one["name"]
        for facts in RESOURCES.values()
        for each in facts["methods"].values()
        for one in each.get("parameters", ())
    }
    ids = {
        name for facts in RESOURCES.values() for each in facts["methods"].values() for name, _ in each.get("ids", ())
    }
    assert docstrings.MEANINGS.keys() <= used
    assert docstrings._TEXTS["id"].keys() <= ids
    words = {word for name in used | ids for word in name.split("_")}
    assert docstrings._TEXTS["words"].keys() <= words
