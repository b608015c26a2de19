"""Hosts, credentials and options, from arguments, the environment and a profile file.

Order: what is passed wins over the environment, which wins over the profile. Variables:

=============================  ==================================================================
`VISMANET_CLIENT_ID`           of the service application
`VISMANET_CLIENT_SECRET`       of the service application
`VISMANET_TENANT_ID`           the Company tenant id
`VISMANET_TOKEN`               a ready bearer token, instead of the three above
`VISMANET_BASE_URL`            what stands before `/v1/...`
`VISMANET_TOKEN_URL`           the identity service's token endpoint
`VISMANET_SALES_ORDER_URL`     what stands before `/api/v3/...`
`VISMANET_TIME_ZONE`           the company's zone, such as `Europe/Oslo`, for aware datetimes in filters
`VISMANET_JOB_STORE`           where background jobs are kept: a path, or a `sqlite` or `postgresql` URL
`VISMANET_..._FILE`            a file with the value of `CLIENT_SECRET`, `TOKEN` or `JOB_STORE`: a mounted secret
`VISMANET_PROXY`               the proxy to go through, such as `http://proxy.example:8080`
`VISMANET_CA_FILE`             authorities to trust beside the system's, such as those of a proxy that opens TLS
`VISMANET_POLL_SHARE`          the part of the quota that is left which looking for ended jobs may use, such as 0.9
`VISMANET_PROFILE`             which table of the profile file to use
`VISMANET_PROFILE_FILE`        where the profile file is
=============================  ==================================================================

The profile file is TOML, a table a profile, with the same names in lower case without the prefix::

    [default]
    client_id = "isv_..."
    client_secret = "..."
    tenant_id = "..."

It holds a secret, so it is refused when other users of the machine can read it (`chmod 600`).
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from vismanet_async._arguments import expect, expect_share
from vismanet_async.errors import SettingsError

__all__ = ["ERP_URL", "SALES_ORDER_URL", "SETTINGS_IN_FILES", "TOKEN_URL", "Settings", "profile_file", "zone_of"]

ERP_URL: Final = "https://api.finance.visma.net"
SALES_ORDER_URL: Final = "https://salesorder.visma.net"
TOKEN_URL: Final = "https://connect.visma.com/connect/token"  # noqa: S105 - an address, no secret
_MOST_BYTES = 64 * 1024
_PREFIX: Final = "VISMANET_"
_DEFAULT_PROFILE: Final = "default"
SETTINGS_IN_FILES: Final = {f"{name}_file": name for name in ("client_secret", "token", "job_store")}
"""Secrets that may stand in a file of their own."""
_NUMBERS: Final = frozenset({"poll_share"})
"""Settings that a profile may write without quotes."""
_CLIENT: Final = frozenset({"client_id", "client_secret"})
_SIGN_IN: Final = _CLIENT | {"token"}


def zone_of(value: object) -> Any:
    """Return the zone of a name, or a zone as it is.

    Raises:
        SettingsError: it is no zone, or not known.
    """
    if value is None or isinstance(value, tzinfo):
        return value
    expect("time_zone", value, str, words="a name such as Europe/Oslo, a zone or None", error=SettingsError)
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"time_zone {value!r} is not a known zone; use a name such as Europe/Oslo.") from None


def _text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None or attribute.default is not None:
        expect(attribute.name, value, str, error=SettingsError)


def _share(value: object) -> Any:
    """Return a part of a whole, which the environment and profiles may write as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise SettingsError(f"poll_share takes a number such as 0.9, not {value!r}.") from None
    expect_share("poll_share", value, none=True, error=SettingsError)
    return value


