"""Asyncio SDK for the Visma Net ERP API.

`VismaNet` is the front door; a call is a value that `await` sends. Names are loaded on first use, so that importing
the package costs next to nothing; models are in `vismanet_async._api.models`, the error tree in
`vismanet_async.errors`, the simulator in `vismanet_async.simulator`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vismanet_async._api.results import Created, Updated
    from vismanet_async._client import VismaNet
    from vismanet_async._codec.values import UNSET, UnsetType
    from vismanet_async._conditions import after, before, on_or_after, on_or_before
    from vismanet_async._http.auth.credentials import AuthorizationCode, ClientCredentials, StaticToken
    from vismanet_async._http.pool import SessionPool
    from vismanet_async._observer import Observer
    from vismanet_async._operation import Operation
    from vismanet_async._paging.listing import Listing
    from vismanet_async._settings import Settings
    from vismanet_async._version import __version__
    from vismanet_async.errors import (
        ActionFailed,
        ApiError,
        IncompleteListing,
        NotFound,
        OutcomeUnknown,
        PreconditionFailed,
        RateLimited,
        RequestRefused,
        TransportError,
        VismaNetError,
    )

__all__ = [
    "UNSET",
    "ActionFailed",
    "ApiError",
    "AuthorizationCode",
    "ClientCredentials",
    "Created",
    "IncompleteListing",
    "Listing",
    "NotFound",
    "Observer",
    "Operation",
    "OutcomeUnknown",
    "PreconditionFailed",
    "RateLimited",
    "RequestRefused",
    "SessionPool",
    "Settings",
    "StaticToken",
    "TransportError",
    "UnsetType",
    "Updated",
    "VismaNet",
    "VismaNetError",
    "__version__",
    "after",
    "before",
    "on_or_after",
    "on_or_before",
]

_HOMES = {
    "_api.results": ("Created", "Updated"),
    "_client": ("VismaNet",),
    "_codec.values": ("UNSET", "UnsetType"),
    "_conditions": ("after", "before", "on_or_after", "on_or_before"),
    "errors": (
        "ActionFailed",
        "ApiError",
        "IncompleteListing",
        "NotFound",
        "OutcomeUnknown",
        "PreconditionFailed",
        "RateLimited",
        "RequestRefused",
        "TransportError",
        "VismaNetError",
    ),
    "_observer": ("Observer",),
    "_operation": ("Operation",),
    "_paging.listing": ("Listing",),
    "_settings": ("Settings",),
    "_http.auth.credentials": ("AuthorizationCode", "ClientCredentials", "StaticToken"),
    "_http.pool": ("SessionPool",),
    "_version": ("__version__",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
