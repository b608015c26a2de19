"""`vismanet doctor --drift`: the catalog of this package against the service's own OpenAPI description."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
from multidict import CIMultiDict
from yarl import URL

from vismanet_async._api.drift import Surface, catalog_surface, differences, openapi_surface, service_described
from vismanet_async._cli.exit_codes import DONE, WORTH_A_LOOK
from vismanet_async._cli.streams import reader_may_leave
from vismanet_async._http.http_attempt import WireRequest
from vismanet_async._http.pool import SessionPool
from vismanet_async._settings import Settings
from vismanet_async.errors import RequestRefused, ResponseLost, TransportError, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._api.drift import Difference

__all__ = ["run_drift"]

_SECONDS: Final = 60.0
_INSTEAD: Final = "Save it with a browser and give the file."


def run_drift(source: str, *, profile: str | None = None, as_json: bool) -> int:
    """Print what differs; return 0 where nothing does, else 1.

    Args:
        source: an http or https URL, fetched without a token, or a path.
        profile: whose proxy and authorities the URL is fetched with.
        as_json: print JSON instead of a table.

    Raises:
        RequestRefused: the source cannot be read, or is no OpenAPI 3 document in JSON.
        SettingsError: the settings cannot be read.
        ResponseLost, UnexpectedResponse: the URL gave no document.
    """
    document = _document(source, profile)
    service = service_described(document)
    catalog = catalog_surface(service=service)
    found = differences(catalog, openapi_surface(document, catalog))
    with reader_may_leave():
        if as_json:
            counts = Counter(one.change for one in found)
            told = {
                "source": source,
                "service": service,
                "counts": counts,
                "differences": [attrs.asdict(one) for one in found],
            }
            print(json.dumps(told, indent=2))
        else:
            _print(found, catalog, of="catalog" if service == "erp" else "catalog of the Sales Order service")
    return WORTH_A_LOOK if found else DONE


def _document(source: str, profile: str | None) -> Any:
    if source.startswith(("http://", "https://")):
        content = anyio.run(_fetch, source, profile)
    else:
        try:
            content = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise RequestRefused(f"{source} cannot be read: {error}.") from error
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"{source} is not JSON: {error}. A document in YAML must be converted first.") from error


async def _fetch(source: str, profile: str | None) -> bytes:
    try:
        url = URL(source)
    except ValueError as error:
        raise RequestRefused(f"{source} is no URL: {error}; nothing was sent.") from error
    settings = Settings.load(profile=profile)
    async with SessionPool(proxy=settings.proxy, ssl=settings.ca_file) as pool:
        attempt = pool.attempt(WireRequest(method="GET", url=url, headers=CIMultiDict(), idempotent=True))
        try:
            with anyio.fail_after(_SECONDS), attempt:
                answer = await attempt.open()
                if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                    raise UnexpectedResponse(
                        f"{source} answered with {answer.status} instead of a document. {_INSTEAD}"
                    )
                return await attempt.read()
        except (TransportError, TimeoutError) as error:
            reason = attempt.reason or f"it takes longer than {_SECONDS:.0f} s"
            raise ResponseLost(f"{source} gave no document ({reason}). {_INSTEAD}") from error


def _print(found: Sequence[Difference], catalog: Surface, *, of: str) -> None:
    rows = [(one.change, one.kind, f"{one.where} {one.name}".rstrip(), one.detail) for one in found]
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(3)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    fields = sum(len(one["fields"]) for one in catalog.schemas.values())
    counts = Counter(one.change for one in found)
    told = ", ".join(f"{counts[change]} {change}" for change in ("new", "gone", "changed"))
    print(f"{len(catalog.operations)} operations and {fields:,} fields of the {of} compared: {told}.")
