"""What came back: an answer of the API, or something else that has a success status."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from vismanet_async._http.answer import json_text, page_text, read_answer


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"null", b'""', b"\xef\xbb\xbf", b"\xef\xbb\xbfnull"])
def test_every_form_of_nothing_is_blank(body: bytes) -> None:
    answer = read_answer({}, body)
    assert (answer.shape, answer.error, answer.members) == ("blank", None, {})


@pytest.mark.parametrize(
    ("body", "shape", "value"),
    [
        (b'{"number": "1", "amount": 1.10}', "object", {"number": "1", "amount": Decimal("1.10")}),
        (b"[1, 2]", "array", [1, 2]),
        (b'"done"', "scalar", "done"),
        (b"\xef\xbb\xbf{}", "object", {}),
        ('{"name": "Blåbær"}'.encode("utf-16"), "object", {"name": "Blåbær"}),
        (b'{"name": "half \\ud83d"}', "object", {"name": "half \ud83d"}),
    ],
)
def test_json_is_read_whatever_its_content_type_says(body: bytes, shape: str, value: Any) -> None:
    answer = read_answer({"Content-Type": "text/plain"}, body)
    assert (answer.shape, answer.value, answer.error) == (shape, value, None)
    assert json.loads(json_text({}, body)) == json.loads(json_text({"Content-Type": "application/json"}, body))


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        (b"<html><body>Sign in</body></html>", "an HTML or XML page"),
        (b"\r\n<?xml version='1.0'?><x/>", "an HTML or XML page"),
        (b'{"number": "1"', "damaged or cut-off JSON"),
        (b"[1, 2", "damaged or cut-off JSON"),
        (b"Service unavailable", "plain text"),
        (b'{"amount": NaN}', "damaged or cut-off JSON"),
        (b"{} {}", "damaged or cut-off JSON"),
    ],
)
def test_what_is_no_json_is_no_answer(body: bytes, looks: str) -> None:
    answer = read_answer({"Content-Type": "application/json"}, body)
    assert (answer.shape, answer.looks, answer.value) == ("other", looks, None)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"message": "No licence for this company."}, "No licence for this company."),
        ({"ExceptionMessage": "No licence.", "ExceptionFaultCode": "12027"}, "No licence."),
        ({"error": "invalid_client"}, "invalid_client"),
        ({"title": "Not allowed", "detail": "Read only."}, "Read only."),
        ({"statusCode": 429, "text": "slow down"}, ""),
        ({"status": "503"}, ""),
        ({"status": "9" * 5000}, ""),
        ({"success": False}, ""),
        ({"errorInfo": "locked"}, ""),
    ],
)
def test_an_error_document_is_one_in_spite_of_its_status(body: dict[str, Any], says: str) -> None:
    answer = read_answer({}, json.dumps(body).encode())
    assert answer.looks == "an error document"
    assert answer.error is not None
    assert says in answer.error


@pytest.mark.parametrize(
    "body",
    [
        {"status": "Open"},
        {"statusCode": 200},
        {"success": True},
        {"actionResult": "Done", "errorInfo": "a note"},
        {"message": ""},
        {"title": "A book"},
    ],
)
def test_what_only_resembles_an_error_document_is_an_answer(body: dict[str, Any]) -> None:
    assert read_answer({}, json.dumps(body).encode()).error is None


def test_a_problem_document_is_an_error_by_its_content_type() -> None:
    assert read_answer({"Content-Type": "application/problem+json"}, b'{"type": "about:blank"}').error is not None


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json; charset=iso-8859-1", "latin-1"),
        ("application/json; charset=iso-8859-1", "utf-8"),  # a server that declares what it does not use
        ("application/json; charset=windows-1252", "cp1252"),
        ("application/json; charset=utf-16", "utf-16"),
        ("application/json; charset=utf-16le", "utf-16-le"),
        ("application/json", "utf-16"),
        ("", "utf-32"),
        ("application/json; charset=utf-8", "utf-8"),
    ],
)
def test_pages_are_read_in_the_character_set_that_they_declare(content_type: str, encoding: str) -> None:
    assert page_text({"Content-Type": content_type}, '["Blåbær"]'.encode(encoding)) == '["Blåbær"]'.encode()


@pytest.mark.parametrize("content_type", [None, "application/json", "text/json; CHARSET=UTF8", "x; charset=nonsense"])
def test_a_page_that_declares_nothing_else_is_not_looked_through(content_type: str | None) -> None:
    body = bytearray(b'["\xff"]')
    assert page_text({} if content_type is None else {"Content-Type": content_type}, body) is body
