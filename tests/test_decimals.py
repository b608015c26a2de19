"""One grammar of numbers: what is read from text is what may be sent as text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from vismanet_async._api.models import Customer, CustomerUpdate
from vismanet_async._api.query import integer, number
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.encode import encode_plain, encode_write
from vismanet_async._conditions import on_or_after
from vismanet_async._decimals import MOST_DIGITS, number_in, plain, whole_number_in
from vismanet_async._http.auth.grant import RawTokenResponse, read_token_response
from vismanet_async.errors import RequestRefused, UnexpectedResponse

NUMBERS = ["0", "12", "-12.50", "007", "0.0000001", "99999999999999999.99", "9" * MOST_DIGITS]
NO_NUMBERS = [
    "", " ", "NaN", "nan", "sNaN", "NaN12", "Infinity", "-Infinity", "inf", "-INF", "1_000", "_1",
    "\uff11\uff12", "\u0661\u0662", "\u0967\u0968",
    "1e5", "1E+400", "1e999999999", "+5", " 12", "12 ", "12\n", ".5", "5.", "1,5", "1 000", "0x10", "--1", "½",
    "9" * (MOST_DIGITS + 1),
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_as_text_are_read_and_sent(text: str) -> None:
    body = json.dumps({"number": "1", "creditLimit": text}).encode()
    assert decode_one(body, Customer).credit_limit == Decimal(text)
    assert [row.credit_limit for row in decode_rows([body], Customer)] == [Decimal(text)]
    assert json.loads(encode_write({"creditLimit": text}, CustomerUpdate), parse_int=Decimal, parse_float=Decimal) == {
        "creditLimit": {"value": Decimal(text)}
    }


@pytest.mark.parametrize("text", [each for each in NO_NUMBERS if each])
def test_what_is_no_number_is_refused_both_ways(text: str) -> None:
    body = json.dumps({"number": "1", "creditLimit": text}).encode()
    with pytest.raises(UnexpectedResponse, match="credit_limit"):
        decode_one(body, Customer)
    with pytest.raises(UnexpectedResponse, match=r"row 1 of this slice: .* credit_limit"):
        decode_rows([b'{"number":"2"}', body], Customer)
    with pytest.raises(RequestRefused, match=r"credit_limit \(creditLimit\) takes a number"):
        encode_write({"creditLimit": text}, CustomerUpdate)
    assert number_in(text) is None
    assert whole_number_in(text) is None


@pytest.mark.parametrize("escaped", [r"1\u005f000", r"\uff11\uff12", r"\u004eaN"])
def test_escapes_hide_nothing(escaped: str) -> None:
    with pytest.raises(UnexpectedResponse, match="credit_limit"):
        decode_one(f'{{"creditLimit" : "{escaped}"}}'.encode(), Customer)


def test_a_server_that_quotes_amounts_is_found_out_in_long_slices() -> None:
    rows = [b'{"number":"%d","creditLimit":"%d.50"}' % (number, number) for number in range(99)]
    assert [row.credit_limit for row in decode_rows(rows, Customer)] == [
        Decimal(f"{number}.50") for number in range(99)
    ]
    with pytest.raises(UnexpectedResponse, match=r"row 99 of this slice: .* credit_limit"):
        decode_rows([*rows, b'{"number":"99","creditLimit":"1_0"}'], Customer)


@pytest.mark.parametrize(
    "value",
    [Decimal("1E+999999"), Decimal("1E-999999"), Decimal(10) ** 40, 10**5000, Decimal("NaN")],
    ids=["wide", "deep", "long", "int", "nan"],
)
def test_numbers_too_long_to_write_out_are_refused_everywhere(value: Any) -> None:
    for send in (
        lambda: encode_write({"creditLimit": value}, CustomerUpdate),
        lambda: encode_write({"creditDaysPastDue": value}, CustomerUpdate),
        lambda: encode_plain({"a": [value]}),
        lambda: number("amount", value, None),
        lambda: on_or_after(value).parameters("amount"),
        lambda: integer("amount", int(value), None) if isinstance(value, int) else number("amount", value, None),
    ):
        with pytest.raises(RequestRefused, match=r"[Nn]othing was sent"):
            send()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**30), max_value=10**30))
def test_what_is_written_reads_the_same(value: Decimal) -> None:
    text = plain(value)
    assert text is not None
    assert number_in(text) == value


@pytest.mark.parametrize("told", ["1_000", "nan", "\uff11\uff12", None, [], "1e5"])
def test_a_life_time_that_is_no_number_has_the_default(told: Any) -> None:
    def seconds(expires_in: Any) -> float:
        body = json.dumps({"access_token": "t", "expires_in": expires_in}).encode()
        return read_token_response(RawTokenResponse(200, body), host="h").lifetime_seconds

    assert seconds(told) == seconds("soon")
    assert seconds("120") == seconds(120) == 120


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud83d", {"a": "x\udc00"}, {"\ud83d": 1}, object()])
def test_values_that_json_cannot_hold_are_refused_by_their_place(value: Any) -> None:
    with pytest.raises(RequestRefused, match=r"json.*nothing was sent"):
        encode_plain({"lines": [value]})
