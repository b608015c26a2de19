"""What one measurement is asked to do and what it tells: plain data, so that measured processes import little."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """Read a whole list from the page server."""

    resource: str = "customer"
    rows: int = 100_000
    wait_ms: int = 0
    connections: int = 8
    page_rows: int = 1000
    gzip: bool = False
    #: the server answers so many at once, and lets the others wait; 0 is no limit
    slots: int = 0
    #: seconds that the consumer takes over each page
    consumer_seconds: float = 0.0
    #: measure how long the event loop was held, by a ticker beside the client
    ticker: bool = False

    @property
    def pages(self) -> int:
        """The fewest requests that can read the list."""
        return max(1, -(-self.rows // self.page_rows))

    @property
    def settings_path(self) -> str:
        """What the page server wants before `/v1/...`."""
        slots = f"/slots-{self.slots}" if self.slots else ""
        return f"/rows-{self.rows}/wait-{self.wait_ms}{slots}" + ("/gzip" if self.gzip else "")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job for one client against one server, as the measured process gets it."""

    job: Job
    client: str
    server: str
    out: Path

    @property
    def base_url(self) -> str:
        """What stands before `/v1/...`."""
        return self.server + self.job.settings_path

    @property
    def list_url(self) -> str:
        """The list itself, without paging parameters."""
        return f"{self.base_url}/v1/{self.job.resource}"

    def to_plain(self) -> dict[str, Any]:
        """Return what JSON can carry."""
        return {**dataclasses.asdict(self), "out": str(self.out)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Task:
        """Undo `to_plain`."""
        return cls(job=Job(**plain["job"]), client=plain["client"], server=plain["server"], out=Path(plain["out"]))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a client did, checked against the job before any time counts."""

    rows: int
    #: JSONL files to count and check, when the client writes them
    jsonl: list[Path] = field(default_factory=list)
    #: further figures by name, such as milliseconds of an import
    figures: dict[str, float] = field(default_factory=dict)
