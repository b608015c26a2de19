"""What Visma changed since the catalog was read gets into it, and a slip in writing it down does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import vismanet_async
from vismanet_async._api.generator import changes

CATALOG = Path(vismanet_async.__file__).parent / "_api" / "catalog"


def changed_catalog(folder: Path, **change: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of the catalog with one more change, as it would be written: its operations and shapes by name."""
    for name in ("changes.json", "operations.json", "schemas.json"):
        shutil.copy(CATALOG / name, folder)
    held = changes.read(folder)
    held["changes"].append({"date": "2026-11-30", "source": "https://example.org", **change})
    (folder / "changes.json").write_text(json.dumps(held), "utf-8")
    written = {path.stem: json.loads(text) for path, text in changes.applied(folder).items()}
    operations = {f"{one['method']} {one['path']}": one for one in written["operations"]["operations"]}
    return operations, written["schemas"]["schemas"]


def test_a_parameter_alone_is_a_change_and_a_corrected_one_counts(tmp_path: Path) -> None:
    name, query = "GET /v1/customer", [{"name": "parentCode", "type": "string"}]
    operations, _ = changed_catalog(tmp_path, operations=[name], query=query)
    assert operations[name]["query"][-1] == query[0]
    query = [{"name": "email", "type": "integer"}]
    operations, _ = changed_catalog(tmp_path, operations=[name], query=query)
    assert [one for one in operations[name]["query"] if one["name"] == "email"] == query


def test_a_shape_that_is_not_there_is_no_slip_of_the_pen(tmp_path: Path) -> None:
    fields = {"parentCode": {"type": "string"}}
    with pytest.raises(ValueError, match="CustomrDto names no shape of the catalog"):
        changed_catalog(tmp_path, schema="CustomrDto", fields=fields)
    _, shapes = changed_catalog(tmp_path, schema="ParentDto", fields=fields, new=True)
    assert shapes["ParentDto"]["fields"] == fields
