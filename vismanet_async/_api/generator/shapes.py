"""Which model classes there are: one for each shape, not one for each DTO."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs

from vismanet_async._api.generator import naming
from vismanet_async._api.generator.facts import SALES_ORDER
from vismanet_async._codec.fields import camel
from vismanet_async._codec.parts import READ_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vismanet_async._api.generator.facts import Facts

__all__ = ["ENVELOPE", "FieldLine", "ModelClass", "Models", "build"]

ENVELOPE = "BasePaginationDtoOf"
_SCALARS = {"string": "str", "integer": "int", "number": "Decimal", "boolean": "bool"}


@attrs.frozen(kw_only=True)
class FieldLine:
    """One line of a class body."""

    name: str
    json: str
    type: str
    """The scalar, enum or class inside `Maybe[...]`."""
    many: bool
    wrapped: bool
    utc: bool
    """A point in time, in UTC where it has no offset."""
    needed: bool
    """The API refuses a body without it."""
    ref: str | None
    """The class name, where the type is a model."""
    enum: str | None
    read_form: str | None = None
    """The class of answers that Visma's samples send here."""
    part: str | None = None
    """The class of answers that can be written here: it has the same in other words."""

    @property
    def annotation(self) -> str:
        """Return the text behind the colon."""
        kind = f"{self.type} | {self.part}" if self.part else self.type
        return f"Maybe[list[{kind}]]" if self.many else f"Maybe[{kind}]"

    @property
    def default(self) -> str:
        """Return the text behind the equals sign."""
        explicit = f'"{self.json}"' if camel(self.name) != self.json else ""
        marks = {"wrapped": self.wrapped, "point_in_time": self.utc, "needed": self.needed}
        mark = next((mark for mark, holds in marks.items() if holds), None)
        if mark:
            form = f"read_form={self.read_form}" if self.read_form else ""
            return f"{mark}({', '.join(filter(None, (explicit, form)))})"
        return f"json_name({explicit})" if explicit else "UNSET"


@attrs.define(kw_only=True)
class ModelClass:
    """One class: a shape that one or more DTOs have."""

    name: str
    dtos: list[str]
    fields: list[FieldLine]
    written: bool
    """Whether it is sent."""
    top: bool = False
    """Whether it is the answer to a request, or a row of a list."""
    resources: set[str] = attrs.field(factory=set)
    """The resource modules that reach it."""

    @property
    def refs(self) -> list[str]:
        """Return the classes that its fields name."""
        return sorted({name for field in self.fields for name in (field.ref, field.read_form, field.part) if name})

    @property
    def home(self) -> str:
        """Return the module, below `_api.models`, that holds it: the resource's own, or its own if several use it."""
        if len(self.resources) == 1:
            (own,) = self.resources
            # who reads an order needs none of the many classes that change one
            sent = self.written and all(dto.startswith(SALES_ORDER) for dto in self.dtos)
            return f"{own}_bodies" if sent else own
        return f"common.{naming.snake(self.name)}"


@attrs.frozen(kw_only=True)
class Models:
    """All classes, and where each DTO went."""

    classes: dict[str, ModelClass]
    of_dto: dict[str, str]
    enums: dict[str, tuple[str, ...]]
    """The open enums by their Python name."""


def build(facts: Facts, resource_of: dict[str, str]) -> Models:
    """Work out the classes for everything that an operation sends or answers.

    Args:
        facts: the corrected catalog.
        resource_of: the Python module for each of the catalog's resource names.

    Raises:
        ValueError: when two shapes would get one name, or a shared shape has no telling name: add it to overrides.toml.
    """
    reached = _Reach(facts, resource_of)
    enum_names = {key: _enum_name(facts, key) for key in facts.enums}
    groups: dict[Any, list[str]] = defaultdict(list)
    for dto in sorted(reached.users):
        groups[_key(facts, dto, dto in reached.written, ())].append(dto)
    of_dto: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for dtos in groups.values():
        name = _name(facts, dtos)
        if name in names:
            raise ValueError(f"two shapes want to be called {name}: {dtos[:5]} and {names[name][:5]}")
        names[name] = dtos
        of_dto.update(dict.fromkeys(dtos, name))
    used: set[str] = set()
    classes = {}
    for name, dtos in sorted(names.items()):
        written = dtos[0] in reached.written
        shape = facts.schemas[dtos[0]]["fields"]
        fields = [
            _line(
                json, field, of_dto, enum_names, written=written, override=facts.override("field", f"{dtos[0]}.{json}")
            )
            for json, field in shape.items()
        ]
        used |= {field.enum for field in fields if field.enum}
        classes[name] = ModelClass(
            name=name,
            dtos=dtos,
            fields=fields,
            written=written,
            top=any(dto in reached.tops for dto in dtos),
            resources=set().union(*(reached.users[dto] for dto in dtos)),
        )
    _add_parts(classes)
    _spread(classes)
    for operation in facts.operations:
        used |= {enum_names[each["enum"]] for each in operation["query"] if "enum" in each}
    enums = {enum_names[key]: tuple(one["values"]) for key, one in facts.enums.items() if enum_names[key] in used}
    clash = set(enums) & set(classes)
    if clash:
        raise ValueError(f"enums and models of one name: {sorted(clash)}")
    return Models(classes=classes, of_dto=of_dto, enums=dict(sorted(enums.items())))


