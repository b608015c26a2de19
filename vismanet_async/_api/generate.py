"""Makes resources, models, registry and the tables of the documentation from the catalog and `overrides.toml`.

    python -m vismanet_async._api.generate            write them
    python -m vismanet_async._api.generate --check    fail if what is there differs

How names are made:

1. A resource is Visma's own name in snake case, without its version: `CustomerInvoice` is `visma.customer_invoice`,
   and `CustomerInvoiceV2` adds its methods to it.
2. `GET` of a list is `list`, of one record `get`; `POST` is `create`, `PUT` `update`, `DELETE` `delete`. What stands in
   the path beside the record's own id is added: `/{customerCd}/invoice` is `list_invoices`, `/BankSettings` is
   `update_bank_settings`. `/internal/{internalID}` is `..._by_internal_id`.
3. `POST .../action/release` is `release`; attachments are `add_attachment` and `add_line_attachment`; files are called
   by the last part of their path (`print`, `download`).
4. Of several operations with one name the one with the fewest ids keeps it, the others add what they also want:
   `get_by_document_type`. Of two versions the second adds `_v2`.
5. Where these rules give a poor name, `overrides.toml` has a better one and says why.
6. A model is the DTO's name without `Dto`; `AddressInCustomerDto` is `CustomerAddress`; DTOs of one shape are one
   class.
7. In the Sales Order service's catalog `SalesOrder` is `Order`, because the ERP has shapes called `SalesOrder` too:
   `SalesOrderDto` is `Order`, `NewSalesOrderCommand` is `NewOrder`, `PatchSalesOrderCommand` is `OrderPatch`. `PATCH`
   is `update`. A body that is nothing but a list is taken as that list.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from vismanet_async._api.generator import (
    changes,
    counts,
    coverage,
    facts as fact_files,
    lists,
    plan as plans,
    registry,
    render_events,
    render_models,
    render_resources,
    shapes,
)

__all__ = ["main"]

_ROOT = fact_files.API.parents[1]
_MOST_LINES = 3000
_SUMMARY = "Make the API surface from the catalog."


def main() -> int:
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m vismanet_async._api.generate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    if not check:
        _apply_changes()
    made = _made()
    stale = [path for path in _present() if path not in made]
    differing = [path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text]
    if check:
        for path in [*differing, *stale]:
            print(f"not up to date: {path.relative_to(_ROOT)}")  # noqa: T201 - a command
        return 1 if differing or stale else 0
    for path in stale:
        path.unlink()
    for path in differing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path], "utf-8")
    print(f"{len(made)} files, {len(differing)} written, {len(stale)} removed")  # noqa: T201 - a command
    return 0


def _apply_changes() -> None:
    """Write the catalog with all later changes; what is made is made from that."""
    for path, text in changes.applied(fact_files.API / "catalog").items():
        path.write_text(text, "utf-8")


def _made() -> dict[Path, str]:
    """Make every file, formatted, in memory."""
    facts = fact_files.load()
    resource_of = {operation["resource"]: plans.module_of(operation["resource"]) for operation in facts.operations}
    models = shapes.build(facts, resource_of)
    resources = plans.plan(facts, models)
    code = {f"models/{path}": text for path, text in render_models.render(models, resources).items()}
    code |= {f"resources/{path}": text for path, text in render_resources.render(resources, models).items()}
    code["webhook_events.py"] = render_events.render(fact_files.API / "catalog")
    made = {fact_files.API / path: text for path, text in _formatted(code).items()}
    made[fact_files.API / "registry.json"] = registry.render(resources, models)
    made[_ROOT / "docs" / "coverage.md"] = coverage.render(facts, resources, models)
    made |= changes.applied(fact_files.API / "catalog")
    made[_ROOT / "docs" / "api-changes.md"] = changes.table(fact_files.API / "catalog")
    made[_ROOT / "docs" / "catalog.md"] = counts.render(facts, resources, fact_files.API / "catalog")
    made[_ROOT / "docs" / "lists.md"] = lists.render(resources)
    for path, text in made.items():
        if path.suffix == ".py" and text.count("\n") > _MOST_LINES:
            raise ValueError(f"{path} has {text.count(chr(10))} lines: editors want at most {_MOST_LINES}")
    return made


def _present() -> list[Path]:
    return [
        path
        for folder in ("models", "resources")
        for path in (fact_files.API / folder).rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    ]


def _formatted(code: dict[str, str]) -> dict[str, str]:
    """Drop unused imports, sort the rest, format: with ruff, by the project's own settings."""
    ruff = shutil.which("ruff", path=sysconfig.get_path("scripts")) or shutil.which("ruff")
    if ruff is None:
        raise FileNotFoundError("ruff is needed to format the generated code: make setup")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / fact_files.API.relative_to(_ROOT)  # the same place, so that ruff sorts imports alike
        for path, text in code.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
        settings = ["--config", str(_ROOT / "pyproject.toml"), "--quiet", "--no-cache"]
        fixes = ["check", "--fix-only", "--select", "I,F401,RUF022,RUF100,TC001,TC003,PYI051,A002", *settings, folder]
        for arguments in (fixes, ["format", *settings, folder]):
            subprocess.run([ruff, *arguments], check=True)  # noqa: S603 - our own arguments
        return {path: (root / path).read_text("utf-8") for path in code}


if __name__ == "__main__":
    sys.exit(main())
