"""Filters and parameters as words: `--where NAME=VALUE`, `--where 'NAME>=VALUE'`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from vismanet_async._api.registry import method_facts
from vismanet_async._conditions import Condition
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._conditions import Operator

__all__ = ["read_where", "refuse_bare_conditions", "refuse_half_characters"]

_WHERE: Final = re.compile(r"(?:(?P<resource>\w+)\.)?(?P<name>\w+)(?P<operator>>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_CONDITIONS: Final = frozenset({"condition", "number_condition"})


def read_where(text: str) -> tuple[str | None, str, Any]:
    """Return resource (if named), name and value; a comparison becomes a condition.

    Examples:
        >>> read_where("status=Active"), read_where("customer.name=a>=b")
        ((None, 'status', 'Active'), ('customer', 'name', 'a>=b'))

    Raises:
        RequestRefused: it is no such text.
    """
    refuse_half_characters("--where", text)
    match = _WHERE.fullmatch(text)
    if match is None:
        raise RequestRefused(f"--where {text!r} is not NAME=VALUE (nor >=, <=, >, <); nothing was sent.")
    name, operator, value = match.group("name", "operator", "value")
    return match["resource"], name, value if operator == "=" else Condition(cast("Operator", operator), value)


def refuse_half_characters(name: str, text: str | None) -> None:
    """Refuse a word of the command line that is no UTF-8: its bytes come as halves of surrogate pairs.

    Raises:
        RequestRefused: it is one; nothing was sent.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise RequestRefused(f"{name}: {text!a} is not UTF-8; nothing was sent.") from None


def refuse_bare_conditions(resource: str, method: str, arguments: Mapping[str, Any]) -> None:
    """Refuse values without a comparison where the API would ignore them.

    Raises:
        RequestRefused: there is one; nothing was sent.
    """
    for parameter in method_facts(resource, method).get("parameters", ()):
        name = parameter["name"]
        if parameter["kind"] in _CONDITIONS and isinstance(arguments.get(name), str):
            raise RequestRefused(
                f"the filter {name} takes a comparison, such as --where '{name}>={arguments[name]}': the API ignores a "
                "bare value and returns everything; nothing was sent."
            )
