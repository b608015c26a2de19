"""Decodes JSON into models: with the fast decoder, and where that refuses, with the tolerant one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from vismanet_async._codec.model import Model, Record, attach_raw, attach_response
from vismanet_async._codec.struct_decoder import FAST, decoder, needs_tolerant_decoder, paused_collector, quotes_amounts
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async.errors import Attempt

__all__ = ["decode_one", "decode_rows"]

_UTF8_BOM = b"\xef\xbb\xbf"
_SAMPLE_EVERY = 50
"""Every so many rows of a slice are checked for amounts sent as text: a server quotes all or none."""
T = TypeVar("T")


def decode_rows(raws: Sequence[bytes | msgspec.Raw], cls: type[T]) -> list[T]:
    """Return the decoded rows of a list, each from its own JSON text.

    Meant for slices of some 100 KB: it blocks the event loop for one slice (some 1.5 ms), and the caller yields
    between slices. A `Record` keeps a copy of its text, so that the page can be freed.

    Args:
        raws: one JSON text for each row, such as `msgspec.json.decode(page, type=list[msgspec.Raw])`.
        cls: the model; `str` for lists of plain text.

    Raises:
        UnexpectedResponse: a row cannot be read as `cls`; the error names the row and the field.
    """
    texts = list(map(bytes, raws))
    if not _is_fast(cls):
        return _one_by_one(texts, cls)
    decode = decoder(cls).decode
    with paused_collector():
        try:
            if any(map(needs_tolerant_decoder, texts)) or quotes_amounts(_sample(texts), cls):
                return _one_by_one(texts, cls)
            rows = list(map(decode, texts))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _one_by_one(texts, cls)
        if issubclass(cls, Record):
            for row, text in zip(rows, texts, strict=True):
                attach_raw(row, text)
    return rows


def decode_one(body: bytes, cls: type[T], *, etag: str | None = None, attempts: tuple[Attempt, ...] = ()) -> T:
    """Return the decoded response of a single read.

    Some single reads return an array; an array of one record is read as that record.

    Args:
        body: the JSON text.
        cls: the model.
        etag: the response's ETag header, without quotes; becomes `record.etag`.
        attempts: the attempt log; becomes `record.attempts`.

    Raises:
        UnexpectedResponse: the body is no such record; the error names the field that does not fit.
    """
    text = body.removeprefix(_UTF8_BOM).strip()
    if text[:1] == b"[":
        text = _only(text, cls)
    record = _one(text, cls)
    if isinstance(record, Record):
        attach_response(record, etag, attempts)
    return record


def _is_fast(cls: type) -> bool:
    return FAST.usable or not issubclass(cls, Model)


def _sample(texts: list[bytes]) -> list[bytes]:
    return texts if len(texts) <= _SAMPLE_EVERY else texts[::_SAMPLE_EVERY]


def _only(text: bytes, cls: type) -> bytes:
    try:
        parts = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedResponse(f"the answer is not JSON: {error}. It may have been cut off.") from error
    if len(parts) != 1:
        raise UnexpectedResponse(f"the answer to a read of one {cls.__name__} is a list of {len(parts)}.")
    return bytes(parts[0])


def _one_by_one(texts: list[bytes], cls: type[T]) -> list[T]:
    rows = []
    for index, text in enumerate(texts):
        try:
            rows.append(_one(text, cls))
        except UnexpectedResponse as error:
            raise UnexpectedResponse(f"row {index} of this slice: {error}") from error
    return rows


def _one(text: bytes, cls: type[T]) -> T:
    record: Any
    if not _is_fast(cls) or needs_tolerant_decoder(text) or quotes_amounts((text,), cls):
        record = _tolerantly(text, cls)
    else:
        try:
            record = decoder(cls).decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = _tolerantly(text, cls)
    if isinstance(record, Record):
        attach_raw(record, text)
    return record  # type: ignore[no-any-return]  # a T by construction


def _tolerantly(text: bytes, cls: type[T]) -> T:
    from vismanet_async._codec.tolerant_decoder import loads_exact, structure  # noqa: PLC0415 - cattrs is loaded only when needed

    if not text.strip() or text.strip() in {b"null", b'""'}:
        raise UnexpectedResponse(f"the answer is empty where a {cls.__name__} was promised.")
    return structure(loads_exact(text), cls)
