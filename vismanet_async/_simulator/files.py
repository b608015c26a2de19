"""Files that a company holds, and the PDFs that stand in for real ones."""

from __future__ import annotations

import hashlib
import re

from attrs import define

__all__ = ["StoredFile", "pdf"]

_TYPES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "txt": "text/plain",
    "xml": "application/xml",
}


@define
class StoredFile:
    """A file that the company holds."""

    id: str
    name: str
    data: bytes
    revision: int = 1
    send_to_auto_invoice: bool = False

    @property
    def content_type(self) -> str:
        """The media type by the name's ending."""
        return _TYPES.get(self.name.rpartition(".")[2].lower(), "application/octet-stream")


def pdf(title: str) -> bytes:
    """Return a minimal PDF; the same for the same title."""
    seal = hashlib.sha256(title.encode()).hexdigest()
    safe = re.sub(r"[^ -~]", "?", title)
    objects = "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj"
    return f"%PDF-1.4\n% {seal}\n{objects}\n% {safe}\ntrailer<</Root 1 0 R>>\n%%EOF\n".encode()
