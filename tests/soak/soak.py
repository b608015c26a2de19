"""Round after round of everything at once, each on a company and with faults of its own seed."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
from attrs import define, field

from tests.soak import exports, hosts, jobs, leaks, writes
from tests.soak.clocks import FastClock, ServerClock
from tests.soak.company import Company
from tests.soak.outages import objects_go_away
from tests.soak.weather import draw_behaviours, draw_faults
from tests.support.hang import until
from vismanet_async._simulator import shapes
from vismanet_async._simulator.catalog import load
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import TaskGroup

__all__ = ["Record", "soak"]

_SPEED: Final = 50.0
_ROUND_SECONDS: Final = 600.0
"""No round takes longer, unless something hangs."""
_CUT_OFF_SHARE: Final = 0.25
_LEAVING_SECONDS: Final = 120.0
_WARM_UP_ROUNDS: Final = 8
_GROWTH_SHARE: Final = 0.05
_GROWTH_KIB: Final = 24 * 1024


@define
class Record:
    """What a soak was and what came of it."""

    seed: int
    rounds: int = 0
    seconds: float = 0.0
    requests: int = 0
    faults: Counter[str] = field(factory=Counter)
    counts: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    """Promises that were not kept, each with the seed of its round."""
    held_kib: list[int] = field(factory=list)
    objects: list[int] = field(factory=list)

    def memory_is_flat(self) -> bool:
        """Tell whether the last rounds hold no more than the first ones after the warm-up."""
        return all(late - early <= max(slack, early * _GROWTH_SHARE) for early, late, slack in self._memory())

    def _memory(self) -> Iterator[tuple[float, float, float]]:
        for samples, slack in ((self.held_kib, _GROWTH_KIB), (self.objects, 10_000)):
            settled = samples[_WARM_UP_ROUNDS:]
            if len(settled) > 2:
                third = max(1, len(settled) // 3)
                yield median(settled[:third]), median(settled[-third:]), slack

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "seed": self.seed, "rounds": self.rounds, "seconds": round(self.seconds, 1), "requests": self.requests,
            "faults": dict(sorted(self.faults.items())), "counts": dict(sorted(self.counts.items())),
            "wrong": self.wrong,
            "memory": {
                "flat": self.memory_is_flat(),
                "mib_after_warm_up": round(self.held_kib[min(_WARM_UP_ROUNDS, len(self.held_kib) - 1)] / leaks.KIB, 1),
                "mib_at_the_end": round(self.held_kib[-1] / leaks.KIB, 1),
                "kib_per_round": round(leaks.growth_per_round(self.held_kib[_WARM_UP_ROUNDS:]), 2),
                "objects_per_round": round(leaks.growth_per_round(self.objects[_WARM_UP_ROUNDS:]), 2),
            },
        }  # fmt: skip


def soak(seed: int, *, seconds: float = float("inf"), rounds: int = sys.maxsize) -> Record:
    """Run rounds until the time or the number is up; a round that was begun is finished."""
    record = Record(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vismanet-soak-") as folder:
        while record.rounds < rounds and time.monotonic() - began < seconds:
            number = seed + record.rounds
            _round(number, Path(folder) / str(number), record)
            record.rounds += 1
            record.seconds = time.monotonic() - began
    if not record.memory_is_flat():
        record.wrong.append(f"memory: {record.as_dict()['memory']}")
    return record


def _round(seed: int, folder: Path, record: Record) -> None:
    folder.mkdir()
    before = leaks.open_files()
    problems: list[str] = []
    try:
        with _strict(problems):
            company = asyncio.run(_everything(seed, folder, problems))
            gc.collect()
    except Exception:  # noqa: BLE001 - whatever comes through to here is what is looked for; the other rounds go on
        record.wrong.append(f"seed {seed}: {traceback.format_exc()}")
        return
    after = leaks.open_files()
    if after - before:
        problems.append(f"nothing left: {sorted(after - before)}")
    record.wrong += [f"seed {seed}: {text}" for text in [*company.wrong, *problems]]
    record.counts += company.counts
    record.requests += company.simulator.requests.total
    record.faults += Counter({fault.name: fault.hits for fault in company.simulator.faults})
    del company
    shapes._SHARED.forget()  # each round has rows of its own, and growth is to be a leak
    record.held_kib.append(leaks.held_kib())
    record.objects.append(leaks.objects_alive())


@contextmanager
def _strict(problems: list[str]) -> Iterator[None]:
    """Note what Python itself complains about: things never closed, errors in finalisers."""

    def unraisable(args: Any) -> None:
        problems.append(f"never closed or awaited: {args.exc_value!r} in {args.object!r}")

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error", ResourceWarning)
        warnings.simplefilter("error", RuntimeWarning)
        hook, sys.unraisablehook = sys.unraisablehook, unraisable
        stack.callback(setattr, sys, "unraisablehook", hook)
        yield


async def _everything(seed: int, folder: Path, problems: list[str]) -> Company:
    random = Random(seed)
    clock = FastClock(_SPEED)
    behaviours = draw_behaviours(random)
    simulator = Simulator(
        seed=seed, clock=ServerClock(clock), behaviours=behaviours, latency=(0.0, 2.0), log_limit=20_000,
        rows={"customer": random.randint(20, 300), "customer_invoice": random.randint(0, 400),
              "inventory": random.randint(20, 200), "supplier": 20, "supplier_invoice": 12},
        quota=random.choice((15_000, 600)), quota_window_seconds=120.0,
    )  # fmt: skip
    company = Company(seed, random, simulator, clock, folder, cut_off_share=_CUT_OFF_SHARE)
    with _logged() as log, objects_go_away(company.outages):
        async with simulator:
            draw_faults(random, simulator)
            async with anyio.create_task_group() as group:
                group.start_soon(_watch, group, company, problems)
                group.start_soon(company.outages.run)
                async with company.client() as visma:
                    await _work(company, visma)
                group.cancel_scope.cancel()
    with anyio.move_on_after(_LEAVING_SECONDS):  # the server's tasks, whose connections were cut
        await until(lambda: not leaks.tasks_left())
    company.check(not leaks.tasks_left(), "nothing left", f"{leaks.tasks_left()}")
    _check_requests(company)
    _check_secrets(company, log)
    return company


async def _watch(group: TaskGroup, company: Company, problems: list[str]) -> None:
    """End a round that hangs, and say where, and what had become of the jobs."""
    await anyio.sleep(_ROUND_SECONDS)
    problems.append(f"hangs: {leaks.tasks_waiting()}; jobs: {await jobs.unsettled(company)}")
    group.cancel_scope.cancel()


async def _work(company: Company, visma: Any) -> None:
    random, seed = company.random, company.seed
    numbers = company.protected
    invoices = company.simulator.truth("supplier_invoice").keys
    async with anyio.create_task_group() as group:
        for place in range(4):
            group.start_soon(exports.export, company, visma, place)
        for number in random.sample(numbers, 3):
            group.start_soon(_named(writes.modify, tasks=random.randint(2, 12)), company, visma, number)
        for place in range(8):
            group.start_soon(writes.create, company, visma, f"new{seed}x{place}")
            invoice = random.choice(invoices).rpartition("/")[2]
            group.start_soon(writes.attach, company, visma, invoice, f"file{seed}x{place}")
        group.start_soon(_named(jobs.run_jobs, count=12), company)
        group.start_soon(hosts.share, company)


def _named(function: Any, **options: Any) -> Any:
    async def call(*args: Any) -> None:
        await function(*args, **options)

    return call


def _check_requests(company: Company) -> None:
    """Nothing wrong sent, and nothing to a host that is not the API."""
    operations = load().operations
    for request in company.simulator.requests:
        known = (
            {name.lower() for name in operations[request.operation].query} if request.operation in operations else None
        )
        unknown = {name for name, _ in request.query_pairs if known is not None and name.lower() not in known}
        company.check(not unknown, "nothing wrong sent", f"{request.operation} {sorted(unknown)}")
        if request.operation in operations and "condition" not in request.path:
            conditions = {name for name in request.query if f"{name}Condition" in operations[request.operation].query}
            company.check(
                all(f"{name}Condition" in request.query for name in conditions),
                "nothing wrong sent", f"{request.operation} {sorted(conditions)} without their Condition",
            )  # fmt: skip
    foreign = company.simulator.foreign_requests.total
    company.check(not foreign, "nothing to other hosts", f"{foreign} requests to a foreign host")


@contextmanager
def _logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, logger = Keep(logging.DEBUG), logging.getLogger("vismanet_async")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _check_secrets(company: Company, log: list[str]) -> None:
    """No token and no secret in logs, errors or anything on disk."""
    tokens = {
        request.headers.get("Authorization", "").removeprefix("Bearer ") for request in company.simulator.requests
    }
    secrets = {text for text in tokens if text} | {company.simulator.client_secret}
    texts = ["\n".join(log), "\n".join(f"{error!r} {error}" for error in company.errors)]
    texts += [path.read_bytes().decode("latin-1") for path in company.folder.rglob("*") if path.is_file()]
    company.check(not any(secret in text for text in texts for secret in secrets), "no secret shown", "see the log")