@attrs.frozen(kw_only=True)
class Settings:
    """What is needed to build a client. Secrets never show in its repr.

    Args:
        client_id: of the service application in the Developer Portal.
        client_secret: of the same.
        tenant_id: the Company tenant id (not the Customer tenant id).
        token: a ready bearer token, instead of the three above; `tenant_id` may tell whose it is. One that stands
            beside another way to sign in which the token replaces does not.
        base_url: what stands before `/v1/...`; https, or http on loopback.
        token_url: the identity service's token endpoint.
        sales_order_url: what stands before `/api/v3/...` of the Sales Order service.
        time_zone: the company's zone or its name, such as `Europe/Oslo`; for aware datetimes in filters.
        job_store: where background jobs are kept: a path, or a `sqlite` or `postgresql` URL; None: a file in the user's
            state directory.
        proxy: the proxy to go through: `http://host:port` or `https://host:port`, with `user:password@` where needed.
        ca_file: a file or folder of authorities to trust beside the system's.
        poll_share: the part of the quota that is left which looking for ended jobs may use, such as 0.9; None: 0.5.

    Raises:
        SettingsError: the zone is not known, or a setting is of the wrong kind.

    Examples:
        >>> settings = Settings.load(environ={"VISMANET_TOKEN": "token", "VISMANET_TIME_ZONE": "Europe/Oslo"})
        >>> settings.time_zone
        zoneinfo.ZoneInfo(key='Europe/Oslo')
        >>> async with VismaNet.from_settings(settings) as client:
        ...     client
        <VismaNet static token at https://api.finance.visma.net>
    """

    client_id: str | None = attrs.field(default=None, validator=_text)
    client_secret: str | None = attrs.field(default=None, validator=_text, repr=False)
    tenant_id: str | None = attrs.field(default=None, validator=_text)
    token: str | None = attrs.field(default=None, validator=_text, repr=False)
    base_url: str = attrs.field(default=ERP_URL, validator=_text)
    token_url: str = attrs.field(default=TOKEN_URL, validator=_text)
    sales_order_url: str = attrs.field(default=SALES_ORDER_URL, validator=_text)
    time_zone: ZoneInfo | None = attrs.field(default=None, converter=zone_of)
    job_store: str | None = attrs.field(default=None, validator=_text, repr=False)
    proxy: str | None = attrs.field(default=None, validator=_text, repr=False)
    ca_file: str | None = attrs.field(default=None, validator=_text)
    poll_share: float | None = attrs.field(default=None, converter=_share)

    @classmethod
    def load(
        cls, *, environ: Mapping[str, str] | None = None, profile: str | None = None, **given: str | None
    ) -> Settings:
        """Gather the settings; reads the environment and the profile file, sends nothing.

        Args:
            environ: instead of the process's own environment.
            profile: the profile to use, instead of `VISMANET_PROFILE` or `default`.
            given: settings by name, which win over everything; None or an empty text counts as not given.

        Raises:
            SettingsError: the profile file cannot be used, or a value cannot be read.
        """
        if environ is not None:
            expect("environ", environ, Mapping, error=SettingsError)
        source = os.environ if environ is None else environ
        expect("profile", profile, str, type(None), error=SettingsError)
        for name, value in given.items():
            expect(name, value, str, type(None), error=SettingsError)
        names = [field.name for field in attrs.fields(cls)]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise SettingsError(f"there is no setting {unknown[0]!r}; there are {', '.join(names)}.")
        keys = [*names, *SETTINGS_IN_FILES]
        environment = {name: source.get(_PREFIX + name.upper(), "").strip() for name in keys}
        values: dict[str, Any] = {}
        layers = [
            _with_files({name: value for name, value in layer.items() if value not in {None, ""}})
            for layer in (_profile(source, profile, keys), environment, given)
        ]
        for told in layers:
            # one way to sign in replaces the other, instead of mixing with it
            replaced = _CLIENT if "token" in told else {"token"} if _CLIENT & told.keys() else set()
            values = {name: value for name, value in values.items() if name not in replaced}
            values |= told
        if "token" in values:
            values["tenant_id"] = _tenant_of_token(layers)
        return cls(**values)


