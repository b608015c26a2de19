"""The report as people see it: in a real browser, on a phone, on paper, in the dark."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Error as BrowserError, sync_playwright

from vismanet_async import ClientCredentials, VismaNet
from vismanet_async._export.events import PageWritten, Progress, Published, RequestEnded
from vismanet_async._export.report import Report
from vismanet_async.errors import Attempt
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

EVIL: Final = "<img src=//evil.example/x onerror=window.hit=1><script>window.hit=1</script>" + "long" * 30
_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SECTIONS: Final = [
    "Verdicts", "Pages over time", "Requests in flight", "Quota left", "Latency", "Shifts and repairs",
    "Retries and pauses", "Files", "How it was read",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no browser: install chromium, or run `python -m playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield browser
        browser.close()


async def gather(to: Path) -> Report:
    """A real run with everything in it that can happen, and names that nobody should have."""
    report = Report(title="Nightly export")
    async with Simulator(rows={"customer": 500, "supplier": 60}, quota=400) as simulator:
        simulator.churn("customer", every_requests=4, remove=1)
        simulator.faults.add("status", status=503, path="/v1/customer", after=2, times=1)
        credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
        async with VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url) as visma:
            async for event in visma.export(["customer", "supplier", "branch"], to=to, page_size=25):
                report.add(event)
                if isinstance(event, Published):
                    evil = attrs.evolve(
                        event.manifest,
                        company=EVIL,
                        base_url=EVIL,
                        resources={EVIL: attrs.evolve(event.manifest.resources["supplier"], reason=EVIL)},
                    )
                    report.add(Published(manifest=evil), company=EVIL)
    waits = Attempt(
        number=1, started_after_seconds=0.3, duration_seconds=0.2, outcome="429", waited_for=("quota 0.25 s",)
    )
    report.add(RequestEnded(resource=EVIL, began_seconds=0, ended_seconds=1, attempts=(waits, waits)), company=EVIL)
    progress = Progress(rows=3, total=3, requests=1, in_flight=0, rows_per_second=3)
    report.add(PageWritten(resource=EVIL, progress=progress, at_seconds=0.5), company=EVIL)
    return report


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    with start_blocking_portal() as portal:  # the browser's driver holds a loop of its own in this thread
        report = portal.call(gather, directory / "out")
    report.write(directory / "report.html")
    return directory / "report.html"


@pytest.fixture
def said() -> list[str]:
    """What the page says to the console or asks for from elsewhere."""
    return []


def opened(browser: Browser, path: Path, said: list[str], *, width: int, scheme: str = "light") -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url == path.as_uri() else said.append(request.url))
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", [320, 360, 768, 1100])
def test_all_of_it_fits_any_screen(browser: Browser, report_file: Path, said: list[str], width: int) -> None:
    page = opened(browser, report_file, said, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [heading.inner_text() for heading in page.get_by_role("heading", level=2).all()] == SECTIONS
    outside = page.evaluate(
        """width => [...document.querySelectorAll("main *")].filter(
            one => one.getBoundingClientRect().right > width + 1 && !one.closest("svg")).map(one => one.outerHTML)""",
        width,
    )
    assert outside == []
    for section in page.locator("section").all():
        box = section.bounding_box()
        assert box is not None
        assert box["width"] > width * 0.3
        assert box["height"] > 60
    assert page.locator("svg path.line").count() >= 4
    assert said == []
    page.close()


def test_names_from_data_do_nothing(browser: Browser, report_file: Path, said: list[str]) -> None:
    page = opened(browser, report_file, said, width=1280)
    assert EVIL in page.locator("main").inner_text()
    assert page.evaluate("window.hit") is None
    assert page.locator("img, script, iframe, object").count() == 0
    assert said == []
    page.close()


def test_even_a_script_that_got_in_would_not_run(browser: Browser, report_file: Path, said: list[str]) -> None:
    broken = report_file.with_name("broken.html")
    html = report_file.read_text("utf-8")
    broken.write_text(html.replace("<main>", "<main><script>window.hit=1</script><img src='http://127.0.0.1:9/x'>"))
    page = opened(browser, broken, said, width=1280)
    assert page.evaluate("window.hit") is None
    assert any("Content Security Policy" in text for text in said)
    page.close()


@pytest.mark.parametrize(("media", "scheme"), [("screen", "light"), ("screen", "dark"), ("print", "dark")])
def test_text_can_be_read(browser: Browser, report_file: Path, said: list[str], media: str, scheme: str) -> None:
    """Contrast as WCAG 2 counts it: 4.5 to 1 for text, in each colour of each scheme."""
    page = opened(browser, report_file, said, width=900, scheme=scheme)
    page.emulate_media(media="print" if media == "print" else "screen")
    worst = page.evaluate(
        """() => {
            const light = colour => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const behind = one => {
                for (; one; one = one.parentElement) {
                    const colour = getComputedStyle(one).backgroundColor;
                    if (!/, 0\\)$|transparent/.test(colour)) return colour;
                }
                return "rgb(255, 255, 255)";
            };
            return [...document.querySelectorAll("main *")].filter(one =>
                [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())).map(one => {
                const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
                return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 80)];
            }).sort((a, b) => a[0] - b[0])[0];
        }"""
    )
    assert worst[0] >= 4.5, worst
    page.close()


def test_it_prints(browser: Browser, report_file: Path, said: list[str]) -> None:
    page = opened(browser, report_file, said, width=360)
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    assert paper.startswith(b"%PDF-")
    assert paper.count(b"/Type /Page\n") >= 2
    assert said == []
    page.close()


def test_the_browser_would_complain(browser: Browser, said: list[str], tmp_path: Path) -> None:
    """The tests above see what they look for."""
    bad = tmp_path / "bad.html"
    bad.write_text("<p style='width:999px'>wide</p><script>console.log('heard')</script>")
    page = opened(browser, bad, said, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") > 360
    assert said == ["heard"]
    with pytest.raises(BrowserError):
        page.evaluate("nothing.here")
    page.close()
