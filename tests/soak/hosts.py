"""Two hosts that export to one folder of an object store, each with a spool of its own: one whole export stands always.

The store is this process's memory. That real servers take conditional writes alike is shown in tests/export.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
import fsspec

from tests.soak import exports
from tests.soak.company import CHURNED, Company
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest
from vismanet_async._export.target.publishing import files_of
from vismanet_async._export.target.remote import LEASE_NAME
from vismanet_async.errors import IncompleteListing, TargetBusy, VismaNetError

if TYPE_CHECKING:
    from vismanet_async._client import VismaNet

__all__ = ["share"]

_RUNS: Final = 2
_TRIES: Final = 8
_LAST_TRIES: Final = 12
_LOOKS_EVERY_SECONDS: Final = 0.02


async def share(company: Company) -> None:
    """Let two hosts publish over each other, cut off and without their store now and then, and a third one tidy up."""
    bucket = f"/soak-{company.seed}"
    store, root = fsspec.filesystem("memory"), f"{bucket}/books"
    try:
        before = {name: set(company.simulator.truth(name).keys) for name in CHURNED}
        amounts = {name: exports.amounts_of(company, name) for name in CHURNED}
        async with company.client() as one, company.client() as two, anyio.create_task_group() as reading:
            reading.start_soon(_read_along, company, store, root)
            async with anyio.create_task_group() as hosts:
                for place, visma in enumerate((one, two)):
                    hosts.start_soon(_host, company, visma, place, root)
            reading.cancel_scope.cancel()
        company.outages.end("objects")
        last = await _third(company, root)
        if last is None or _look(company, store, root) is not None:
            return
        local = company.folder / "shared"
        for file in (MANIFEST_NAME, *files_of(last)):
            (local / file).parent.mkdir(parents=True, exist_ok=True)
            (local / file).write_bytes(store.cat_file(f"{root}/{file}"))
        for name, entry in last.resources.items():
            exports.compare(company, local, entry, name, before=before[name], amounts=amounts[name])
        there = {path.removeprefix(f"{root}/") for path in store.find(root)}
        left = there ^ {MANIFEST_NAME, *files_of(last)}
        company.check(not left, "nothing left", f"of hosts that were cut off: {sorted(left)}")
    finally:
        with suppress(FileNotFoundError):
            store.rm(bucket, recursive=True)


async def _host(company: Company, visma: VismaNet, place: int, root: str) -> None:
    random = company.random
    for _ in range(_RUNS):
        names = random.sample(CHURNED, random.randint(1, 2))
        options = {
            "resources": names, "format": random.choice(("jsonl", "csv", "parquet")), "part_bytes": 4_000,
            "spool": company.folder / f"spool-{place}",
        }  # fmt: skip
        for _ in range(_TRIES):
            with company.clock.move_on_after(random.choice((float("inf"), float("inf"), 5.0, 40.0))):
                if await _export(company, visma, root, **options) is not None:
                    break
                await company.clock.sleep(random.choice((1, 10)))
                continue
            company.counts["shared exports broken off"] += 1


async def _third(company: Company, root: str) -> Manifest | None:
    """Export as a host that nothing happens to; the leases of the others are over."""
    async with company.client() as visma:
        for _ in range(_LAST_TRIES):
            _end_lease(root)
            made = await _export(company, visma, root, resources="customer", spool=company.folder / "spool-third")
            if made is not None:
                return made
            await company.clock.sleep(10)
    company.counts["shared exports given up"] += 1
    return None


async def _export(company: Company, visma: VismaNet, root: str, **options: Any) -> Manifest | None:
    try:
        manifest = await visma.export(to=f"memory:/{root}", **options)
    except TargetBusy as error:
        company.failed(error, "shared export")
        if company.random.random() < 0.3:  # as if its holder had slept for longer than it lasts; it may be awake again
            company.counts["leases ended"] += 1
            _end_lease(root)
    except IncompleteListing as error:
        company.failed(error, "shared export")
    except VismaNetError as error:
        company.failed(error, "shared export")
    else:
        company.counts["shared exports published"] += 1
        return manifest
    return None


def _end_lease(root: str) -> None:
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm_file(f"{root}/{LEASE_NAME}")


async def _read_along(company: Company, store: Any, root: str) -> None:
    """Look all the time, as a reader does: what the manifest names is there, with the contents that it states."""
    while True:
        await anyio.to_thread.run_sync(_look, company, store, root)
        company.counts["looks at shared exports"] += 1
        await anyio.sleep(_LOOKS_EVERY_SECONDS)


def _look(company: Company, store: Any, root: str) -> str | None:
    fault = _fault(store, root)
    company.check(fault is None, "a whole export stands", f"{root}: {fault}")
    return fault


def _fault(store: Any, root: str) -> str | None:
    content = _read(store, f"{root}/{MANIFEST_NAME}")
    if content is None:
        return None
    for entry in Manifest.from_json(content, where=root).resources.values():
        for part in entry.files:
            found = _read(store, f"{root}/{part.file}")
            if found is not None and hashlib.sha256(found).hexdigest() == part.sha256:
                continue
            now = _read(store, f"{root}/{MANIFEST_NAME}")
            # the files of the one before are removed after it was replaced: a reader takes the new one then
            return (
                None if now != content and now is not None else f"{part.file} is {'gone' if found is None else 'other'}"
            )
    return None


def _read(store: Any, path: str) -> bytes | None:
    try:
        return bytes(store.cat_file(path))
    except FileNotFoundError:
        return None