def _tenant_of_token(layers: list[dict[str, Any]]) -> str | None:
    """Return whose the token is: of its own layer, or named over it. Another way to sign in says nothing of that.

    Raises:
        SettingsError: it is said to be of two companies.
    """
    *below, last = [index for index, told in enumerate(layers) if told.keys() & _SIGN_IN]
    told = [layer["tenant_id"] for layer in layers[last if below else 0 :] if "tenant_id" in layer]
    own = layers[last].get("tenant_id")
    if own is not None and told[-1] != own:
        raise SettingsError(
            f"the token is of the company {own}, as stands beside it, and tenant_id names {told[-1]}: a token is bound "
            "to one company. Leave one of them out."
        )
    return told[-1] if told else None


def _with_files(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer of settings with the contents of the files that it names."""
    values = dict(told)
    for key, name in SETTINGS_IN_FILES.items():
        path = values.pop(key, None)
        if path is None:
            continue
        if name in values:
            raise SettingsError(f"{name} and {key} are both set: leave one of them out.")
        try:
            with Path(path).open("rb") as file:
                text = file.read(_MOST_BYTES + 1).decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError, ValueError) as error:
            # a decoder's error shows the bytes
            why = error if isinstance(error, OSError) else "it is not text"
            raise SettingsError(f"{key} {path} cannot be read: {why}.") from None
        if not text or len(text) > _MOST_BYTES or "\n" in text:
            raise SettingsError(f"{key} {path} does not hold one line of text.")
        values[name] = text
    return values


def _profile(environ: Mapping[str, str], name: str | None, known: list[str]) -> Mapping[str, Any]:
    asked = name or environ.get(_PREFIX + "PROFILE") or None
    explicit = environ.get(_PREFIX + "PROFILE_FILE")
    path = profile_file(environ)
    try:
        with path.open("rb") as file:
            _refuse_if_open(path, os.fstat(file.fileno()).st_mode)
            content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise SettingsError(
                    f"the profile file {path} is larger than {_MOST_BYTES} bytes: it is something else."
                )
            text = content.decode("utf-8-sig")
    except FileNotFoundError:
        if asked or explicit:
            raise SettingsError(f"there is no profile file {path}.") from None
        return {}
    except (OSError, ValueError) as error:  # no text, or a NUL in its name
        if isinstance(error, SettingsError):  # which is a ValueError, and says all
            raise
        raise SettingsError(f"the profile file {path} cannot be read: {error}.") from None
    try:
        profiles = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"the profile file {path} is not TOML: {error}.") from None
    table = profiles.get(asked or _DEFAULT_PROFILE)
    if table is None and not asked:
        return {}
    if not isinstance(table, dict):
        raise SettingsError(
            f"the profile file {path} has no profile {asked or _DEFAULT_PROFILE!r}; "
            f"it has {', '.join(profiles) or 'none'}."
        )
    for key, value in table.items():
        _check(key, value, known, where=f"profile {asked or _DEFAULT_PROFILE!r} in {path}")
    return table


def _check(key: str, value: object, known: list[str], *, where: str) -> None:
    if key not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a wrong name

        near = get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it can have {', '.join(known)}."
        raise SettingsError(f"{where}: unknown setting {key!r}; {hint}")
    if not isinstance(value, str) and not (key in _NUMBERS and isinstance(value, int | float)):
        raise SettingsError(f'{where}: {key!r} takes text, such as {key} = "...".')


def profile_file(environ: Mapping[str, str]) -> Path:
    """Return where the profile file is looked for, whether it exists or not."""
    if explicit := environ.get(_PREFIX + "PROFILE_FILE"):
        try:
            return Path(explicit).expanduser()
        except RuntimeError:  # `~name` of nobody: it is not found by that name
            return Path(explicit)
    # platformdirs is only needed here, and costs import time
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_config_dir("vismanet", appauthor=False)) / "profiles.toml"


def _refuse_if_open(path: Path, mode: int) -> None:
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"the profile file {path} holds secrets and others can read it: run chmod 600 {path}.")
