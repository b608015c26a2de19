"""Asyncio SDK for the Visma Net ERP API.

`VismaNet` is the client; a call is a value that `await` sends. What is public: the names here, and the modules
`errors`, `models`, `exports`, `jobs`, `bulk`, `webhooks`, `simulator` and those of `contrib`. Names are loaded on first
use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._api.files import Download, File, Upload
    from vismanet_async._api.modify import modify
    from vismanet_async._api.results import Created, Done, Updated
    from vismanet_async._blocking import Blocking
    from vismanet_async._cli.doctor import diagnose
    from vismanet_async._client import VismaNet
    from vismanet_async._clock import Clock, SystemClock
    from vismanet_async._codec.values import UNSET, Other, UnsetType
    from vismanet_async._conditions import Condition, after, before, on_or_after, on_or_before
    from vismanet_async._http.auth.credentials import AuthorizationCode, ClientCredentials, StaticToken
    from vismanet_async._http.limiter import AdaptiveLimit
    from vismanet_async._http.pool import SessionPool
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._observer import CallInfo, CallObserver, ExportInfo, JobInfo, Observer, ResourceObserver
    from vismanet_async._operation import ApiResponse, Operation, Preview
    from vismanet_async._paging.fetcher import Progress
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing, Page
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
    "AdaptiveLimit",
    "ApiError",
    "ApiResponse",
    "AuthorizationCode",
    "Blocking",
    "CallInfo",
    "CallObserver",
    "ClientCredentials",
    "Clock",
    "Completeness",
    "Condition",
    "Created",
    "Done",
    "Download",
    "ExportInfo",
    "File",
    "IncompleteListing",
    "JobInfo",
    "Listing",
    "NotFound",
    "Observer",
    "Operation",
    "Other",
    "OutcomeUnknown",
    "Page",
    "PreconditionFailed",
    "Preview",
    "Progress",
    "Quota",
    "RateLimited",
    "RequestRefused",
    "ResourceObserver",
    "SessionPool",
    "Settings",
    "StaticToken",
    "SystemClock",
    "TransportError",
    "UnsetType",
    "Updated",
    "Upload",
    "VismaNet",
    "VismaNetError",
    "__version__",
    "after",
    "before",
    "diagnose",
    "modify",
    "on_or_after",
    "on_or_before",
]

_HOMES = {
    "_api.files": ("Download", "File", "Upload"),
    "_api.modify": ("modify",),
    "_api.results": ("Created", "Done", "Updated"),
    "_blocking": ("Blocking",),
    "_client": ("VismaNet",),
    "_clock": ("Clock", "SystemClock"),
    "_cli.doctor": ("diagnose",),
    "_codec.values": ("UNSET", "Other", "UnsetType"),
    "_conditions": ("Condition", "after", "before", "on_or_after", "on_or_before"),
    "_http.auth.credentials": ("AuthorizationCode", "ClientCredentials", "StaticToken"),
    "_http.limiter": ("AdaptiveLimit",),
    "_http.pool": ("SessionPool",),
    "_http.rate_limit": ("Quota",),
    "_observer": ("CallInfo", "CallObserver", "ExportInfo", "JobInfo", "Observer", "ResourceObserver"),
    "_operation": ("ApiResponse", "Operation", "Preview"),
    "_paging.guarantee": ("Completeness",),
    "_paging.fetcher": ("Progress",),
    "_paging.listing": ("Listing", "Page"),
    "_settings": ("Settings",),
    "_version": ("__version__",),
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
}

if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(globals(), _HOMES)
