"""`vismanet export compact`: the latest version of each record of an export, as a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._api.registry import find_resource
from vismanet_async._cli.exit_codes import DONE
from vismanet_async._cli.streams import tell
from vismanet_async._export.compact import compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async._export.target.manifest import Manifest

__all__ = ["run_compact"]


def run_compact(source: str, *, to: str | None, resources: Sequence[str] | None, part_bytes: int, as_json: bool) -> int:
    """Compact an export, print what became of it, and return the exit code."""
    names = None if resources is None else [find_resource(name) for name in resources]
    manifest = compact(source, to=to, resources=names, part_bytes=part_bytes)
    place = source if to is None else to
    tell(
        manifest.to_json() if as_json else "\n".join(_lines(manifest, names, place)),
        done=f"The export is published: {place}",
    )
    return DONE


def _lines(manifest: Manifest, names: Sequence[str] | None, place: str) -> Iterator[str]:
    for name, entry in manifest.resources.items():
        if names is None or name in names:
            files = "1 file" if len(entry.parts) == 1 else f"{len(entry.parts):,} files"
            yield f"{name}: {entry.rows:,} records in {files}"
    yield f"published at {place}"
