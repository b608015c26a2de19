"""Names that load what they stand for on first use, and that type checkers see through."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from vismanet_async._api.base import Caller, Resource

__all__ = ["LazyResource", "open_enum"]

R = TypeVar("R", bound="Resource")


class LazyResource(Generic[R]):
    """A resource as an attribute of the client: its module is imported, and the resource made, on first use."""

    def __init__(self, class_name: str, *, module: str | None = None) -> None:
        self._class_name = class_name
        self._module = module
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._module = self._module or f"vismanet_async._api.resources.{name}"

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Caller, owner: type) -> R: ...
    def __get__(self, client: Any, owner: type) -> Self | R:
        if client is None:
            return self
        made: R = getattr(import_module(str(self._module)), self._class_name)(client)
        vars(client)[self._name] = made  # found before this descriptor from now on
        return made


def open_enum(name: str) -> Any:
    """Return an open enum by its name. Modules of models name enums by calls of this, as text.

    Examples:
        >>> import typing
        >>> typing.get_args(open_enum("ChargeBearer"))
        (typing.Literal['Payer', 'Beneficiary', 'Shared', 'ServiceLevel'], <class 'str'>)
    """
    return getattr(import_module("vismanet_async._api.models.enums"), name)
