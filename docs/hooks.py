"""What `mkdocs build` does beyond Markdown: pages made from the code, and code blocks without their test modes.

Generated pages are made at each build and are not committed, so that they cannot lag behind the code.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from griffe_fieldz import FieldzExtension
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

_MODE: Final = re.compile(r"^(?P<fence>[ ]*```\w+)[ ]+[\w ]+$", re.MULTILINE)
"""The words after the language say how a block is tested (tests/docs); Markdown takes none."""
_DRAWING: Final = re.compile(r'<img alt="(?P<alt>[^"]*)" src="[^"]*images/(?P<name>[\w-]+)[.]svg" ?/?>')
_SHIM: Final = "https://unpkg.com/iframe-worker/shim"
_ELSEWHERE: Final = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(?P<url>(?:https?:)?//[^"]*)"')
_OWN_SHIM: Final = "assets/search-from-disk.js"
_HERE: Final = Path(__file__).parent


class AttrsFields(FieldzExtension):
    """Parameters of attrs classes. Structs are internal: nobody reads of their fields, whose types are not imported."""

    def on_class_members(self, *, cls: Any, **rest: Any) -> None:
        """Add the parameters of a class, unless it is a struct."""
        if "msgspec.Struct" not in map(str, cls.bases):
            super().on_class_members(cls=cls, **rest)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the benchmarks, where `make bench` has written them."""
    if (_HERE / "benchmarks.md").exists():
        config.nav = [*(config.nav or []), {"Benchmarks": "benchmarks.md"}]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take the modes off the fences, and say of an output that it is one."""
    markdown = markdown.replace("```text output\n", '```text title="prints"\n')
    return _MODE.sub(r"\g<fence>", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Put drawings into the page itself, where they follow its light or dark scheme."""
    return _DRAWING.sub(lambda found: _inlined(found["name"], found["alt"]), html)


def _inlined(name: str, alt: str) -> str:
    svg = (_HERE / "images" / f"{name}.svg").read_text("utf-8")
    labelled = svg.replace('role="img"', f'role="img" aria-label="{alt}"', 1)
    return f'<div class="drawn">{labelled}</div>'


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Take the search's stand-in for workers from here."""
    return output.replace(_SHIM, "../" * page.url.count("/") + _OWN_SHIM)


def on_post_template(output_content: str, **_: Any) -> str:
    """Do the same for the page that says "not found"."""
    return output_content.replace(_SHIM, _OWN_SHIM)


def on_post_build(*, config: MkDocsConfig) -> None:
    """Refuse a site that would load something from elsewhere when it is read.

    Raises:
        PluginError: it would.
    """
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        if found := _ELSEWHERE.search(path.read_text("utf-8")):
            raise PluginError(
                f"{path.name} would load {found['url']}: put it into docs/assets, and load it from there."
            )


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, make in GENERATED.items():
        files.append(File.generated(config, path, content=make()))
    return files


# --- the command line ------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return `--help` of each command, as a terminal of 100 columns shows it."""
    parts = [
        "# Command line",
        "What `--help` prints, command by command. What each ending means to a shell: [exit codes](exit-codes.md).",
    ]
    for command in sorted(_commands(), key=lambda words: (words.split()[:1], words)):
        title = f"vismanet {command}".strip()
        parts.append(f"## {title}\n\n```text\n{_help(command.split())}\n```")
    return "\n\n".join(parts) + "\n"


def _commands() -> Iterator[str]:
    from vismanet_async._cli.app import app  # noqa: PLC0415 - only this page needs the command line

    def below(node: Any, prefix: str) -> Iterator[str]:
        yield prefix
        for name in node:
            if not name.startswith("-"):
                yield from below(node[name], f"{prefix} {name}".strip())

    yield from below(app, "")


def _help(words: list[str]) -> str:
    from vismanet_async._cli.app import app  # noqa: PLC0415 - as above

    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(printed):
            app([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


# --- the resources ---------------------------------------------------------------------------------------------------

_ROW: Final = re.compile(r"^\| `[^`]+` \| `[^`]+` \| (?P<method>GET|POST|PUT|DELETE|PATCH) `", re.MULTILINE)
_SECTION: Final = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def resources(coverage: str) -> str:
    """Return one line a resource, from the generated coverage page."""
    lines = [
        "# Resources",
        "Attributes of [`VismaNet`](client.md). A name leads to its operations: path, parameters, models, If-Match.",
        "",
        "| resource | reads | writes and actions | lists, pages by |",
        "|---|---|---|---|",
    ]
    for name, table in _SECTION.findall(coverage):
        methods = [found["method"] for found in _ROW.finditer(table)]
        reads = methods.count("GET")
        styles = sorted(set(re.findall(r"`\w+` \((\w+)\)", table)))
        lines.append(f"| [`{name}`](../coverage.md#{name}) | {reads} | {len(methods) - reads} | {', '.join(styles)} |")
    return "\n".join(lines) + "\n"


def _resources() -> str:
    return resources((_HERE / "coverage.md").read_text("utf-8"))


# --- the errors ------------------------------------------------------------------------------------------------------


def errors() -> str:
    """Return the error tree and each error's description."""
    import vismanet_async.errors  # noqa: PLC0415 - as above

    doc = vismanet_async.errors.__doc__ or ""
    tree = re.search(r"::\n\n(?P<tree>.*?)\n\n(?P<rest>.*)", doc, re.DOTALL)
    if tree is None:
        raise ValueError("vismanet_async.errors has no tree in its docstring")
    drawn = "\n".join(line.removeprefix("    ") for line in tree["tree"].splitlines())
    kinds = [kind for kind in vars(vismanet_async.errors).values() if isinstance(kind, type)]
    shown = [kind.__name__ for kind in kinds if kind.__name__ in vismanet_async.errors.__all__]
    parts = [
        "# Errors",
        "Every error that the SDK raises on purpose, in `vismanet_async.errors`.",
        f"```text\n{drawn}\n```",
        tree["rest"].strip(),
        "[Which exit code each becomes](exit-codes.md); [what is tried again before](../explanation/retries.md).",
        *(f"::: vismanet_async.errors.{name}" for name in shown),
    ]
    return "\n\n".join(parts) + "\n"


# --- the modules -----------------------------------------------------------------------------------------------------

_MADE: Final = ("_api/models/", "_api/resources/")


def modules() -> str:
    """Return every module that is written by hand with the first sentence of its docstring, a section a room."""
    root = _HERE.parent / "vismanet_async"
    parts = [
        "# Modules",
        "Every module written by hand and what it is for, from its first line.",
        "The picture of the whole: [architecture](../architecture.md).",
    ]
    folders: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        if not name.startswith(_MADE) and path.name != "__init__.py":
            first = " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
            folders.setdefault(name.rpartition("/")[0], []).append(f"| `{name.rpartition('/')[2]}` | {first} |")
    for folder, rows in sorted(folders.items()):
        title = f"vismanet_async/{folder}".rstrip("/")
        parts.append("\n".join([f"## {title}", "", "| module | what it is for |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "reference/cli.md": command_line,
    "reference/errors.md": errors,
    "reference/modules.md": modules,
    "reference/resources.md": _resources,
}