class _Reach:
    """What the operations reach, from which resource, and in which direction."""

    def __init__(self, facts: Facts, resource_of: dict[str, str]) -> None:
        self._facts = facts
        self.users: dict[str, set[str]] = defaultdict(set)
        self.written: set[str] = set()
        self.tops: set[str] = set()
        for operation in facts.operations:
            module = resource_of[operation["resource"]]
            sent = (operation["request"] or {}).get("dto")
            answered = operation["response"].get("dto")
            if sent:
                self._walk(sent, module, written=True)
            if answered:
                self.tops.add(answered)
                self._walk(answered, module, written=False)

    def _walk(self, dto: str, module: str, *, written: bool) -> None:
        if module in self.users.get(dto, ()):
            return
        self.users[dto].add(module)
        if written:
            self.written.add(dto)
        for field in self._facts.schemas[dto]["fields"].values():
            inner = field.get("ref") or field.get("items")
            if inner:
                self._walk(inner, module, written=written)


def _add_parts(classes: dict[str, ModelClass]) -> None:
    """Find what of an answer can be written as it was read, such as an address."""
    for one in classes.values():
        for number, field in enumerate(one.fields):
            read = classes.get(str(field.ref).removesuffix("Update"))
            if one.written and field.ref and not field.many and read and _fits(read, classes[field.ref], classes):
                one.fields[number] = attrs.evolve(field, part=read.name)


def _fits(read: ModelClass, write: ModelClass, classes: dict[str, ModelClass]) -> bool:
    """Return whether every field of a read class has a place in the written one (`vismanet_async._codec.parts`)."""
    if read.written or not write.written:
        return False
    names = {field.name: field for field in write.fields}
    for field in read.fields:
        there = names.get(field.name)
        if field.name in READ_ONLY or (there and not (field.ref or field.many or there.ref or there.many)):
            continue
        if field.ref is None or field.many or not any(each.name == "id" for each in classes[field.ref].fields):
            return False
        if names.get(f"{field.name}_id", there) is None:
            return False
    return "operation" not in names


def _spread(classes: dict[str, ModelClass]) -> None:
    """A class named by a shared class is shared as well, so that no module of one resource is imported by another."""
    changed = True
    while changed:
        changed = False
        for one in classes.values():
            for ref in one.refs:
                if not one.resources <= classes[ref].resources:
                    classes[ref].resources |= one.resources
                    changed = True


def _key(facts: Facts, dto: str, written: bool, above: tuple[str, ...]) -> Any:  # noqa: FBT001 - a nested tuple
    if dto in above:
        return ("recursive", above.index(dto))
    rows = []
    for json, field in sorted(facts.schemas[dto]["fields"].items()):
        inner = field.get("ref") or field.get("items")
        rows.append(
            (
                json,
                field["type"],
                field.get("format") == "date-time",
                field.get("wrapped", False),
                field.get("utc", False),
                field.get("needed", False) and written,
                field.get("enum"),
                _key(facts, inner, written, (*above, dto)) if inner else None,
            )
        )
    return (written, tuple(rows))


def _name(facts: Facts, dtos: list[str]) -> str:
    for dto in dtos:
        override = facts.override("model", dto)
        if override:
            return str(override["name"])
    # a shape that both services have keeps the ERP's name
    dtos = [dto for dto in dtos if not dto.startswith(SALES_ORDER)] or dtos
    if len(dtos) == 1:
        return naming.class_name(dtos[0], facts.schemas)
    own = {naming.class_name(dto, ()) for dto in dtos if not naming.split_in(dto, facts.schemas)[1]}
    if len(own) == 1:
        return own.pop()
    inner = {naming.class_name(naming.split_in(dto, facts.schemas)[0], ()) for dto in dtos}
    if len(inner) == 1:
        return inner.pop()
    raise ValueError(f"a shape shared by {len(dtos)} DTOs needs a name in overrides.toml: {sorted(dtos)}")


def _enum_name(facts: Facts, key: str) -> str:
    override = facts.override("enum", key)
    return str(override["name"]) if override else key.removesuffix("Enum")


def _line(
    json: str,
    field: dict[str, Any],
    of_dto: dict[str, str],
    enums: dict[str, str],
    *,
    written: bool,
    override: dict[str, Any] | None,
) -> FieldLine:
    ref = field.get("ref") or field.get("items")
    enum = enums[field["enum"]] if "enum" in field else None
    many = field["type"] == "array"
    if ref:
        kind = of_dto[ref]
    elif enum:
        kind = f"{enum}Choice" if written else enum
    elif field.get("format") == "date-time":
        kind = "Moment" if written else "datetime"
    elif field["type"] == "object":
        kind = "dict[str, Any]"
    else:
        kind = "str" if many else _SCALARS[field["type"]]
        kind = "Number" if written and kind == "Decimal" else kind
    return FieldLine(
        name=naming.safe(naming.snake(json)),
        json=json,
        type=kind,
        many=many,
        wrapped=field.get("wrapped", False),
        utc=field.get("utc", False),
        needed=written and field.get("needed", False),
        ref=of_dto[ref] if ref else None,
        enum=enum,
        read_form=of_dto[override["read_form"]] if override else None,
    )


def sorted_for_definition(classes: Iterable[ModelClass]) -> list[ModelClass]:
    """Order classes so that a reader meets the parts before the whole."""
    waiting = {one.name: one for one in sorted(classes, key=lambda each: each.name)}
    ordered: list[ModelClass] = []

    def place(one: ModelClass) -> None:
        if waiting.pop(one.name, None) is None:
            return
        for ref in one.refs:
            if ref in waiting:
                place(waiting[ref])
        ordered.append(one)

    for one in list(waiting.values()):
        place(one)
    return ordered
