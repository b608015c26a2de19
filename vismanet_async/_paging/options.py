"""The options of a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import attrs

from vismanet_async._arguments import expect_seconds
from vismanet_async._paging.guarantee import Mode
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ListingOptions"]

_MAX_BYTES: Final = 256 * 1024 * 1024
"""Bodies in flight and buffered together, whatever their number."""


def _one_of(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in get_args(Mode):
        words = ", ".join(repr(mode) for mode in get_args(Mode))
        raise RequestRefused(f"{attribute.name} must be one of {words}, not {value!r}; nothing was sent.")


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise RequestRefused(f"{attribute.name} must be True or False, not {value!r}; nothing was sent.")


def _whole(least: int) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and attribute.default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RequestRefused(f"{attribute.name} must be {least} or more, not {value!r}; nothing was sent.")

    return check


def _seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    expect_seconds(attribute.name, value)


@attrs.frozen(kw_only=True)
class ListingOptions:
    """How a listing is read; `Listing.with_options` changes them."""

    completeness: Mode = attrs.field(default="best", validator=_one_of)
    strict: bool = attrs.field(default=False, validator=_flag)
    allow_uncertain: bool = attrs.field(default=False, validator=_flag)
    ordered: bool = attrs.field(default=True, validator=_flag)
    limit: int | None = attrs.field(default=None, validator=_whole(1))
    page_size: int | None = attrs.field(default=None, validator=_whole(1))
    expected_rows: int | None = attrs.field(default=None, validator=_whole(0))
    timeout_seconds: float | None = attrs.field(default=None, validator=_seconds)
    total_timeout_seconds: float | None = attrs.field(default=None, validator=_seconds)
    max_bytes: int = attrs.field(default=_MAX_BYTES, validator=_whole(1))
