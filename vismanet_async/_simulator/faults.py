"""Faults as a script: what goes wrong, at which requests, how often. From Python or TOML."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import define, field, fields

from vismanet_async._simulator.list_faults import page_of, total_like
from vismanet_async._simulator.messages import Reply, gateway_error
from vismanet_async._simulator.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from random import Random

    from vismanet_async._simulator.messages import Request

__all__ = ["LIST_KINDS", "Fault", "FaultKind", "FaultScript", "html_error"]

FaultKind = Literal[
    "latency",  # wait `seconds` more
    "reset_before",  # cut the connection, nothing was done
    "reset_after",  # do it, then cut the connection before any answer (a lost answer)
    "lost_202",  # the same, for requests with the background header only
    "cut_headers",  # do it, send the headers and cut the connection
    "cut_body",  # do it, send `share` of the body and cut the connection
    "short_body",  # do it, send `share` of the body as if it were whole
    "slow_body",  # do it, send the body in pieces over `seconds`
    "wrong_type",  # do it, call the body text/plain
    "html",  # an HTML page with `status` instead of doing it
    "status",  # `status` instead of doing it (or after doing it, with `executed`)
    "expire_tokens",  # every token is worthless from now on
    "clock_jump",  # the clock jumps by `seconds`
    "change_rows",  # others change `resource`: `add`, `remove`, `touch`
    "blank_list",  # a list has no rows
    "stale_list",  # a list shows the state that `behind_requests` earlier requests for the resource saw
    "repeated_page",  # a list shows page `of_page` again (0: its last answer, whatever was asked then)
    "wrong_total",  # a list tells `total`
    "small_pages",  # the largest page of a list is `page_size`
]

LIST_KINDS = frozenset({"blank_list", "stale_list", "repeated_page", "wrong_total", "small_pages"})
"""Faults that look at requests for lists only."""

_INSTEAD = frozenset({"reset_before", "html", "status"})


@define(kw_only=True)
class Fault:
    """One thing that goes wrong.

    It looks at the requests that fit `path`, `method` and `operation`, lets `after` of them pass, then takes
    every `every`-th with `probability`, at most `times` times (0: without end).
    """

    kind: FaultKind
    path: str | None = None
    """Pattern for the path with `*` and `?`, in any case; None: everything but the identity service."""
    method: str | None = None
    operation: str | None = None
    """Catalog id of the operation."""
    query: str | None = None
    """Pattern for the query, decoded: `*lastModifiedDateTime=*`."""
    page: int = 0
    """Only requests for this page of a list, from 1; 0: for any."""
    after: int = 0
    every: int = 1
    times: int = 0
    probability: float = 1.0
    seconds: float = 0.0
    status: int = 503
    share: float = 0.5
    retry_after: int | None = None
    message: str | None = None
    executed: bool = False
    resource: str = "customer"
    add: int = 0
    remove: int = 0
    touch: int = 0
    where: str = "end"
    behind_requests: int = 1
    of_page: int = 0
    total: str | int = "-1"
    """`0` or another number, `+1`, `-1`, `+page`, `-page` (by the size of a page), `absent`."""
    page_size: int = 1
    name: str = ""
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(get_args(FaultKind))}")
        if self.every < 1 or not 0 <= self.probability <= 1 or not 0 <= self.share <= 1:
            raise ValueError("a fault needs every >= 1, and probability and share between 0 and 1")
        if self.behind_requests < 1 or self.page_size < 1 or self.of_page < 0 or self.page < 0:
            raise ValueError("a fault needs behind_requests and page_size >= 1, page and of_page >= 0")
        self.total = str(self.total)
        total_like(0, self.total, 1)
        self.name = self.name or self.kind

    def fits(self, request: Request, operation: str | None) -> bool:
        """Return whether the fault looks at this request at all."""
        low = request.path.lower()
        if self.path is None:
            if low.startswith("/connect/"):
                return False
        elif not fnmatchcase(low, self.path.lower()):
            return False
        if self.method is not None and self.method.upper() != request.method:
            return False
        if not self._fits_query(request) or (self.kind == "lost_202" and "erp-api-background" not in request.headers):
            return False
        return self.operation is None or self.operation == operation

    def _fits_query(self, request: Request) -> bool:
        if self.page and self.page != page_of(request):
            return False
        asked = "&".join(f"{name}={value}" for name, value in request.query).lower()
        return self.query is None or fnmatchcase(asked, self.query.lower())

    def strikes(self, random: Random) -> bool:
        """Count a request that fits; tell whether this one is hit."""
        self.seen += 1
        if self.seen <= self.after or (self.times and self.hits >= self.times):
            return False
        if (self.seen - self.after - 1) % self.every or (self.probability < 1 and random.random() >= self.probability):
            return False
        self.hits += 1
        return True

    @property
    def instead(self) -> bool:
        """Whether the operation is not done."""
        return self.kind in _INSTEAD and not self.executed

    def answer(self) -> Reply:
        """Return what is answered in place of the operation's own answer."""
        if self.kind == "html":
            return html_error(self.status)
        reply = gateway_error(
            self.status, self.message or _MESSAGES.get(self.status, "The request could not be processed.")
        )
        if self.retry_after is not None:
            reply.headers["Retry-After"] = str(self.retry_after)
        return reply


