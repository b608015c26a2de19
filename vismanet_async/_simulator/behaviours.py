"""Every awkward behaviour of the service as a named switch: what it does, its choices, its source.

The defaults are what the service is documented to do, or was last seen doing; where nobody knows, what it
does most simply. `list_behaviours` is the table that the command line and the docs show.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from attrs import Attribute, asdict, define, field, fields, setters

__all__ = ["Behaviour", "Behaviours", "list_behaviours", "parse_behaviour"]


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Behaviours)


def _check(_instance: object, attribute: Attribute[Any], value: object) -> None:
    hint = _hints()[attribute.name]
    if get_origin(hint) is Literal:
        right = value in get_args(hint)
    elif hint is float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        right = type(value) is hint
    if not right:
        _refuse(attribute.name, value, hint)


def _choices(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(repr(choice) for choice in get_args(hint))
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]


def _switch(default: Any, text: str, source: str) -> Any:
    return field(
        default=default,
        metadata={"text": text, "source": source},
        validator=_check,
        on_setattr=setters.validate,
    )


@define(kw_only=True)
class Behaviours:
    """The switches; assign to one at any time, the next request sees it."""

    # authentication
    token_lifetime_seconds: float = _switch(3600.0, "How long an access token lives.", "facts 2.5")
    refresh_tokens_rotate: bool = _switch(
        True, "A refresh token works once; each refresh gives the next one.", "facts 2.4"
    )
    approved: bool = _switch(
        True, "Off: the customer has not approved the integration, every call is 401.", "facts 2.8"
    )
    wrong_company_header: Literal["ignored", "empty_list"] = _switch(
        "ignored",
        "What an ipp-company-id of another company does: nothing, or empty lists with 200.",
        "facts 2.9",
    )

    # rate limits
    reset_header: Literal["seconds", "epoch"] = _switch(
        "seconds", "X-RateLimit-Reset counts seconds, or is the older epoch time stamp.", "facts 3.7"
    )
    lower_case_limit_headers: bool = _switch(
        False, "Rate-limit headers in lower case, as the older policies had.", "facts 3.7"
    )
    same_request_rule: bool = _switch(False, "429 when the same request comes more than 5 times in 60 s.", "facts 3.4")
    client_error_rule: bool = _switch(
        False, "429 when a failed request is repeated unchanged more than twice in 5 min.", "facts 3.5"
    )
    burst_limit_requests: int = _switch(
        0, "429 and a lock-out of two minutes after so many requests in 10 s (0: never).", "facts 3.3"
    )
    retry_after_on_429: bool = _switch(True, "Whether a 429 says Retry-After.", "facts 3.1")

    # paging
    empty_list: Literal["[]", "", "null", '""'] = _switch("[]", "Body of a list without rows.", "facts 4.4")
    clamp_page_size: bool = _switch(True, "A page size above the maximum is lowered in silence; off: 400.", "facts 4.2")
    page_size_limit: int = _switch(
        0, "A lower maximum page size for all endpoints (0: each endpoint's own).", "facts 4.10"
    )
    list_order: Literal["number", "newest_first", "last_modified", "unstable"] = _switch(
        "number",
        "Order of lists: by number, newest first, touched rows last, or another one with every request.",
        "facts 4.7",
    )
    unpaged_lists: Literal["whole", "paged", "paged_silently", "first_page"] = _switch(
        "whole",
        "Lists without paging in the catalog: whole, in pages with or without metadata, or only their first page.",
        "facts 4.9",
    )
    list_metadata: bool = _switch(True, "Whether the rows of paged lists carry metadata.", "facts 4.3")
    nested_metadata: bool = _switch(
        True, "Nested objects carry a metadata block of their own too (read at start).", "facts 4.3"
    )
    single_answers_list: bool = _switch(False, "A single customer invoice comes as an array of one.", "facts 10.11")
    sales_order_expanded_pages: Literal["refused", "lowered"] = _switch(
        "refused",
        "A page size above what `expand` allows in a Sales Order list: 400, or lowered in silence.",
        "facts 4.15",
    )
    sales_order_lines_member: Literal["lines", "orderLines", "none"] = _switch(
        "lines", "What the lines in the PATCH of an order itself are called; none: they are ignored.", "facts 10.16"
    )
    sales_order_total_unknown: bool = _switch(False, "Sales Order lists say totalCount null.", "facts 4.16")

    # filters
    value_needs_condition: Literal["ignored", "refused"] = _switch(
        "ignored", "A filter value without its Condition: ignored with 200, or refused.", "facts 5.3"
    )
    greater_includes_equal: bool = _switch(
        False, "The operator > means on or after, as older documents said.", "facts 5.4"
    )
    text_filters: Literal["contains", "exact"] = _switch(
        "contains", "A filter on a name finds names that contain it, or that are it.", "facts 5.13"
    )
    unknown_parameters: Literal["ignored", "refused"] = _switch(
        "ignored", "Unknown query parameters: ignored with 200, or refused.", "facts 5.5"
    )
    encoded_reserved_in_path: Literal["refused", "accepted"] = _switch(
        "refused", "Percent-encoded / ? # % in a path: refused by the gateway, or decoded.", "facts 5.12"
    )
    stamp_offset_seconds: float = _switch(
        0.0,
        "Rows written from now on carry a time of change so many seconds ahead of the clock (negative: behind it).",
        "facts 5.10",
    )
    time_zone: str = _switch("Europe/Oslo", "Zone of the naive times in rows (read at start).", "facts 5.10")

    # errors
    error_shape: Literal["erp", "capital", "ipp", "text", "html", "empty"] = _switch(
        "erp",
        "Shape of errors: message, Message, the old gateway's IPPException, plain text, HTML, or nothing.",
        "facts 11.1",
    )
    company_fault: Literal["none", "12027", "12002"] = _switch(
        "none",
        "Every call fails with the old gateway's fault: no licence for the company, or its id not allowed.",
        "facts 11.2",
    )
    ended_operations: Literal["answer", "not_found"] = _switch(
        "answer",
        "Operations past their end of life (sales orders v1 and v2, GET v1 PurchaseReceipt).",
        "facts 1.13",
    )

    # the form of rows
    etag_style: Literal["quoted", "bare", "weak"] = _switch("quoted", "How ETag headers are written.", "facts 6.2")
    wrapped_reads: bool = _switch(False, 'Single reads wrap plain values as {"value": ...}.', "facts 10.1")
    time_style: Literal["naive", "offset", "z"] = _switch("naive", "Zone of times in bodies.", "facts 12.2")
    fraction_digits: int = _switch(
        -1, "Digits of the fraction of seconds, 0 to 7 (-1: as few as needed).", "facts 12.2"
    )
    empty_text_for_null: bool = _switch(False, "Empty text where null is meant.", "facts 12.2")
    unknown_fields: bool = _switch(False, "Records carry a field that no document names.", "facts 12.6")
    unknown_enum_values: bool = _switch(False, "Some records have a status that no document names.", "facts 12.6")

    # writes
    validation_status: Literal[400, 500] = _switch(
        400, "Status of a refused body; 500 is a validation failure in disguise.", "facts 11.6"
    )
    manual_numbers: Literal["need_override", "accepted"] = _switch(
        "need_override",
        "A number sent on create counts only with overrideNumberSeries, or always.",
        "facts 10.9",
    )
    location_host: Literal["as_called", "api_host", "legacy_http"] = _switch(
        "as_called",
        "Host in the Location of something new: as called, api.finance.visma.net, or the old host over http.",
        "facts 1.9",
    )
    action_if_match: Literal["background_only", "always"] = _switch(
        "background_only", "Whether actions check If-Match without the background header.", "facts 6.6"
    )
    action_failures: Literal["http_400", "failed_with_200"] = _switch(
        "http_400",
        "An action that a rule forbids: 400 with a message, or 200 with actionResult Failed.",
        "facts 10.7",
    )
    action_status: Literal[200, 201] = _switch(200, "Status of an action that was done.", "facts 10.6")
    actions_go_on_seconds: float = _switch(
        0.0, "Actions answer 202 InProcess and take effect so many seconds later.", "facts 7.14"
    )
    attachment_download: Literal["bytes", "base64", "json"] = _switch(
        "bytes", "Body of an attachment: the bytes, base64 text, or base64 as a JSON string.", "facts 9.4"
    )

    # background queue
    queued_status: str = _switch(
        "Queued", "Status of a job that waits for a server (none is documented; empty: null).", "facts 7.10"
    )
    background_accepted: Literal["current", "older"] = _switch(
        "current",
        "Body of the 202: id and stateLocation, or the whole state document with a Location header.",
        "facts 7.3",
    )
    background_synchronous: bool = _switch(
        False, "Requests with the background header are answered at once.", "facts 7.4"
    )
    background_url_values: bool = _switch(
        False, "A URL is taken as value of erp-api-background, as before 2025-04-30.", "facts 7.1"
    )
    background_times: Literal["offset", "z"] = _switch(
        "offset", "Times in state documents: with an offset, or with Z.", "facts 7.8"
    )
    background_expired_status: Literal[404, 410] = _switch(
        404, "Status of the state of a job that ended 24 hours ago.", "facts 7.6"
    )
    state_host: Literal["as_called", "api_host", "integration_host", "foreign"] = _switch(
        "as_called",
        "Host in stateLocation and contentLocation; foreign is a listener that logs what it is sent.",
        "facts 7.11",
    )

    # answers
    gateway_timeout_seconds: float = _switch(
        240.0, "The gateway gives up after so long with 504; the work goes on (0: never).", "facts 1.8"
    )
    compress: bool = _switch(True, "gzip or deflate where the client accepts it.", "facts 1.12")
    utf8_bom: bool = _switch(False, "JSON bodies start with a byte order mark.", "facts 11.1")

    def set(self, **switches: object) -> None:
        """Set several switches by name.

        Raises:
            ValueError: A name or a value is not known; nothing is changed then.
        """
        known = {attribute.name: attribute for attribute in fields(type(self))}
        for name, value in switches.items():
            if name not in known:
                raise ValueError(f"no behaviour is called {name!r}; vismanet simulate --list-behaviours names them all")
            _check(self, known[name], value)
        for name, value in switches.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all switches and their settings."""
        return asdict(self)


