"""Write `docs/reference/public.md`, the list of all that is public, from the faces of the package."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "public.md"
FACES = ("", ".errors", ".exports", ".jobs", ".bulk", ".webhooks", ".simulator")
BRIDGES = (".contrib.dask", ".contrib.dlt", ".contrib.opentelemetry")

HEAD = """# What is public

Written by `make generate`; do not edit by hand. These names stay as they are within a major version. Modules that begin
with an underscore can change with any release.
"""


def first_line(value: Any) -> str:
    """Return the first line of what a class or function says of itself; nothing for a constant."""
    if not inspect.isclass(value) and not inspect.isroutine(value):
        return ""
    doc = inspect.getdoc(value) or ""
    return doc.partition("\n")[0].replace("|", "\\|")


def page() -> str:
    """Return the text of the page."""
    lines = [HEAD]
    for face in (*FACES, *BRIDGES):
        name = f"vismanet_async{face}"
        module = importlib.import_module(name)
        about = (module.__doc__ or "").partition("\n")[0]
        lines += [f"## `{name}`\n", f"{about}\n", "| name | what it is |", "|---|---|"]
        rows = ((each, first_line(getattr(module, each))) for each in module.__all__)
        lines += [f"| `{each}` | {what} |" if what else f"| `{each}` | |" for each, what in rows]
        lines.append("")
    models = importlib.import_module("vismanet_async.models")
    about = (models.__doc__ or "").partition("\n")[0]
    lines += ["## `vismanet_async.models`\n", f"{about}\n", ", ".join(f"`{each}`" for each in models.__all__), ""]
    return "\n".join(lines)


def main() -> int:
    text = page()
    if "--check" in sys.argv and PAGE.read_text("utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is not what the package shows: make generate")
        return 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
