"""A pytest plugin: runs each test VISMANET_EACH times, as tests of their own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def time_of_many(request: pytest.FixtureRequest) -> object:
    return getattr(request, "param", 0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.fixturenames.append("time_of_many")
    metafunc.parametrize("time_of_many", range(int(os.environ["VISMANET_EACH"])), indirect=True)
