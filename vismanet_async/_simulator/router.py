"""Finds the operation a path means: without regard to case, on any of the service's base paths."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vismanet_async._simulator.catalog import Operation

__all__ = ["Match", "Router"]

_B64 = re.compile(r"b64\((.*)\)", re.IGNORECASE | re.DOTALL)
_LEGACY = re.compile(r"^(/api/controller)?(/api)?(?=/v\d+/)", re.IGNORECASE)
_REFUSED = re.compile(r"%(2f|3f|23|25)", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]+")


@frozen
class Match:
    """The operation that a request means, with the values in its path."""

    operation: Operation
    values: tuple[str, ...]
    legacy: bool


@define
class _Node:
    literals: dict[str, _Node] = field(factory=dict)
    parameter: _Node | None = None
    operations: dict[str, Operation] = field(factory=dict)


class Router:
    """All operations by path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            node = self._root
            for segment in operation.path.strip("/").split("/"):
                if segment.startswith("{"):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literals.setdefault(segment.lower(), _Node())
            node.operations.setdefault(operation.method, operation)

    def match(self, method: str, path: str, *, accept_encoded: bool) -> Match | int:
        """Return the operation, or 404 or 405.

        Args:
            method: The HTTP method.
            path: The path as it came, still percent-encoded.
            accept_encoded: Whether encoded reserved characters pass the gateway.
        """
        prefix = _LEGACY.match(path)
        stripped = path[prefix.end() :] if prefix else path
        if not accept_encoded and _REFUSED.search(stripped):
            return 404
        segments = [unquote(segment) for segment in stripped.strip("/").split("/")]
        found = list(self._walk(self._root, segments, ()))
        for node, values in found:
            operation = node.operations.get(method)
            if operation is not None:
                if not all(map(_fits, operation.path_types, values)):
                    return 404  # as a route with a constraint
                return Match(operation, values, legacy=bool(prefix and prefix.group(1)))
        return 405 if found else 404

    def _walk(
        self, node: _Node, segments: list[str], values: tuple[str, ...]
    ) -> Iterable[tuple[_Node, tuple[str, ...]]]:
        if not segments:
            if node.operations:
                yield node, values
            return
        head, *rest = segments
        literal = node.literals.get(head.lower())
        if literal is not None:
            yield from self._walk(literal, rest, values)
        if node.parameter is not None and head:
            yield from self._walk(node.parameter, rest, (*values, _plain(head)))


def _fits(kind: str, value: str) -> bool:
    return kind != "integer" or _INTEGER.fullmatch(value) is not None


def _plain(segment: str) -> str:
    """Return what a path segment means; `b64(...)` carries reserved characters (facts 5.12)."""
    coded = _B64.fullmatch(segment)
    if coded is None:
        return segment
    text = coded.group(1)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return segment
