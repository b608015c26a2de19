"""Where a token may go: only to the origins the client was configured with, over https (http on loopback only)."""

from __future__ import annotations

import ipaddress

from yarl import URL

from vismanet_async.errors import HostNotAllowed, SettingsError

__all__ = ["base_url", "check_target", "is_loopback"]


def is_loopback(host: str | None) -> bool:
    """Tell whether `host` is this machine without asking a name server.

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
    """Read a configured URL, refusing what a token must not be sent to.

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
    except ValueError as error:
        raise SettingsError(f"{name} is not a URL: {error}. Nothing was sent.") from None
    if not url.absolute or host is None or url.scheme not in {"https", "http"}:
        raise SettingsError(f"{name} must be an absolute https URL such as https://api.finance.visma.net.")
    if url.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"{name} is http://{host}, which would send the token in the clear: use https (http is for loopback only)."
        )
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise SettingsError(f"{name} must hold no user, password, query or fragment.")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def check_target(target: URL, base: URL) -> None:
    """Refuse a request URL that has left its service's own origin; the last look before a token is attached.

    Raises:
        HostNotAllowed: scheme, host or port differ from the configured base URL's.
    """
    if target.origin() != base.origin():
        raise HostNotAllowed(f"{target.host} is not the configured host {base.host}; nothing was sent.")
