"""Every record of the API by its name, for reading and for writing, and every enumeration.

`from vismanet_async.models import CustomerUpdate` loads that class and what it is made of; the others are loaded on
first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vismanet_async._api.models import *  # noqa: F403 - all of them, for type checkers and editors
    from vismanet_async._codec.model import (
        LineUpdate as LineUpdate,  # noqa: PLC0414 - handed on
        Record as Record,  # noqa: PLC0414 - handed on
    )

_OTHERS = ("LineUpdate", "Record")


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    home = "vismanet_async._codec.model" if name in _OTHERS else "vismanet_async._api.models"
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted([*_OTHERS, *import_module("vismanet_async._api.models").__all__])
