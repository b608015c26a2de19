"""Draw an export as people see it, from the real program: the terminal as SVG, and the report if a browser is there.

Run by `make pictures`. Rates and times differ from run to run; nothing else is made up.
"""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from vismanet_async.simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 104
ROWS = {"customer": 4_000, "customer_invoice": 6_000, "supplier": 1_200}
COMMAND = f"vismanet export {' '.join(ROWS)} --to out"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
REDRAWN = re.compile(r"(?:\r?\x1b\[2K|\x1b\[1A\x1b\[2K)+")
"""How rich goes back to the first bar to draw all of them anew."""
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
PHONE_AND_DESK = {"report.png": (1000, 1560), "report-phone.png": (390, 844)}


async def run(folder: Path) -> str:
    """Run the command on a terminal, against a simulated company, and return what it wrote there."""
    async with Simulator(rows=ROWS, latency=0.15, behaviours={"page_size_limit": 200}) as sim:
        environ = {
            "VISMANET_CLIENT_ID": sim.client_id,
            "VISMANET_CLIENT_SECRET": sim.client_secret,
            "VISMANET_TENANT_ID": sim.tenant_id,
            "VISMANET_BASE_URL": sim.base_url,
            "VISMANET_TOKEN_URL": sim.token_url,
            "VISMANET_SALES_ORDER_URL": sim.sales_order_url,
            "COLUMNS": str(COLUMNS),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
        }
        return await asyncio.to_thread(on_a_terminal, folder, environ)


def on_a_terminal(folder: Path, environ: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "vismanet_async", *COMMAND.split()[1:], "--report", "report.html"]
    with subprocess.Popen(words, cwd=folder, env={**os.environ, **environ}, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        written = bytearray()
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # what Linux says at the end of a terminal
            pass
        os.close(ours)
    if program.returncode:
        raise SystemExit(f"the export ended with {program.returncode}:\n{written.decode()}")
    return written.decode().replace("\r\n", "\n")


def draw(written: str) -> str:
    """Return the picture: the command, its bars half-way, and what it says at the end."""
    *frames, last = (frame.strip("\r\n") for frame in REDRAWN.split(written) if "rows" in frame)
    under_way = [frame for frame in frames if not re.search(r"\b0 of |\b0 rows", frame)]
    if not under_way:
        raise SystemExit("no bar was seen half-way: the machine is too fast; raise ROWS")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold]$[/] {COMMAND}", highlight=False)
    console.print(Text.from_ansi(under_way[len(under_way) // 2]))
    console.print("[dim]... and at its end[/]", highlight=False)
    console.print(Text.from_ansi(re.sub(r"/\S*?/out/", "out/", last).replace("\x1b[?25h", "")))
    svg = console.export_svg(title="vismanet export", theme=MONOKAI, unique_id="terminal")
    svg = re.sub(r"<!--.*?-->", "", svg)
    return FONTS.sub("", svg)  # nothing is fetched from anywhere when it is looked at


def photograph(report: Path) -> None:
    """Take the pictures of the report, if there is a browser to take them with."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        print("no chromium: the pictures of the report stay as they are")
        return
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--headless", "--no-sandbox"])
        for name, (width, height) in PHONE_AND_DESK.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(report.as_uri())
            page.screenshot(path=IMAGES / name)
        browser.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        written = asyncio.run(run(Path(folder)))
        (IMAGES / "terminal" / "export.svg").write_text(draw(written), "utf-8")
        photograph(Path(folder) / "report.html")
    print(f"drawn below {IMAGES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
