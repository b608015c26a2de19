"""Settings for all tests."""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import settings

from tests.paging.summary import pytest_terminal_summary
from tests.support.home import OwnHome
from vismanet_async._codec.struct_decoder import FAST
from vismanet_async._http.wiring import IN_PLACE, PROMPT, TOLERANT

__all__ = ["pytest_terminal_summary"]

OWN_HOME = OwnHome()

# how long one example takes says more about the machine than about the code; each test has its own time limit
settings.register_profile("vismanet", deadline=None)
# `make quick`: as many examples as show a slip at once
settings.register_profile("quick", deadline=None, max_examples=10)
settings.load_profile("vismanet")


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, however the suite itself was started.

    A shell script starts what runs in its background with SIGINT ignored, and every child of that inherits it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # until all is imported and collected: nothing of it is garbage


def pytest_collection_finish() -> None:
    """Let the collector look at what tests make, not at all that was imported: a tenth of the suite's time."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    OWN_HOME.remove()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let no test find what another one has left: jobs, profiles, half an export."""
    OWN_HOME.renew()


@pytest.fixture(scope="session", autouse=True)
def accelerators_as_started() -> None:
    """Have the accelerators read the environment before a test changes it: they remember what they found."""
    for accelerator in (FAST, IN_PLACE, PROMPT, TOLERANT):
        _ = accelerator.usable
