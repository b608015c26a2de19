"""Where an HTML page of ours may be written: over an earlier page, and over nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async._arguments import refuse_irregular
from vismanet_async._export.files import refuse_in_export, write_atomically, writing
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest
from vismanet_async.errors import ExportError, TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PAGE_MARK", "refuse_page", "write_page"]

PAGE_MARK: Final = '<meta name="generator" content="vismanet_async">'
"""In the head of each page, so that it is known again."""
_HEAD_BYTES: Final = 1024


def refuse_page(path: Path) -> None:
    """Raise if a page at this path would replace something else than a page, or stand among the data of an export.

    Raises:
        TargetNotWritable: it would, or the path is no regular file; what is there is left as it is.
    """
    with writing(path):
        refuse_irregular(path)
        for export in path.absolute().parents:
            if (export / MANIFEST_NAME).is_file() and _is_export(export):
                refuse_in_export(path, export)
        if path.exists() and not _may_be_replaced(path):
            raise TargetNotWritable(
                f"{path} is there already, and no page that vismanet_async has written: it is left as it is. Name "
                "another file."
            )


def write_page(path: Path, page: str) -> None:
    """Write a page in one step, and its directory if that is missing. Blocks.

    Raises:
        TargetNotWritable: as `refuse_page` says, or it cannot be written.
    """
    refuse_page(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode())


def _is_export(folder: Path) -> bool:
    """Return whether a folder is an export: other programs call their files `manifest.json`, too."""
    try:
        Manifest.read(folder)
    except ExportError:
        return False
    return True


def _may_be_replaced(path: Path) -> bool:
    """Return whether a file is empty or a page of ours."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return not head or PAGE_MARK.encode() in head
