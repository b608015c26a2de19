from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st
from multidict import CIMultiDict

from vismanet_async._http.error_body import read_problem

ID = "6c6eb585-da38-4765-b80d-e9552a8721f8"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {
                "ExceptionType": "IPPException",
                "ExceptionMessage": "No license for this company.",
                "ExceptionFaultCode": "12027",
                "ExceptionDetails": "",
            },
            "No license for this company. (12027)",
        ),
        ({"ExceptionMessage": "", "ExceptionFaultCode": 12002}, "fault 12002"),
        ({"message": f"VismaId: {ID}. Error creating payment."}, "Error creating payment."),
        ({"Message": f"VismaId: {ID}. Error creating payment."}, "Error creating payment."),
        (
            {"Message": "An error has occurred.", "ExceptionMessage": "Account 3000 is closed."},
            "Account 3000 is closed.",
        ),
        ({"type": "x", "title": "Bad", "status": 400, "detail": "Wrong day", "instance": "/"}, "Wrong day"),
        ({"title": "Bad", "status": 400}, "Bad"),
        (
            {
                "errors": {},
                "details": [
                    {"code": "0001-NullNotAllowed", "message": "is null", "parameters": {"property": "customerId"}},
                    {"message": "odd"},
                    7,
                    {},
                ],
            },
            "customerId: 0001-NullNotAllowed is null; odd",
        ),
        (
            {"title": "Validation.", "errors": {"name": ["too long", "too odd"], "x": "y"}},
            "Validation.; name: too long too odd; x: y",
        ),
        ({"error": "invalid_client", "error_description": "who?"}, "who?"),
        ({"error": "invalid_client"}, "invalid_client"),
        ({"error": {"code": "X", "message": "inner"}}, "inner"),
        ({"statusCode": 429, "message": "Rate limit is exceeded."}, "Rate limit is exceeded."),
        ({"errorInfo": "not now"}, "not now"),
        ("just text", "just text"),
        ({}, ""),
        ({"message": 7, "details": "x", "errors": []}, ""),
        ([1, 2], "[1, 2]"),
        (None, "null"),
    ],
)
def test_json_shapes(body: object, detail: str) -> None:
    assert read_problem({}, json.dumps(body).encode()).detail == detail


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", ""),
        (b"plain\r\n text\x1b[31m", "plain text [31m"),
        (b"\xef\xbb\xbf" + b'{"message":"with a mark"}', "with a mark"),
        (b'{"message":"cut o', '{"message":"cut o'),
        (b'{"message":"\xff\xfe"}', '{"message":"\ufffd\ufffd"}'),
        (
            b"<html><head><title>502 Bad &amp; Gateway</title><style>p{a:b}</style></head><body><h1>Bad</h1>\n</body>",
            "502 Bad & Gateway Bad",
        ),
        (b"[" * 100_000, "[" * 300 + "\u2026"),
    ],
)
def test_other_bodies(body: bytes, detail: str) -> None:
    assert read_problem({}, body).detail == detail


def test_references() -> None:
    assert read_problem(CIMultiDict({"ipp-request-id": "a\x1bb"}), b"").reference == "a b"
    assert read_problem(CIMultiDict({"Request-Context": "appId=1"}), b"").reference == "appId=1"
    said = json.dumps({"message": f"VismaId: {ID}. No."}).encode()
    assert read_problem(CIMultiDict({"Ipp-Request-Id": "a"}), said).reference == ID
    assert read_problem({}, b"").reference is None
    assert len(read_problem({"Request-Context": "x" * 9999}, b"").reference or "") == 200


KEYS = ["message", "error", "errors", "details", "parameters", "ExceptionFaultCode", "code"]
TEXTS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda data: json.dumps(data).encode()))
def test_no_body_breaks_it_and_details_are_one_short_line(body: bytes) -> None:
    detail = read_problem({}, body).detail
    assert len(detail) <= 301
    assert detail.isprintable()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain; charset=iso-8859-1", "Tjänsten är nere".encode("latin-1")),
        ('text/html;charset="Windows-1252"', "<h1>Tjänsten är nere</h1>".encode("cp1252")),
        ("application/json; charset=latin1", '{"message":"Tjänsten är nere"}'.encode("latin-1")),
        ("application/json", '{"message":"Tjänsten är nere"}'.encode("utf-16")),
        ("text/plain; charset=utf-16be", "Tjänsten är nere".encode("utf-16-be")),
        ("text/plain; charset=iso-8859-1", "Tjänsten är nere".encode()),  # it does not use what it names
        ("text/plain; charset=nonsense", "Tjänsten är nere".encode()),
        ("text/plain; charset=base64", "Tjänsten är nere".encode()),
        ("text/plain; charset=idna", "Tjänsten är nere".encode()),
        ("", "\ufeffTjänsten är nere".encode()),
    ],
)
def test_errors_are_read_in_their_character_set(kind: str, body: bytes) -> None:
    assert read_problem({"Content-Type": kind}, body).detail == "Tjänsten är nere"
