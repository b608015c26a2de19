"""Habits of form: what an answer that is right may look like. Applied to finished replies, off by default."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.json_text import decode, encode
from vismanet_async._simulator.messages import Reply, json_reply

if TYPE_CHECKING:
    from vismanet_async._simulator.behaviours import Behaviours

__all__ = ["dress"]

_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?")
_OK, _FIRST_ERROR = 200, 400
_ODD_PLACE = 3  # of ten records in a row, this one has the unknown status
_ZONES = {"offset": "+01:00", "z": "Z"}


def dress(reply: Reply, behaviours: Behaviours, *, holds_records: bool = True) -> Reply:
    """Apply the forms that are switched on to a reply; state documents of the background queue are no records."""
    if "ETag" in reply.headers:
        bare = reply.headers["ETag"].strip('"')
        reply.headers["ETag"] = {"quoted": f'"{bare}"', "bare": bare, "weak": f'W/"{bare}"'}[behaviours.etag_style]
    is_json = (reply.content_type or "").startswith("application/json")
    if reply.status >= _FIRST_ERROR and is_json and behaviours.error_shape != "erp":
        return _error(reply, behaviours.error_shape)
    if reply.status == _OK and is_json and holds_records and _changes_rows(behaviours):
        reply.body, reply.cache_key = (
            encode(_records(decode(reply.body), behaviours)) if reply.body else b"",
            None,
        )
    return reply


def _changes_rows(behaviours: Behaviours) -> bool:
    return (
        behaviours.wrapped_reads or behaviours.unknown_fields or behaviours.unknown_enum_values
        or behaviours.empty_text_for_null or behaviours.time_style != "naive"
        or behaviours.fraction_digits >= 0
    )  # fmt: skip


def _records(body: object, behaviours: Behaviours) -> object:
    if isinstance(body, list):
        return [_record(record, place, behaviours, listed=True) for place, record in enumerate(body)]
    if isinstance(body, dict) and isinstance(body.get("records"), list):
        return body | {
            "records": [_record(record, place, behaviours, listed=True) for place, record in enumerate(body["records"])]
        }
    return _record(body, 0, behaviours, listed=False)


def _record(record: object, place: int, behaviours: Behaviours, *, listed: bool) -> object:
    record = _walk(record, lambda value: _scalar(value, behaviours))
    if not isinstance(record, dict):
        return record
    if behaviours.unknown_enum_values and place % 10 == _ODD_PLACE and isinstance(record.get("status"), str):
        record["status"] = "StatusNobodyKnows"
    if behaviours.unknown_fields:
        record["fieldNobodyKnows"] = {"since": "yesterday", "amount": 1}
    if behaviours.wrapped_reads and not listed:
        record = {
            name: value if isinstance(value, dict | list) or name == "metadata" else {"value": value}
            for name, value in record.items()
        }
    return record


def _scalar(value: object, behaviours: Behaviours) -> object:
    if value is None:
        return "" if behaviours.empty_text_for_null else None
    if not isinstance(value, str):
        return value
    found = _DATE_TIME.fullmatch(value)
    if found is None:
        return value
    whole, fraction = found.groups()
    digits = behaviours.fraction_digits
    if digits >= 0 and not whole.endswith("T00:00:00"):
        fraction = (fraction or "").ljust(digits, "0")[:digits]
    return whole + (f".{fraction}" if fraction else "") + _ZONES.get(behaviours.time_style, "")


def _walk(value: object, change: Callable[[object], object]) -> Any:
    if isinstance(value, Mapping):
        return {name: _walk(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, change) for inner in value]
    return change(value)


def _error(reply: Reply, shape: str) -> Reply:
    body = decode(reply.body) if reply.body else {}
    message = str(body.get("message", "")) if isinstance(body, dict) else ""
    headers = reply.headers
    if shape == "capital":
        return json_reply({"Message": message}, reply.status, headers)
    if shape == "ipp":
        return json_reply({
            "ExceptionType": "IPPException", "ExceptionMessage": message,
            "ExceptionFaultCode": str(reply.status),
            "ExceptionMessageID": f"{reply.status}_6e2a06a8-76d8-4e9a-bce8-a5818d60a388",
            "ExceptionDetails": "",
        }, reply.status, headers)  # fmt: skip
    if shape == "text":
        return Reply(reply.status, message.encode(), "text/plain; charset=utf-8", headers)
    if shape == "html":
        return Reply(
            reply.status,
            f"<html><body><h1>Error</h1><p>{message}</p></body></html>".encode(),
            "text/html",
            headers,
        )
    return Reply(reply.status, b"", None, headers)
