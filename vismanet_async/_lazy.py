"""Names of a module that are imported from their homes on first use, so that importing the module costs nothing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazy_names"]


def lazy_names(
    namespace: dict[str, Any], homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module's `__getattr__` and `__dir__` (PEP 562).

    Args:
        namespace: `globals()` of the module; it must have `__all__`.
        homes: names by the module that defines them, relative to the package.

    Examples:
        >>> here = {"__name__": "here", "__all__": ["before"]}
        >>> find, _ = lazy_names(here, {"_conditions": ["before"]})
        >>> find("before").__module__
        'vismanet_async._conditions'
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = getattr(import_module(f"vismanet_async.{home}"), name)
        namespace[name] = value  # found without this function from now on
        return value

    def listed() -> list[str]:
        others = [name for name, value in namespace.items() if name[:1] == "_" or isinstance(value, ModuleType)]
        return sorted({*others, *namespace["__all__"]})

    return find, listed
