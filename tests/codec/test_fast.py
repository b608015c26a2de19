"""msgspec fills the models by no documented use of it: probed, and left out where it behaves otherwise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from vismanet_async._accel import VARIABLE, Accelerator
from vismanet_async._api.models import CustomerInvoice
from vismanet_async._codec import decode as decode_module, struct_decoder
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = b'{"referenceNumber":"1","amount":12.50,"documentDate":"2025-11-21T00:00:00","customer":{"number":"7"},"x":[1]}'


def broken(build: Callable[[type], Any]) -> Callable[[type], Any]:
    class Decoder:
        def __init__(self, cls: type) -> None:
            self._decode = build(cls).decode

        def decode(self, text: bytes) -> Any:
            return self._decode(text.replace(b"12.50", b"12.5"))

    return Decoder


def refuse(cls: type) -> Any:
    if issubclass(cls, Model):
        raise TypeError("Type unions may not contain more than one custom type")
    return msgspec.json.Decoder(cls)


def test_it_is_usable_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Accelerator("x", instead="y", probe=struct_decoder.FAST.probe).usable


@pytest.mark.parametrize("build", [refuse, broken(struct_decoder._build)], ids=["raises", "loses a digit"])
def test_another_msgspec_leaves_it_to_the_reference(
    build: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    expected = decode_one(ROW, CustomerInvoice)
    monkeypatch.setattr(struct_decoder, "_build", build)
    monkeypatch.setattr(struct_decoder, "_decoders", {})
    monkeypatch.setattr(
        decode_module, "FAST", Accelerator(struct_decoder.FAST.name, instead="cattrs", probe=struct_decoder.FAST.probe)
    )
    assert decode_one(ROW, CustomerInvoice) == expected
    assert decode_rows([ROW, msgspec.Raw(ROW)], CustomerInvoice) == [expected, expected]
    assert decode_rows([b'"a"'], str) == ["a"]
    assert str(expected.amount) == "12.50"
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("decoding models with msgspec not used: ")


@pytest.mark.parametrize("usable", [True, False])
def test_rows_are_the_same_both_ways(usable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(decode_module, "FAST", Accelerator("x", instead="y", probe=lambda: usable))
    rows = decode_rows([ROW, b"{}"], CustomerInvoice)
    assert [row.raw_json for row in rows] == [ROW, b"{}"]
    assert rows[0].extra == {"x": [1]}
    assert rows[0].customer is not None
