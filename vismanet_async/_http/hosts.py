"""Checks where a token is sent: only to configured origins, over https (http on loopback only)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from yarl import URL

from vismanet_async.errors import HostNotAllowed, RequestRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["base_url", "check_target", "is_loopback", "request_url"]

_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]++|%[0-9A-Fa-f]{2})++)++")
"""Segments of RFC 3986 that are not empty: no query, no fragment, no backslash, no `//`."""
_HIDDEN: Final = re.compile(rb"[/\\\x00-\x1f\x7f]")
"""Characters that gateways may interpret again after decoding (docs/facts.md 5.12)."""


def is_loopback(host: str | None) -> bool:
    """Return whether `host` is this machine, without a DNS lookup.

    Examples:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.com")
        (True, True, False)
    """
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(text: str, *, name: str) -> URL:
    """Return a configured URL; raise if a token must not be sent to it.

    Args:
        text: the setting, such as `https://api.finance.visma.net`.
        name: what to call the setting in an error.

    Returns:
        The URL without a trailing slash.

    Raises:
        SettingsError: it is not an absolute https URL (http is for loopback only), or carries a user, query or
            fragment.
    """
    try:
        url = URL(text.strip())
        host = url.host
    except ValueError:
        # the original error repeats the text, which may contain a password
        raise SettingsError(f"{name} is not a URL such as https://api.finance.visma.net. Nothing was sent.") from None
    if not url.absolute or host is None or url.scheme not in {"https", "http"}:
        raise SettingsError(f"{name} must be an absolute https URL such as https://api.finance.visma.net.")
    if url.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"{name} is http://{host}, which would send the token in the clear: use https (http is for loopback only)."
        )
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise SettingsError(f"{name} must hold no user, password, query or fragment.")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def request_url(base: URL, path: str, query: Sequence[tuple[str, str]] = ()) -> URL:
    """Return the URL of a request; raise if it could lead to another place.

    Args:
        base: from `base_url`.
        path: beginning with a slash, percent-encoded.
        query: names and values, not encoded; they are encoded here, spaces as `%20` and `>=` as `%3E%3D`.

    Raises:
        RequestRefused: the path is not a plain path below the base URL, or a text cannot be encoded.
        HostNotAllowed: the URL would leave the base URL's origin.

    Examples:
        >>> str(request_url(URL("https://api.finance.visma.net"), "/v1/customer", [("name", "A&B Åre")]))
        'https://api.finance.visma.net/v1/customer?name=A%26B%20%C3%85re'
    """
    if not _PATH.fullmatch(path):
        raise RequestRefused(
            f"{path!r} is not a path such as /v1/customer/10000: it must begin with one slash, have no empty part and "
            "no query, and be percent-encoded. Nothing was sent."
        )
    if ("%" in path or "/." in path) and any(map(_misleading, path.split("/"))):
        raise RequestRefused(
            f"{path!r} holds a dot segment or an encoded slash, backslash or control character, which gateways may "
            "read as another path; ids with such characters go as b64(...). Nothing was sent."
        )
    # a new path in the base URL is cheaper than a text that is taken apart again
    url = base.with_path(f"{base.raw_path.rstrip('/')}{path}", encoded=True)
    if query:
        for pair in query:
            _refuse_half_characters(*pair)
        # yarl encodes spaces as in HTML forms; a literal plus is %2B by then
        url = URL(f"{url}?{URL.build(query=query).raw_query_string.replace('+', '%20')}", encoded=True)
    check_target(url, base)
    return url


def _refuse_half_characters(name: str, value: str) -> None:
    try:
        name.encode()
        value.encode()
    except UnicodeEncodeError:
        # yarl would drop the half, and another value would be sent
        raise RequestRefused(f"{name!r}={value!r} holds half of a surrogate pair; nothing was sent.") from None


def _misleading(segment: str) -> bool:
    plain = unquote_to_bytes(segment)
    return plain in {b".", b".."} or _HIDDEN.search(plain) is not None


def check_target(target: URL, base: URL) -> None:
    """Raise if a request URL is outside its service's origin; the last check before a token is attached.

    Raises:
        HostNotAllowed: scheme, host or port differ from the configured base URL's.
    """
    if (target.scheme, target.raw_authority) == (base.scheme, base.raw_authority):
        return
    # not origin(): it distinguishes https://host:443 from https://host
    if (target.scheme, target.host, target.port) != (base.scheme, base.host, base.port):
        raise HostNotAllowed(f"{target.host} is not the configured host {base.host}; nothing was sent.")
