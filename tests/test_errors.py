from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from vismanet_async import errors
from vismanet_async.errors import ApiError, Attempt, VismaNetError, api_error_type

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, VismaNetError)]


def one(kind: type[VismaNetError]) -> VismaNetError:
    if issubclass(kind, ApiError):
        return kind("GET it", status=418, detail="no", reference="r", body=b"{}", headers={"ETag": "x"})
    if kind is errors.UnknownName:
        return kind("filter", "stauts", nearest=["status"], where="of customers")
    return kind("it went wrong")


@pytest.mark.parametrize("kind", ALL)
def test_errors_survive_copying_and_processes(kind: type[VismaNetError]) -> None:
    error = one(kind)
    error.attempts = (Attempt(number=1, started_after_seconds=0, duration_seconds=1, outcome="200"),)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_every_error_is_public_and_drawn_in_the_tree() -> None:
    assert {kind.__name__ for kind in ALL} <= set(errors.__all__)
    for kind in ALL:
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "it: 412. Read the record again and decide with its present content; nothing was changed."),
        ({"detail": "Stale.", "advice": "Go."}, "it: 412 Stale. Go."),
        ({"detail": "Stale", "advice": "Go."}, "it: 412 Stale. Go."),
        ({"detail": "Stale.", "reference": "r", "advice": "Go."}, "it: 412 Stale. (reference r). Go."),
        ({"advice": ""}, "it: 412"),
    ],
)
def test_texts(given: dict[str, Any], text: str) -> None:
    assert str(errors.PreconditionFailed("it", status=412, **given)) == text


def test_statuses_have_their_errors() -> None:
    named = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 408: "ServerError"}
    named |= {409: "Conflict", 410: "Gone", 412: "PreconditionFailed", 422: "BadRequest", 429: "RateLimited"}
    named |= {428: "PreconditionRequired"} | dict.fromkeys(range(500, 600), "ServerError")
    for status in range(300, 600):
        assert api_error_type(status).__name__ == named.get(status, "ApiError")


def test_python_s_own_families() -> None:
    assert issubclass(errors.NotSent, OSError)
    assert issubclass(errors.DeadlineExceeded, TimeoutError)
    assert issubclass(errors.UnknownName, ValueError)
    assert str(one(errors.UnknownName)).endswith("Did you mean status?")


def test_attempts_read_as_a_line() -> None:
    attempt = Attempt(number=2, started_after_seconds=1, duration_seconds=0.25, outcome="503", waited_for=("slot 1 s",))
    assert str(attempt) == "#2 503 in 0.250 s after waiting for slot 1 s"
