"""Writes the first sentences of the models' docstrings: what brings a model, what sends it, or what it is part of."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vismanet_async._api.generator.plan import Method, ResourcePlan
    from vismanet_async._api.generator.shapes import ModelClass

__all__ = ["model_uses"]

_WIDTH: Final = 108


def model_uses(classes: Mapping[str, ModelClass], resources: Sequence[ResourcePlan]) -> dict[str, str]:
    """Return a sentence for each model that has a use to tell of, by the model's name."""
    rows, answers, bodies, items, parts = (defaultdict[str, list[str]](list) for _ in range(5))
    for resource in resources:
        for method in resource.methods:
            name = f"{resource.module}.{method.name}"
            (rows if method.call == "list" else answers)[method.result or ""].append(name)
            bodies[_body_of(method)].append(name)
            items[method.items[1] if method.items else ""].append(name)
    for one in classes.values():
        for field in one.fields:
            if field.ref:
                parts[field.ref].append(f"{one.name}.{field.name}")
    uses = {
        "returned by {}": answers,
        "a row of {}": rows,
        "the body of {}": bodies,
        "in the list that {} takes": items,
        "the type of {}": parts,
    }
    return {name: _sentence({what: named[name] for what, named in uses.items() if named[name]}) for name in classes}


def _sentence(uses: Mapping[str, list[str]]) -> str:
    """Return one that fits a line: with two names of each use, or one, or of the first uses alone."""
    text = ""
    for most, told in ((2, len(uses)), *((1, number) for number in range(len(uses), 0, -1))):
        text = "; ".join(what.format(_shown(names, most)) for what, names in islice(uses.items(), told))
        if len(text) < _WIDTH:
            break
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _body_of(method: Method) -> str:
    return "" if method.items or method.body is None else method.body


def _shown(names: Iterable[str], most: int) -> str:
    """Return one name or two, the shortest first, and how many there are more."""
    distinct = sorted(set(names), key=lambda name: (len(name), name))
    shown = [f"`{name}`" for name in distinct[:most]]
    more = len(distinct) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else " and ".join(shown)
