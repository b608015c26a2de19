"""`vismanet demo`: the main job on the embedded simulator, while others write, checked against the truth."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec
from anyio.from_thread import start_blocking_portal

from vismanet_async._cli.exit_codes import DONE, INCOMPLETE
from vismanet_async._cli.progress import progress_shown, summary
from vismanet_async._client import VismaNet
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.target.manifest import validate
from vismanet_async._settings import Settings
from vismanet_async._tasks import unwrap_group
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from vismanet_async._export.target.manifest import Manifest

__all__ = ["run_demo"]

_ROWS: Final = {"customer": 25_000, "customer_invoice": 8_000, "inventory": 20_000}
_LATENCY_SECONDS: Final = (0.02, 0.12)
_REQUESTS_BETWEEN_CHANGES: Final = 4
_LOOK_SECONDS: Final = 0.002


def run_demo(*, to: Path | None, seed: int) -> int:
    """Export from a simulator that changes meanwhile; prints what it does and what came of it.

    Raises:
        TargetNotWritable: `to` cannot be written.
    """
    with unwrap_group(), contextlib.ExitStack() as stack:
        target = to or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vismanet-demo-"))) / "export"
        plan = ExportPlan(resources=list(_ROWS), to=target)
        print(
            f"A simulated Visma Net company on this machine: "
            f"{', '.join(f'{count:,} rows of {name}' for name, count in _ROWS.items())}.\n"
            "While they are exported, other users add, remove and change rows every few requests, so that rows move\n"
            "from page to page under the reader. Each list is read in a way that can prove that none was lost.\n",
            flush=True,
        )
        # a thread and an event loop of its own: the client reaches it over HTTP, as it does the real one
        portal = stack.enter_context(start_blocking_portal())
        company = stack.enter_context(portal.wrap_async_context_manager(_changing_company(seed)))
        manifest = anyio.run(_export, plan, company.simulator)
        after = portal.call(company.keys)
        print(f"{summary(manifest, plan)}\nother users made {company.changes:,} changes meanwhile\n")
        right = _check(plan, target, company, after)
        print(f"\nThe files are in {target}." if to else "\nThe files are removed now; --to DIRECTORY keeps them.")
        print("`vismanet simulate` starts such a company for your own experiments.")
        return DONE if right else INCOMPLETE


async def _export(plan: ExportPlan, simulator: Simulator) -> Manifest:
    settings = Settings(
        client_id=simulator.client_id,
        client_secret=simulator.client_secret,
        tenant_id=simulator.tenant_id,
        base_url=simulator.base_url,
        token_url=simulator.token_url,
    )
    async with VismaNet.from_settings(settings) as visma:
        export = Export(visma, plan, company=simulator.tenant_id, base_url=simulator.base_url)
        async with progress_shown(export, visma.quota, sys.stderr):
            return await export


class _Company:
    """A simulator, and the other users who change its data."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.before = self.keys()
        self.ever = {name: set(keys) for name, keys in self.before.items()}
        """Every row that existed at some time."""
        self.changes = 0

    def keys(self) -> dict[str, set[str]]:
        return {name: set(self.simulator.truth(name).keys) for name in _ROWS}

    async def keep_changing(self) -> None:
        names, seen = list(_ROWS), 0
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            if self.simulator.requests.total >= seen + _REQUESTS_BETWEEN_CHANGES:
                seen = self.simulator.requests.total
                name = names[self.changes // 3 % len(names)]
                self.ever[name].update(self.simulator.add(name, where="random"))
                self.simulator.remove(name)
                self.simulator.touch(name)
                self.changes += 3


@contextlib.asynccontextmanager
async def _changing_company(seed: int) -> AsyncIterator[_Company]:
    async with (
        Simulator(seed=seed, rows=_ROWS, latency=_LATENCY_SECONDS) as simulator,
        anyio.create_task_group() as tasks,
    ):
        company = _Company(simulator)
        tasks.start_soon(company.keep_changing)
        yield company
        tasks.cancel_scope.cancel()


def _check(plan: ExportPlan, target: Path, company: _Company, after: dict[str, set[str]]) -> bool:
    """Compare the files with their manifest and with what the simulator knows; prints a line a resource."""
    manifest = validate(target)
    print("every file has the size, rows and sha256 that the manifest states; against the simulator's own truth:")
    right = True
    for name in plan.resources:
        rows = list(_exported(target, manifest, name, company.simulator.truth(name).identity))
        keys = set(rows)
        throughout = company.before[name] & after[name]
        lost, unknown, twice = throughout - keys, keys - company.ever[name], len(rows) - len(keys)
        right = right and not (lost or unknown or twice)
        print(
            f"  {name}: {len(throughout):,} rows existed throughout, {len(lost):,} of them lost; "
            f"{twice:,} rows twice, {len(unknown):,} that never were"
        )
    return right


def _exported(root: Path, manifest: Manifest, name: str, identity: tuple[str, ...]) -> Iterator[str]:
    decode = msgspec.json.Decoder(msgspec.defstruct("Row", [(field, str) for field in identity])).decode
    for part in manifest.resources[name].parts:
        with (root / part.file).open("rb") as file:
            for line in file:
                yield "/".join(msgspec.structs.astuple(decode(line)))