@define
class Behaviour:
    """One line of the table of behaviours."""

    name: str
    default: object
    choices: str
    text: str
    source: str


def parse_behaviour(name: str, text: str) -> object:
    """Read the value of a switch from text, as a command line gives it.

    Raises:
        ValueError: The name or the value is not known.

    Examples:
        >>> parse_behaviour("empty_list", "null"), parse_behaviour("approved", "false")
        ('null', False)
    """
    hint = _hints().get(name)
    if hint is None:
        raise ValueError(f"no behaviour is called {name!r}; vismanet simulate --list-behaviours names them all")
    choices = get_args(hint) if get_origin(hint) is Literal else {bool: (True, False)}.get(hint, ())
    for choice in choices:
        if text == (str(choice).lower() if isinstance(choice, bool) else str(choice)):
            return choice
    try:
        return hint(text) if hint in {int, float, str} else _refuse(name, text, hint)
    except ValueError:
        return _refuse(name, text, hint)


def _refuse(name: str, value: object, hint: object) -> NoReturn:
    raise ValueError(f"behaviour {name} cannot be {value!r}; it takes {_choices(hint)}")


def list_behaviours() -> list[Behaviour]:
    """Return every switch with its default, its choices, what it does and where that is written down.

    Examples:
        >>> next(line for line in list_behaviours() if line.name == "empty_list").default
        '[]'
    """
    return [
        Behaviour(attribute.name, attribute.default, _choices(_hints()[attribute.name]), **attribute.metadata)
        for attribute in fields(Behaviours)
    ]
