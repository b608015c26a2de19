"""The companies of an export of many, from texts or a file.

A file is TOML or CSV, with one table or line per company::

    [[company]]                              name,tenant_id,client_id_env,client_secret_env
    name = "fjord"                           fjord,11111111-...,,
    tenant_id = "11111111-..."               berg,22222222-...,BERG_CLIENT_ID,BERG_CLIENT_SECRET

    [[company]]
    name = "berg"
    tenant_id = "22222222-..."
    client_id_env = "BERG_CLIENT_ID"         # names of environment variables: no secrets in the file
    client_secret_env = "BERG_CLIENT_SECRET"

The name becomes the company's folder; without one, the tenant id does. Without variables of its own, the client's
application signs in to the company.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._arguments import expect
from vismanet_async._http.auth.credentials import ClientCredentials
from vismanet_async.errors import RequestRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Company", "companies_of", "read_companies"]

_NOT_IN_A_NAME: Final = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_OF_A_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""What Windows takes for a device, with any extension; a folder made elsewhere is copied there some day."""
"""Characters that some file system or object store refuses."""
_LONGEST_NAME: Final = 120
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a file; enough for a hundred thousand companies."""


def _text(_company: Company, attribute: attrs.Attribute[Any], value: object) -> None:
    expect(f"{attribute.name} of a company", value, str)


def _folder(_company: Company, _: object, name: str) -> None:
    if (
        not name
        or name[0] in ". "
        or name[-1] in ". "
        or _NOT_IN_A_NAME.search(name)
        or len(name) > _LONGEST_NAME
        or _OF_A_DEVICE.match(name)
    ):
        raise RequestRefused(
            f"{name!r} cannot be the name of a company's folder; nothing was sent. Use letters, digits, - and _."
        )


def _tenant(company: Company, _: object, tenant_id: str) -> None:
    if not tenant_id.strip():
        raise RequestRefused(f"company {company.name!r} has no tenant_id; nothing was sent.")


@attrs.frozen(kw_only=True)
class Company:
    """One company of many.

    Raises:
        RequestRefused: the name cannot be a folder, there is no tenant id, or one variable is named without the other.
    """

    name: str = attrs.field(validator=[_text, _folder])
    """The name of its folder."""
    tenant_id: str = attrs.field(validator=[_text, _tenant])
    client_id_env: str | None = attrs.field(default=None, validator=attrs.validators.optional(_text))
    """The environment variable with the id of its own application; None: that of the client."""
    client_secret_env: str | None = attrs.field(default=None, validator=attrs.validators.optional(_text))

    def __attrs_post_init__(self) -> None:
        if bool(self.client_id_env) is not bool(self.client_secret_env):
            raise RequestRefused(
                f"company {self.name!r} names only one of client_id_env and client_secret_env; nothing was sent."
            )

    def credentials(self, *, environ: Mapping[str, str] | None = None) -> ClientCredentials | None:
        """Return the company's own credentials, or None.

        Raises:
            SettingsError: a variable is not set.
        """
        if not self.client_id_env or not self.client_secret_env:
            return None
        source = os.environ if environ is None else environ
        for variable in (self.client_id_env, self.client_secret_env):
            if not source.get(variable):
                raise SettingsError(f"company {self.name!r}: the environment variable {variable} is not set.")
        return ClientCredentials(source[self.client_id_env], source[self.client_secret_env], tenant_id=self.tenant_id)


def companies_of(given: Iterable[str | Company] | Mapping[str, str]) -> tuple[Company, ...]:
    """Return companies of tenant ids, `NAME=TENANT` texts, or a mapping of names to tenant ids.

    Examples:
        >>> [company.name for company in companies_of(["fjord=1111", "2222"])]
        ['fjord', '2222']

    Raises:
        RequestRefused: there is none, or two have one folder or one tenant id.
    """
    if isinstance(given, str):
        given = [given]
    expect("companies", given, Iterable, words="tenant ids, or names with their tenant ids")
    if isinstance(given, Mapping):
        given = [Company(name=name, tenant_id=tenant_id) for name, tenant_id in given.items()]
    companies = tuple(one if isinstance(one, Company) else _in_words(one) for one in given)
    if not companies:
        raise RequestRefused("there is no company to export; nothing was sent. Name at least one.")
    for what, values in (
        (
            "name",
            [company.name.casefold() for company in companies],
        ),  # some systems ignore case
        ("tenant_id", [company.tenant_id for company in companies]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise RequestRefused(f"two companies have the {what} {twice!r}; nothing was sent. Each can come once.")
    return companies


def read_companies(path: str | os.PathLike[str]) -> tuple[Company, ...]:
    """Return the companies in a file.

    Raises:
        RequestRefused: it cannot be read, or does not say what the module describes. Nothing was sent.

    Examples:
        >>> lines = '[[company]]', 'name = "North"', 'tenant_id = "11111111-2222-4333-8444-555555555555"'
        >>> _ = Path("companies.toml").write_text(chr(10).join(lines))
        >>> [company.name for company in read_companies("companies.toml")]
        ['North']
    """
    expect("path", path, str, os.PathLike, words="a path")
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise RequestRefused(
                f"{path} is larger than {_MOST_BYTES:,} bytes: it is something else; nothing was sent."
            )
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise RequestRefused(f"the file of companies {path} cannot be read: {why}; nothing was sent.") from error
    tables = _csv_tables(path, text) if path.suffix.lower() == ".csv" else _toml_tables(path, text)
    return companies_of(_company(path, number, table) for number, table in enumerate(tables, 1))


def _in_words(text: Any) -> Company:
    expect("companies", text, str, words="texts or Company values")
    name, equals, tenant_id = text.partition("=")
    return Company(name=name, tenant_id=tenant_id) if equals else Company(name=text, tenant_id=text)


def _toml_tables(path: Path, text: str) -> Sequence[Any]:
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestRefused(f"{path} is not TOML: {error}; nothing was sent.") from error
    tables = content.get("company")
    if not isinstance(tables, list) or len(content) > 1:
        raise RequestRefused(f"{path} has something else than [[company]] tables; nothing was sent.")
    return tables


def _csv_tables(path: Path, text: str) -> Sequence[dict[str, str]]:
    # empty cells and missing ones are the same here
    try:
        return [
            {str(key): cell.strip() for key, cell in row.items() if isinstance(cell, str) and cell.strip()}
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except csv.Error as error:  # such as a field without end
        raise RequestRefused(f"{path} is not CSV: {error}; nothing was sent.") from error


def _company(path: Path, number: int, table: Any) -> Company:
    known = [field.name for field in attrs.fields(Company)]
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise RequestRefused(f"{path}: company {number} is no table of texts; nothing was sent.")
    for key in table:
        if "secret" in key and key not in known:
            raise RequestRefused(
                f"{path}: company {number} holds {key!r}. Secrets have no place in this file; nothing was sent. Name "
                "the environment variable that holds it, as client_secret_env."
            )
        if key not in known:
            raise RequestRefused(
                f"{path}: company {number} has {key!r}, which is none of {', '.join(known)}; nothing was sent."
            )
    if "tenant_id" not in table:
        raise RequestRefused(f"{path}: company {number} has no tenant_id; nothing was sent.")
    return Company(**{"name": table["tenant_id"], **table})
