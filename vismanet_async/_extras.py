"""Packages that only some exports need: imported when such an export is made, and asked for in clear words."""

from __future__ import annotations

import importlib
from typing import Any

from vismanet_async.errors import RequestRefused

__all__ = ["extra"]


def extra(module: str, name: str) -> Any:
    """Import a module that the extra `name` of this package installs.

    Raises:
        RequestRefused: it is not installed; says what to type.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise RequestRefused(
            f"{module.partition('.')[0]} is not installed, which this needs; nothing was sent. "
            f"Install it with: python -m pip install 'vismanet-async[{name}]'"
        ) from error
