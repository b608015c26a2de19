"""Writes the docstrings of the resources' methods: what an editor shows is the manual of the method.

Meanings that a name does not say come from `parameters.toml`; allowed values, needed ones and limits from the catalog.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from typing import TYPE_CHECKING, Final

from vismanet_async._api.generator import naming
from vismanet_async._api.generator.facts import API
from vismanet_async._codec.fields import camel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vismanet_async._api.generator.plan import Method, Parameter, ResourcePlan

__all__ = ["MEANINGS", "docstring", "modify_docstring", "narrow_list"]

_TEXTS: Final[dict[str, dict[str, str]]] = tomllib.loads((API / "parameters.toml").read_text("utf-8"))
MEANINGS: Final = _TEXTS["parameter"]
_PLAIN_TIME: Final = (
    "When the record was last changed: a plain time, taken as then or later. The API does not say what it means (facts "
    "4.12)."
)
"""By the Python name of a query parameter."""
_WIDTH: Final = 112
_SHOWN_VALUES: Final = 12
_IF_MATCH: Final = (
    "The version to change: a record that was read, what a write answered, or an ETag. If another one is there, "
    "`PreconditionFailed` is raised and nothing is changed (facts 6)."
)
_ANSWERS: Final = {
    "list": "The listing. Await it for all rows in one list, or iterate; pages are fetched meanwhile.",
    "read": "The record, when awaited.",
    "create": "The id and the ETag of what was made, when awaited.",
    "upload": "The id and the ETag of the file, when awaited.",
    "update": "The new ETag, when awaited.",
    "delete": "Nothing, when awaited.",
    "act": "What the action answers, when awaited.",
    "download": "The file: await it for its bytes, or stream it.",
}
_REFUSED: Final = "RequestRefused: An argument that the API would ignore or misread; nothing was sent."
_LOST: Final = "OutcomeUnknown: The answer got lost, and the API may have done it: look before sending it again."
_NUMBERS: Final = ("number", "nbr", "cd", "id", "no")
_MODULES: Final = re.compile(r"(task )?visible in (\w+)$")


def docstring(method: Method, plan: ResourcePlan, enums: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the lines of a method's docstring, indented."""
    what = f"`{method.operation['method']} {method.operation['path']}`"
    notes = [each for each in (*_notes(method, plan), method.notice) if each]
    lines = [f'"""{method.summary or _summary(method, plan)}', "", f"{what}." if notes else what]
    lines += [line for note in notes for line in _wrapped(note, "")]
    arguments = list(_arguments(method, enums))
    if arguments:
        lines += ["", "Args:", *(line for name, text in arguments for line in _wrapped(f"{name}: {text}", "    "))]
    lines += ["", "Returns:", f"    {_ANSWERS[method.call]}", "", "Raises:", f"    {_REFUSED}"]
    if method.operation["method"] != "GET":
        lines.append(f"    {_LOST}")
    return [f"        {line}".rstrip() for line in [*lines, '"""']]


def modify_docstring(update: Method) -> list[str]:
    """Return the lines of the docstring of a method that reads, changes and writes."""
    ids = [line for name, kind in update.ids for line in _wrapped(f"{name}: {_id(name, kind)}", "    ")]
    lines = [
        '"""Read the record, apply `change` and write what it gives, unless somebody else wrote in between.',
        "",
        "If somebody did, it is read and changed again. Tasks of one client take turns at one record.",
        "",
        "Args:",
        *ids,
        "    change: Gives what to write from the present record: a model, a mapping, or None to leave it. It may be",
        "        called several times, so it must have no effects of its own.",
        "    attempts: How often to write at most.",
        "",
        "Returns:",
        "    The new ETag.",
        "",
        "Raises:",
        "    PreconditionFailed: Others wrote first each time; nothing was changed here.",
        "    OutcomeUnknown: An answer got lost, and the record does not show whether the change was made.",
        f"    {_REFUSED}",
        '"""',
    ]
    return [f"        {line}".rstrip() for line in lines]


def _summary(method: Method, plan: ResourcePlan) -> str:
    thing = naming.docstring_name(plan.class_name.removesuffix("Resource").removesuffix("Service"))
    a_thing = f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"
    path = method.operation["path"]
    part = re.sub(r"(^|_)(by_.*|v\d)$", "", method.name.partition("_")[2]).replace("_", " ").strip()
    place = 3 if method.service == "erp" else 4  # behind /v1/customer or /api/v3/SalesOrders
    is_inside = path.split("/")[place : place + 1] and path.split("/")[place].startswith("{")
    named = f"{part} of {a_thing}" if is_inside else part
    one = f"the {named}" if part else a_thing
    return {
        "list": f"List {named if part else naming.plural(thing)}.",
        "read": f"Read {one}.",
        "create": f"Create {named if part else a_thing}.",
        "update": f"Change {one}; only the fields given change.",
        "delete": f"Delete {one}.",
        "act": f"Run the action `{path.partition('/action/')[2].partition('/')[0]}` on {a_thing}.",
        "upload": f"Attach a file to {'a line of ' if 'line' in method.name else ''}{a_thing}.",
        "download": f"Fetch {a_thing} as a file.",
    }[method.call]


