"""The way out of this machine: directly or through a proxy, and whose certificates are trusted."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final, TypeAlias
from urllib.request import getproxies_environment, proxy_bypass

import attrs
from yarl import URL

from vismanet_async._arguments import expect
from vismanet_async.errors import SettingsError

__all__ = ["Certificates", "Network", "shown"]

Certificates: TypeAlias = "ssl.SSLContext | str | Path | None"
"""A context of one's own; a file or a folder of authorities to trust beside the system's; or the system's alone."""

_SCHEMES: Final = ("http", "https")


@attrs.frozen(kw_only=True)
class Network:
    """How requests leave this machine.

    A token is only sent inside TLS, which a proxy passes on unread. Plain HTTP is for loopback, and never goes through
    a proxy: it would read the token.

    The environment is read here and not by aiohttp, whose `trust_env` also takes passwords from `~/.netrc` and leaves
    out proxies that are reached over TLS.
    """

    proxy: URL | None = attrs.field(default=None, repr=False)  # may hold a password
    exempts: bool = False
    """The proxy is the environment's, and `NO_PROXY` counts."""
    ssl: ssl.SSLContext | None = None
    _direct: dict[tuple[str | None, int | None], bool] = attrs.field(factory=dict, init=False, repr=False)

    @classmethod
    def configured(
        cls, *, proxy: str | None = None, trust_env: bool = False, certificates: Certificates = None
    ) -> Network:
        """Return the network of what a user has set.

        Args:
            proxy: `http://host:port` or `https://host:port`, with `user:password@` where it wants them.
            trust_env: take `HTTPS_PROXY` and `NO_PROXY` from the environment where no proxy is given.
            certificates: whom to trust.

        Raises:
            SettingsError: the proxy is not one that can be spoken to, or the certificates cannot be read.
        """
        expect("trust_env", trust_env, bool, error=SettingsError)
        context = _context(certificates)
        if proxy is not None:
            return cls(proxy=_proxy("proxy", proxy), ssl=context)
        told = getproxies_environment().get("https") if trust_env else None
        return cls(proxy=None if told is None else _proxy("HTTPS_PROXY", told), exempts=True, ssl=context)

    def proxy_for(self, url: URL) -> URL | None:
        """Return the proxy that a request goes through; None: it goes directly."""
        if self.proxy is None or url.scheme != "https":
            return None
        host = url.host, url.port
        if self.exempts and host not in self._direct:
            self._direct[host] = bool(proxy_bypass(f"{url.host}:{url.port}"))
        return None if self._direct.get(host) else self.proxy


def shown(proxy: URL) -> str:
    """Return a proxy's address without its password."""
    return str(proxy.with_user(None).origin())


def _proxy(name: str, text: str) -> URL:
    expect(name, text, str, error=SettingsError)
    try:
        # as curl does: a proxy without a scheme is spoken to by HTTP
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        url = URL()
    if url.scheme not in _SCHEMES or not url.host or url.port is None:
        # the text itself may hold a password
        raise SettingsError(
            f"{name} is not the address of a proxy such as http://proxy.example:8080; http and https are spoken, SOCKS "
            "is not."
        )
    return url


def _context(given: Certificates) -> ssl.SSLContext | None:
    if given is None or isinstance(given, ssl.SSLContext):
        return given
    expect("ssl", given, str, Path, words="an ssl.SSLContext, or a path to certificates", error=SettingsError)
    path = os.fspath(given)
    try:
        context = ssl.create_default_context()
        is_folder = os.path.isdir(path)  # noqa: PTH112 - the text as it was given goes to OpenSSL
        context.load_verify_locations(cafile=None if is_folder else path, capath=path if is_folder else None)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"the certificates of {path} cannot be read: {error}.") from None
    return context
