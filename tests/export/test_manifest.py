from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import pytest

from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, Part, ResourceEntry, validate
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


def published(root: Path) -> Manifest:
    (root / "customer").mkdir(parents=True)
    parts = []
    for number, content in enumerate((b'{"a":1}\n{"a":2}\n', b'{"a":3}\n')):
        name = f"customer/part-0000{number}.jsonl"
        (root / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        parts.append(Part(file=name, rows=content.count(b"\n"), bytes=len(content), sha256=digest))
    entry = ResourceEntry(
        rows=3,
        unique=3,
        verdict="proven",
        reason="nothing moved",
        total_first=3,
        total_last=3,
        requests=2,
        parts=tuple(parts),
        started_at=NOW,
        finished_at=NOW,
    )
    manifest = Manifest(resources={"customer": entry}, tool="test", started_at=NOW, finished_at=NOW)
    (root / MANIFEST_NAME).write_bytes(manifest.to_json())
    return manifest


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = published(tmp_path)
    assert Manifest.read(tmp_path) == manifest == validate(tmp_path)
    assert (manifest.rows, manifest.requests) == (3, 2)


def test_its_json_has_what_readers_look_for(tmp_path: Path) -> None:
    published(tmp_path)
    text = json.loads((tmp_path / MANIFEST_NAME).read_text())
    entry = text["resources"]["customer"]
    assert {"rows", "unique", "verdict", "total_first", "total_last", "requests", "parts"} <= set(entry)
    assert {"file", "rows", "bytes", "sha256"} == set(entry["parts"][0])
    assert text["schema_version"] == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b'{"a":1}\n', "has 8 bytes instead of 16"),
        (b'{"a":1}\n{"a":7}\n', "another sha256"),
    ],
)
def test_a_part_that_was_touched_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    published(tmp_path)
    part = tmp_path / "customer/part-00000.jsonl"
    part.unlink() if content is None else part.write_bytes(content)
    with pytest.raises(ExportError, match=rf"part-00000.jsonl .*{fault}"):
        validate(tmp_path)


def test_rows_that_do_not_add_up_are_named(tmp_path: Path) -> None:
    manifest = published(tmp_path)
    entry = manifest.resources["customer"]
    first = attrs.evolve(entry.parts[0], rows=5)
    wrong = attrs.evolve(manifest, resources={"customer": attrs.evolve(entry, parts=(first, entry.parts[1]))})
    (tmp_path / MANIFEST_NAME).write_bytes(wrong.to_json())
    with pytest.raises(ExportError, match=r"3 rows, but its parts have 6.*has 2 rows instead of 5"):
        validate(tmp_path)


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "customer/../../secret"])
def test_a_part_outside_the_directory_is_not_read(tmp_path: Path, file: str) -> None:
    manifest = published(tmp_path)
    entry = manifest.resources["customer"]
    part = attrs.evolve(entry.parts[0], file=file)
    outside = attrs.evolve(manifest, resources={"customer": attrs.evolve(entry, parts=(part, entry.parts[1]))})
    (tmp_path / MANIFEST_NAME).write_bytes(outside.to_json())
    with pytest.raises(ExportError, match="not below"):
        validate(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "not the manifest of an export"),
        (b"<html>", "not the manifest of an export"),
        (b'{"schema_version": 2, "something": "new"}', "schema version 2"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ExportError, match=said):
        validate(tmp_path)


def test_a_directory_without_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing is published"):
        validate(tmp_path)