def _notes(method: Method, plan: ResourcePlan) -> Iterator[str]:
    if method.narrower:
        yield f"With `{method.narrower}` it is `{narrow_list(method, plan).name}`."
    if method.call == "read" and any(one.kind == "choices" for one in method.parameters):
        yield "A part that `expand` does not name is `UNSET`: not asked for, which is not empty."
    if method.max_page_size_expanded:
        yield f"With `expand` a page has at most {method.max_page_size_expanded} rows."
    if not method.operation["background"] and method.service == "erp":
        yield "It cannot run in the background."
    if names := [naming.snake(one) for one in method.operation.get("one_of", ())]:
        yield f"The API wants one of {' and '.join(names)}."


def narrow_list(method: Method, plan: ResourcePlan) -> Method:
    """Return the list that has in its path what is a parameter of this one."""
    ids = [method.narrower]
    return next(one for one in plan.methods if one.call == "list" and ids == [name for name, _ in one.ids])


# --- arguments -----------------------------------------------------------------------------------------------------


def _arguments(method: Method, enums: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for name, kind in method.ids:
        yield name, _id(name, kind)
    if method.items:
        yield method.items[0], f"Several of `{method.items[1]}`, or mappings of their fields."
    elif method.body:
        many = "Several of `" if method.body_many else "A `"
        cleared = " None clears a field." if method.call == "update" else ""
        yield "body", f"{many}{method.body}`, or a mapping of its fields by their names here or the API's.{cleared}"
    if method.call == "upload":
        yield "file", 'What to attach, such as `Upload(Path("receipt.pdf"))`.'
    if method.selection:
        yield method.selection.name, f"The {_words(method.selection.name)}. {_how(method.selection, enums)}"
    if method.narrower:
        yield method.narrower, f"Only those with this {_words(method.narrower)}."
    for one in method.parameters:
        yield one.name, _parameter(one, method, enums)
    yield from _options(method)


def _options(method: Method) -> Iterator[tuple[str, str]]:
    if method.call == "list" and method.style != "unpaged":
        most = f"; at most {method.max_page_size}" if method.max_page_size else ""
        yield "page_size", f"Rows in one page{most}. Left out, as many as the API gives at most (facts 4.2)."
    if method.call == "list":
        yield "limit", "At most so many rows, and no claim about the rest."
    if method.if_match:
        more = " Honoured only as a background job, and refused otherwise." if method.if_match == "background" else ""
        more = " The service refuses the call without it." if method.if_match == "needed" else more
        yield "if_match", _IF_MATCH + more
    what = "one page" if method.call == "list" else "the whole call"
    yield "timeout_seconds", f"For {what}, its waits included. Left out, the client's."


def _id(name: str, kind: str) -> str:
    text = _TEXTS["id"].get(name, f"The {_words(name)}.")
    return f"{text} Text: leading zeros count (facts 12.4)." if kind == "str" and name.endswith(_NUMBERS) else text


def _parameter(one: Parameter, method: Method, enums: Mapping[str, tuple[str, ...]]) -> str:
    text = _PLAIN_TIME if one.json == method.operation.get("changed_since") else MEANINGS.get(one.name)
    parts = [text or _meaning(one, filters=method.call == "list"), _how(one, enums)]
    if one.required:
        parts.append("The API wants it in any case.")
    if camel(one.name) != one.json:
        parts.append(f"The API's `{one.json}`.")
    return " ".join(filter(None, parts))


def _meaning(one: Parameter, *, filters: bool) -> str:
    words = _words(one.name)
    first, _, rest = words.partition(" ")
    if one.kind == "flag":
        return _flag(words, first, rest)
    if one.kind in {"condition", "number_condition"}:
        return f"The {words}, as a condition."
    if not filters:
        return f"The {words}."
    if one.kind == "repeated":
        return f"Only those with one of these: {words}."
    return f"Only those with this {words}."


def _flag(words: str, first: str, rest: str) -> str:
    visible = _MODULES.match(words)
    if first in {"expand", "include", "show", "add"}:
        return f"Whether each comes with its {rest}. Off unless asked for (facts 5.9)."
    if visible or first in {"is", "linked"}:
        return f"Only those that are, or are not, {words.removeprefix('is ')}."
    return f"Only those where this is so, or is not: {words}."


def _how(one: Parameter, enums: Mapping[str, tuple[str, ...]]) -> str:
    if one.enum:
        values = enums[one.enum]
        shown = ", ".join(f"`{each}`" for each in values[:_SHOWN_VALUES])
        more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
        which = "Several of" if one.kind == "choices" else "One of"
        return f"{which} {shown}{more}, in any case; a newer one is `Other(...)` (facts 5.16)."
    return {
        "integer": "A whole number.",
        "integers": f"At most {one.most} whole numbers.",
        "instant": "A datetime with a zone, or its text.",
        "number": "A Decimal or an int; all digits count.",
        "condition": 'Such as `on_or_after("2025-05-25")`.' if one.name not in MEANINGS else "",
        "number_condition": "Such as `on_or_after(100)`.",
        "moment": "A date, a datetime or its text, without a zone.",
    }.get(one.kind, "")


def _words(name: str) -> str:
    return " ".join(_TEXTS["words"].get(word, word) for word in name.strip("_").split("_"))


def _wrapped(text: str, indent: str) -> list[str]:
    hanging = f"{indent}    " if indent else ""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
