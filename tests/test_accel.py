"""Accelerators: probed once, said once, turned off by a variable."""

from __future__ import annotations

import logging
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from vismanet_async._accel import VARIABLE, Accelerator

if TYPE_CHECKING:
    from collections.abc import Callable


def made(probe: Callable[[], bool]) -> Accelerator:
    return Accelerator("quick way", instead="the public way", probe=probe)


@pytest.fixture(autouse=True)
def _not_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_it_is_probed_once_and_only_when_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    probed: list[None] = []

    def probe() -> bool:
        probed.append(None)
        return True

    accelerator = made(probe)
    assert probed == []
    assert [accelerator.usable for _ in range(3)] == [True] * 3
    assert (len(probed), caplog.records) == (1, [])


def test_what_is_superfluous_is_neither_probed_nor_told(caplog: pytest.LogCaptureFixture) -> None:
    accelerator = Accelerator("quick way", instead="the public way", probe=lambda: 1 / 0 > 0, superfluous=True)
    assert not accelerator.usable
    assert caplog.records == []


def test_a_failed_probe_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    accelerator = made(lambda: False)
    assert [accelerator.usable for _ in range(3)] == [False] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "quick way" in record.getMessage()
    assert "instead: the public way" in record.getMessage()


@pytest.mark.parametrize("kind", [AttributeError, TypeError, RuntimeError, SystemError])
def test_a_probe_that_raises_counts_as_no(kind: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    def probe() -> bool:
        raise kind("gone")

    assert not made(probe).usable
    assert f"{kind.__name__}: gone" in caplog.text


@pytest.mark.parametrize("value", ["0", "false", "No", " OFF "])
def test_the_variable_turns_it_off_unprobed(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    caplog.set_level(logging.INFO)
    probed: list[None] = []

    def probe() -> bool:
        probed.append(None)
        return True

    accelerator = made(probe)
    assert [accelerator.usable, accelerator.usable] == [False, False]
    assert probed == []
    assert [(each.levelno, VARIABLE in each.getMessage()) for each in caplog.records] == [(logging.INFO, True)]


@pytest.mark.parametrize("value", ["", "1", "yes"])
def test_other_values_leave_it_on(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert made(lambda: True).usable


def test_it_can_be_given_up_later_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    accelerator = made(lambda: True)
    before = accelerator.usable
    accelerator.give_up("it lost a byte")
    accelerator.give_up("it lost a byte")
    assert (before, accelerator.usable) == (True, False)
    assert [each.getMessage() for each in caplog.records] == [
        "quick way not used: it lost a byte; instead: the public way"
    ]


def test_threads_probe_it_once() -> None:
    probed: list[None] = []

    def probe() -> bool:
        probed.append(None)
        return True

    accelerator, ready = made(probe), Barrier(8)

    def ask() -> None:
        ready.wait()
        assert accelerator.usable

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(probed) == 1
