"""The states of a job, and the choices that a caller has."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

__all__ = ["FINAL", "KEPT_FOR", "OPEN", "Notify", "Outcome", "State"]

Notify = Literal["none", "subscription"]
"""`none`: the job is found by polling. `subscription`: a webhook is sent when it ends (docs/facts.md 8)."""
Outcome = Literal["succeeded", "failed"]

KEPT_FOR: Final = timedelta(hours=24)
"""How long the server keeps state and content (docs/facts.md 7)."""


class State(StrEnum):
    """The state of a job: what leads to it, and what may follow."""

    INTENT = "intent"
    """Stored by `submit` before its request is sent. Then: any other state."""
    SUBMITTED = "submitted"
    """The server returned a job id. Then: running or settled."""
    RUNNING = "running"
    """A poll saw it started. Then: settled."""
    SUCCEEDED = "succeeded"
    """The request was executed and answered 2xx. Final."""
    FAILED = "failed"
    """It was answered with an error, or never sent; or it only reads, and the queue failed it. Final."""
    EXPIRED = "expired"
    """The server no longer knows it. Final."""
    UNCERTAIN = "uncertain"
    """Its id got lost, its deadline passed, or its answer is gone or does not show its outcome (a write with 408, 502,
    503 or 504, or that the queue failed). It may be running, or have succeeded. Never sent again. Then: submitted or
    settled."""


FINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.EXPIRED})
OPEN: Final = frozenset({State.INTENT, State.SUBMITTED, State.RUNNING})
"""The states that a worker advances by itself."""