_MESSAGES = {
    408: "Request timeout.", 429: "Rate limit is exceeded. Try again later.", 500: "Internal server error.",
    502: "Bad gateway.", 503: "Service unavailable.", 504: "Gateway timeout.",
}  # fmt: skip


def html_error(status: int) -> Reply:
    """Return an error page as gateways make them."""
    title = _MESSAGES.get(status, "Error").rstrip(".")
    body = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return Reply(status, body.encode(), "text/html")


class FaultScript:
    """The faults in force, on a random of their own.

    Examples:
        >>> busy = sim.faults.add("status", status=503, times=2)
        >>> customer = await visma.customer.get("10000")
        >>> [attempt.outcome for attempt in customer.attempts]
        ['503', '503', '200']
    """

    def __init__(self, seed: int, faults: Iterable[Fault] = ()) -> None:
        self._random = seeded(seed, "faults")
        self._faults = list(faults)

        self.is_list: Callable[[Request, str | None], bool] = lambda _request, _operation: True
        """Tells whether a request asks for a list."""

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    @property
    def most_behind(self) -> int:
        """The most requests that an answer may be behind."""
        return max((fault.behind_requests for fault in self._faults if fault.kind == "stale_list"), default=0)

    @property
    def may_repeat(self) -> bool:
        """Whether an answer may be given twice."""
        return any(fault.kind == "repeated_page" and not fault.of_page for fault in self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, kind: FaultKind | Fault, **more: Any) -> Fault:
        """Add a fault: `add("status", status=503, path="/v1/customer*", after=3, times=2)`.

        Raises:
            ValueError: The kind or a number is not possible.
        """
        made = kind if isinstance(kind, Fault) else Fault(kind=kind, **more)
        self._faults.append(made)
        return made

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def load(self, source: Path | str) -> list[Fault]:
        """Add the `[[fault]]` tables of a TOML file (a path) or text (a str).

        Raises:
            ValueError: It is not TOML, or a table is no fault.
        """
        text = source.read_text(encoding="utf-8-sig") if isinstance(source, Path) else source
        tables = tomllib.loads(text).get("fault", [])
        known = {attribute.name for attribute in fields(Fault) if attribute.init}
        made = []
        for number, table in enumerate(tables, 1):
            unknown = sorted(set(table) - known)
            if unknown or "kind" not in table:
                problem = f"unknown key {', '.join(unknown)}" if unknown else "no kind"
                raise ValueError(f"fault {number}: {problem}")
            made.append(Fault(**table))
        self._faults.extend(made)
        return made

    def strike(self, request: Request, operation: str | None) -> list[Fault]:
        """Return the faults that hit this request."""
        is_list = self.is_list(request, operation)
        looking = [fault for fault in self._faults if is_list or not (fault.page or fault.kind in LIST_KINDS)]
        return [fault for fault in looking if fault.fits(request, operation) and fault.strikes(self._random)]
