"""What notebooks show of lists, exports and jobs: small, and escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.paging.live import live
from vismanet_async._html import html_table

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert('x')</script>"


def test_all_text_is_escaped_and_short() -> None:
    shown = html_table(EVIL, [(EVIL, EVIL * 1000)] * 1000, head=(EVIL,))
    assert "<script" not in shown
    assert len(shown) < 30_000
    assert "and 940 more" in shown


async def test_lists_exports_and_manifests_show_what_they_are(tmp_path: Path) -> None:
    async with live(rows={"customer": 30}) as site:
        listing = site.visma.customer.list(name=EVIL)
        assert "not read yet" in listing._repr_html_()
        assert "&lt;script" in listing._repr_html_()
        assert "<script" not in listing._repr_html_()
        everything = site.visma.customer.list()
        await everything
        assert "30 rows, proven" in everything._repr_html_()
        export = site.visma.export("customer", to=tmp_path)
        assert "<td>customer</td><td>not begun</td>" in export._repr_html_()
        manifest = await export
        assert "<td>customer</td><td>30 rows</td>" in export._repr_html_()
        assert "<td>customer</td><td>30</td><td>proven</td>" in manifest._repr_html_()


async def test_jobs_show_their_state(tmp_path: Path) -> None:
    async with live(rows={"customer": 30}) as site:
        job = await site.visma.jobs.submit(site.visma.customer.get("10000"), reference=EVIL)
        assert job.id in job._repr_html_()
        shown = (await job.status())._repr_html_()
        assert "Customer_GetBycustomerCd" in shown
        assert "&lt;script" in shown
        assert "<script" not in shown
