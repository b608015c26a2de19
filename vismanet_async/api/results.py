"""What writes answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from vismanet_async.api.paths import ids_in
from vismanet_async.codec.decode import decode_one
from vismanet_async.errors import ActionFailed, Attempt
from vismanet_async.transport.message import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async.codec.model import Record
    from vismanet_async.transport.message import Response

__all__ = ["Created", "Done", "Updated", "acted", "bare_etag", "created", "done", "updated"]


@attrs.frozen(kw_only=True)
class Created:
    """What was created.

    Examples:
        >>> from vismanet_async.api.models.customer import CustomerUpdate
        >>> created = await visma.customer.create(CustomerUpdate(name="Nordlys AS"))
        >>> (await visma.customer.get(created.id)).name
        'Nordlys AS'
    """

    id: str | None
    """The new record's id, from the last part of the Location header; None when the server named none."""
    key: tuple[str, ...] = ()
    """All ids of the Location, for records that have several, such as type and number."""
    etag: str | None = None
    """The new record's version, to give as `if_match=`."""
    location_path: str | None = None
    """The Location header as it came. Only to be read: the SDK never follows it."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Updated:
    """What an update answers.

    Examples:
        >>> from vismanet_async.api.models.customer import CustomerUpdate
        >>> customer = await visma.customer.get("10000")
        >>> first = await visma.customer.update("10000", CustomerUpdate(name="Nordlys AS"), if_match=customer)
        >>> second = await visma.customer.update("10000", CustomerUpdate(name="Vega AS"), if_match=first.etag)
        >>> (await visma.customer.get("10000")).etag == second.etag
        True
    """

    etag: str | None = None
    """The record's new version, to give as `if_match=`; None when the server told none."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Done:
    """What an action answers whose result the API does not describe."""

    id: str | None = None
    """The id of what it made, if it named something."""
    etag: str | None = None
    location_path: str | None = None
    result: Any = None
    """The action's result, if it gave one: an `ActionResult`."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


def bare_etag(header: str | None) -> str | None:
    """Strip an ETag of quotes and of the weak mark.

    Examples:
        >>> bare_etag('W/"AAAAAE0YIiI="'), bare_etag("")
        ('AAAAAE0YIiI=', None)
    """
    return (header or "").strip().removeprefix("W/").strip('"') or None


def created(response: Response, template: str) -> Created:
    """Read the answer to a create or an upload."""
    location = response.headers.get("Location")
    key = ids_in(location, template) if location else ()
    return Created(
        id=key[-1] if key else None,
        key=key,
        etag=bare_etag(response.headers.get("ETag")),
        location_path=location,
        attempts=response.attempts,
    )


def updated(response: Response) -> Updated:
    """Read the answer to an update."""
    return Updated(etag=bare_etag(response.headers.get("ETag")), attempts=response.attempts)


def acted(response: Response, model: Callable[[], type[Any]], name: str) -> Any:
    """Read the result of an action, also when it comes from a finished job.

    Raises:
        ActionFailed: the result says `Failed`, although the status is a success (docs/facts.md 10).
    """
    cls: type[Record] = model()
    if not response.body.strip():
        return cls()
    result: Any = decode_one(
        response.body, cls, etag=bare_etag(response.headers.get("ETag")), attempts=response.attempts
    )
    if str(getattr(result, "action_result", "")).lower() == "failed":
        said = getattr(result, "error_info", None)
        raise ActionFailed(
            f"{name} failed although it was answered with {response.status}{f': {said}' if said else ''}. Read the "
            "record to see its state; the action can be tried again when the cause is gone.",
            result=result,
        )
    return result


def done(response: Response, model: Callable[[], type[Any]], template: str, name: str) -> Done:
    """Read the answer to an action whose result is not described.

    Raises:
        ActionFailed: it is an action result all the same, and says `Failed`.
    """
    made = created(response, template)
    is_object = response.body.removeprefix(UTF8_BOM).lstrip()[:1] == b"{"
    return Done(
        id=made.id,
        etag=made.etag,
        location_path=made.location_path,
        result=acted(response, model, name) if is_object else None,
        attempts=response.attempts,
    )
