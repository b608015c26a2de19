"""The journal as a file: what a copy of it holds, what other names it has, and whose it is."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from tests.bulk.company import COMPANY, executed, keys, opened
from vismanet_async import AuthorizationCode, RequestRefused, StaticToken, VismaNet
from vismanet_async._bulk import journal as journals
from vismanet_async._bulk.transitions import Entry
from vismanet_async._jobs.sql import engine
from vismanet_async._jobs.store import StoreNotUsable
from vismanet_async.bulk import JournalBusy, Row
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_the_file_alone_has_all_that_was_committed(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(30)), journal=company.journal)
        copy = tmp_path / "copy.sqlite"
        copied: set[str] = set()
        async with aclosing(aiter(run)) as results:
            seen = 0
            async for _ in results:
                seen += 1
                if seen == 20:
                    # each result was committed: a process that was killed here would leave no more than this
                    with sqlite3.connect(company.journal, isolation_level=None) as standing:
                        standing.execute("BEGIN IMMEDIATE")  # no write is half done
                        shutil.copy(company.journal, copy)
                        copied = set(executed(company.simulator))
                    standing.close()
        told = {each.key: each.outcome async for each in company.visma.bulk.results(copy)}
        assert {each for each in told if told[each] in {"done", "unknown"}} >= copied
        assert list(told.values()).count("done") >= 20
        assert names(tmp_path) == ["copy.sqlite", "load.sqlite"]


async def test_a_file_that_lost_a_part_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = journals.SqliteJournal(path)
    await journal.open(company="c", base_url="https://x")
    await journal.register([Entry(key=key, position=1, fingerprint=b"f", operation="x") for key in keys(200)])
    await journal.aclose()
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    journal = journals.SqliteJournal(path)
    with pytest.raises(StoreNotUsable, match=r"is damaged \(.*\); nothing was sent"):
        await journal.open(company="c", base_url="https://x")


async def test_one_run_has_a_journal_whatever_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma, link, hard = company.visma, tmp_path / "current.sqlite", tmp_path / "hard.sqlite"
        (tmp_path / "folder").mkdir()
        (tmp_path / "there").symlink_to(tmp_path, target_is_directory=True)
        link.symlink_to(company.journal)  # nothing is there yet
        running = journals.SqliteJournal(link)
        await running.open(company=COMPANY, base_url=visma.base_url)
        assert company.journal.exists()
        for name in (company.journal, link, tmp_path / "there" / "load.sqlite", tmp_path / "folder/../load.sqlite"):
            with pytest.raises(JournalBusy, match="another run has the journal"):
                await visma.bulk.run(company.rows(keys(3)), journal=name)
        os.link(company.journal, hard)
        with pytest.raises(StoreNotUsable, match="has 2 names"):
            await visma.bulk.run(company.rows(keys(3)), journal=hard)
        await running.aclose()
        with pytest.raises(StoreNotUsable, match="has 2 names"):
            await visma.bulk.run(company.rows(keys(3)), journal=link)
        hard.unlink()
        assert (await visma.bulk.run(company.rows(keys(3)), journal=link)).done == 3
        assert (await company.run(company.rows(keys(3))))[0].earlier == 3
        assert not [name for name in names(tmp_path) if name.endswith(".lock")]


async def test_without_a_known_company_there_is_no_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        await company.run(company.rows(keys(1)))
        base_url = company.simulator.base_url
        async with VismaNet(StaticToken("x"), base_url=base_url) as nobody:
            rows = [Row("a", nobody.customer.create({"name": "a"}))]
            with pytest.raises(SettingsError, match="give StaticToken its tenant_id"):
                await nobody.bulk.run(rows, journal=tmp_path / "new.sqlite")
            with pytest.raises(SettingsError, match="Nothing was sent"):
                await nobody.bulk.upsert("customer", [], key="number", journal=tmp_path / "new.sqlite")
            with pytest.raises(SettingsError):
                await nobody.bulk.rehearse(rows, journal=company.journal)
            assert (await nobody.bulk.rehearse(rows, journal=tmp_path / "new.sqlite")).requests == 1
        async with VismaNet(StaticToken("x", tenant_id="other"), base_url=base_url) as other:
            rows = [Row(key, other.customer.create({"name": key})) for key in keys(1)]
            with pytest.raises(RequestRefused, match=r"is of company c at .* and this client is of other"):
                await other.bulk.rehearse(rows, journal=company.journal)
        assert not (tmp_path / "new.sqlite").exists()
        user = AuthorizationCode("app", "secret", refresh_token="r", tenant_id="c")
        async with VismaNet(user, base_url=base_url) as signed_in:
            rows = [Row(key, signed_in.customer.create({"name": key})) for key in keys(1)]
            assert (await signed_in.bulk.run(rows, journal=company.journal)).earlier == 1


async def test_a_journal_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        rows: list[Any] = [Row(key, company.visma.customer.create({"name": key}), group="g") for key in keys(3)]
        company.simulator.faults.add("status", status=400, method="POST", after=1, times=1)
        await company.run(rows)
        with sqlite3.connect(company.journal) as old:
            old.execute("DROP INDEX vismanet_bulk_rows_group")
            for name in journals._ADDED:
                old.execute(f"ALTER TABLE vismanet_bulk_rows DROP COLUMN {name}")
            old.execute("UPDATE vismanet_bulk_journal SET version = 1")
            old.execute("PRAGMA journal_mode = WAL")
        old.close()
        summary, _ = await company.run(rows, retry_failed=True)
        assert summary.complete
        assert summary.earlier == 1
        assert len(executed(company.simulator)) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX gives a process's locks up when any of its files is closed")
async def test_reading_a_journal_leaves_the_locks_of_a_run_in_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    journal = journals.SqliteJournal(path)
    await journal.open(company="c", base_url="https://x")
    await journal.aclose()
    writing = sqlite3.connect(path, isolation_level=None)
    writing.execute("BEGIN EXCLUSIVE")
    engine._make_file(path, "journal")  # what opening it begins with
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    writing.close()
    assert "database is locked" in other.stderr


async def test_a_journal_shares_no_file_with_a_job_store(tmp_path: Path) -> None:
    path = tmp_path / "both.sqlite"
    async with (
        opened(tmp_path) as company,
        VismaNet(StaticToken("x", tenant_id="c"), base_url=company.simulator.base_url, job_store=path) as visma,
    ):
        for _ in range(2):
            rows = [Row("a", visma.customer.create({"name": "a"}))]
            with pytest.raises(StoreNotUsable, match="Give the journal a file of its own"):
                await visma.bulk.run(rows, journal=path, via="background")
        assert not company.simulator.requests.total


async def test_a_run_that_is_cancelled_while_it_opens_its_journal_lets_go_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as company:
        begin = journals.SqliteJournal._begin_run

        async def cancelled(journal: journals.SqliteJournal, *arguments: str) -> None:
            task.cancel()
            await begin(journal, *arguments)

        monkeypatch.setattr(journals.SqliteJournal, "_begin_run", cancelled)
        run = company.visma.bulk.run(company.rows(keys(1)), journal=company.journal)
        task = asyncio.ensure_future(run.run())
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.undo()
        summary, _ = await company.run(company.rows(keys(1)))
        assert summary.complete
