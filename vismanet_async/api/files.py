"""Attachments, prints and blobs: files up and down (docs/facts.md 9)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import AsyncIterable
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote
from uuid import uuid4

import anyio
import attrs

from vismanet_async.arguments import expect
from vismanet_async.errors import RequestRefused, TargetNotWritable, VismaNetError
from vismanet_async.operation import Operation
from vismanet_async.transport.message import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vismanet_async.transport.message import Response

__all__ = ["Download", "File", "Upload", "read_file", "safe_name"]

_CHUNK_BYTES: Final = 64 * 1024
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]*={0,2}\s*")
# Files of these kinds may well be made of letters and digits alone.
_TEXT_SUFFIXES: Final = frozenset(
    {"", ".txt", ".csv", ".tsv", ".json", ".xml", ".html", ".htm", ".md", ".log", ".edi", ".b64"}
)
_MAGIC: Final = (
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"II*\0",
    b"MM\0*",
    b"<?xml",
)
_RESERVED_NAMES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_NAME_CHARS: Final = 200
_DISPOSITION_CHARS: Final = 8 * 1024
"""More than any server sends; the standard library's parser takes time that grows with the square of it."""


# --- up ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Upload:
    """A file to attach: one for each request.

    Args:
        content: a path, the bytes, or an async stream of bytes. A path is read anew for each attempt, in pieces.
        name: the file's name with its extension, which the API wants; a path has one of its own.
        content_type: what the part says it is.

    Raises:
        RequestRefused: no name, a name without extension, or no such file; nothing was sent.

    Examples:
        >>> created = await visma.customer_invoice.add_attachment("100001", Upload(b"%PDF-1.7 ...", "receipt.pdf"))
        >>> (await visma.attachment.download(created.id)).content
        b'%PDF-1.7 ...'
    """

    content: Path | bytes | AsyncIterable[bytes] = attrs.field(repr=False)
    name: str = ""
    content_type: str = attrs.field(default="application/octet-stream", kw_only=True)

    def __attrs_post_init__(self) -> None:
        content = self.content
        if not isinstance(content, Path | bytes | AsyncIterable):
            raise RequestRefused(
                f"a file is a Path, bytes or an async stream, not {type(content).__name__}; nothing sent."
            )
        if isinstance(content, Path) and not content.is_file():
            raise RequestRefused(f"{content} is not a file; nothing was sent.")
        expect("name", self.name, str)
        expect("content_type", self.content_type, str)
        name = self.file_name
        if not Path(name).suffix or name != safe_name(name) or {*'\r\n\0"'} & {*name, *self.content_type}:
            raise RequestRefused(
                f"{name!r} is not a file name with an extension, which the API wants; nothing was sent."
            )

    @property
    def file_name(self) -> str:
        """The name it goes under."""
        return self.name or (self.content.name if isinstance(self.content, Path) else "")

    def body(self) -> _Multipart:
        """Give the request body."""
        return _Multipart(self)


@attrs.frozen
class _Multipart:
    """A multipart body with one file part, written as it is sent."""

    upload: Upload

    @property
    def replayable(self) -> bool:
        """A stream can be read once."""
        return isinstance(self.upload.content, Path | bytes)

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        """Give the chunks and the headers that describe them."""
        boundary = f"vismanet-{uuid4().hex}"
        head, tail = self._head(boundary), f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        size = self._size_bytes()
        if size is not None:
            headers["Content-Length"] = str(len(head) + size + len(tail))
        return self._chunks(head, tail), headers

    def _head(self, boundary: str) -> bytes:
        name = self.upload.file_name
        # the second form is for names that are not ASCII (RFC 5987); servers that know it prefer it
        extended = "" if name.isascii() else f"; filename*=UTF-8''{quote(name, safe='')}"
        return (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"{extended}\r\n'
            f"Content-Type: {self.upload.content_type}\r\n\r\n"
        ).encode()

    def _size_bytes(self) -> int | None:
        content = self.upload.content
        if isinstance(content, bytes):
            return len(content)
        return content.stat().st_size if isinstance(content, Path) else None

    async def _chunks(self, head: bytes, tail: bytes) -> AsyncIterator[bytes]:
        content = self.upload.content
        yield head
        if isinstance(content, bytes):
            yield content
        elif isinstance(content, Path):
            async with await anyio.open_file(content, "rb") as file:
                while chunk := await file.read(_CHUNK_BYTES):
                    yield chunk
        else:
            async for chunk in content:
                yield chunk
        yield tail


# --- down ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class File:
    """A file that was fetched."""

    name: str | None
    """The name the server gave it, made safe; None when it gave none."""
    content_type: str | None
    content: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True, eq=False)
class Download(Operation[File]):
    """The fetching of a file, as a value: `await` gives it as a `File`, `save` writes it to disk as it comes.

    Examples:
        >>> created = await visma.customer_invoice.add_attachment("100001", Upload(b"%PDF-1.7 ...", "receipt.pdf"))
        >>> invoice = await visma.customer_invoice.get("100001")
        >>> (await visma.attachment.download(invoice.attachments[-1].id)).name
        'receipt.pdf'
    """

    async def save(self, target: Path | str) -> Path:
        """Fetch the file and write it, in pieces, never holding it whole.

        Args:
            target: a folder, where it gets the server's name for it (made safe, and never over a file that is there),
                or the path of the file to write.

        Returns:
            Where it is. It appears there whole or not at all.

        Raises:
            TargetNotWritable: the target cannot be written; nothing is left there.
        """
        expect("target", target, str, Path)
        place = Path(target)
        part: Path | None = None
        try:
            async with self.sender.stream(self.request()) as answer:
                headers = answer.headers
                name = _named(headers.get("Content-Disposition"))
                is_folder = await anyio.Path(place).is_dir()
                part = (place if is_folder else place.parent) / f".{uuid4().hex}.part"
                encoding = _Base64Watch(headers.get("Content-Type", ""), name)
                async with await anyio.open_file(part, "xb") as file:
                    async for chunk in answer.chunks():
                        encoding.look(chunk)
                        await file.write(chunk)
            return await anyio.to_thread.run_sync(
                _settle, part, place, name if is_folder else None, encoding, is_folder
            )
        except VismaNetError:
            raise
        except OSError as error:
            raise TargetNotWritable(f"{place} cannot be written: {error.strerror}. Nothing was left there.") from error
        finally:
            if part is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.Path(part).unlink(missing_ok=True)


def read_file(response: Response) -> File:
    """Read a file out of an answer: raw bytes, a JSON string of base64, or base64 text."""
    name = _named(response.headers.get("Content-Disposition"))
    kind = response.headers.get("Content-Type")
    return File(name=name, content_type=kind, content=_decoded(response.body, kind or "", name))


def _decoded(content: bytes, kind: str, name: str | None) -> bytes:
    watch = _Base64Watch(kind, name)
    watch.look(content)
    return watch.decode(content)


class _Base64Watch:
    """Decides, while a file comes in, whether it is the file or its base64.

    The documentation says base64, clients in use got bytes. A JSON string is always base64. Bare text made of nothing
    but base64 is taken for it only where the name's extension says that the file is not text, or where its decoded
    beginning is that of a known kind of file: a text file could look like that by chance.
    """

    def __init__(self, kind: str, name: str | None) -> None:
        self._json = "json" in kind.lower() and Path(name or "").suffix.lower() != ".json"
        self._not_text = name is not None and Path(name).suffix.lower() not in _TEXT_SUFFIXES
        self._head = b""
        self._possible = True

    def look(self, chunk: bytes) -> None:
        """Take in the next piece."""
        text = chunk
        if self._json and len(self._head) < len(UTF8_BOM):  # it may come in pieces, too
            text = self._head + chunk
            text = text.removeprefix(UTF8_BOM[: len(text)])
        if len(self._head) < _CHUNK_BYTES:
            self._head += chunk[:_CHUNK_BYTES]
        if self._possible:
            self._possible = _BASE64.fullmatch(text.strip(b'"')) is not None

    @property
    def is_encoded(self) -> bool:
        """Whether it is base64."""
        text = self._head.removeprefix(UTF8_BOM).strip()
        quoted = text[:1] == b'"'
        if not self._possible or not text:
            return False
        if quoted:
            return True
        begins = _try_base64(text[:64])
        return self._json or self._not_text or (begins is not None and begins.startswith(_MAGIC))

    def decode(self, content: bytes) -> bytes:
        """Give the file."""
        if not self.is_encoded:
            return content
        decoded = _try_base64(content.removeprefix(UTF8_BOM).strip().strip(b'"'))
        return content if decoded is None else decoded


def _try_base64(text: bytes) -> bytes | None:
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except (Error, ValueError):
        return None


def _settle(part: Path, place: Path, name: str | None, encoding: _Base64Watch, is_folder: bool) -> Path:  # noqa: FBT001
    """Put the finished part under its name, decoded if need be. Blocking; runs in a thread."""
    if encoding.is_encoded:
        _decode_file(part)
    if not is_folder:
        return part.replace(place)
    wanted = place / (name or "attachment")
    for number in range(1, 10_000):
        free = wanted if number == 1 else wanted.with_stem(f"{wanted.stem} ({number})")
        try:
            free.hardlink_to(part)  # fails where the name is taken, also by another task
        except FileExistsError:
            continue
        return free
    raise FileExistsError(0, "too many files of this name", str(wanted))


def _decode_file(part: Path) -> None:
    """Turn a file of base64 into what it stands for, in pieces."""
    decoded = part.with_suffix(".decoded")
    try:
        with part.open("rb") as source, decoded.open("xb") as target:
            rest = b""
            if source.read(len(UTF8_BOM)) != UTF8_BOM:
                source.seek(0)
            while chunk := source.read(_CHUNK_BYTES):
                text = rest + b"".join(chunk.replace(b'"', b"").split())
                whole = len(text) - len(text) % 4
                target.write(b64decode(text[:whole]))
                rest = text[whole:]
        if rest:
            return  # it only looked like base64: keep what came
        decoded.replace(part)
    finally:
        decoded.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    r"""Make a file name that stays in its folder, on any system.

    Examples:
        >>> safe_name("../../etc/passwd"), safe_name("C:\\temp\\a.pdf"), safe_name(".."), safe_name("faktura 1.pdf")
        ('passwd', 'a.pdf', 'attachment', 'faktura 1.pdf')
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join("_" if char in '<>:"|?*' or not char.isprintable() else char for char in last).strip(" .")
    if len(kept) > _NAME_CHARS:
        suffix = Path(kept).suffix[:20]
        kept = kept[: _NAME_CHARS - len(suffix)] + suffix
    if not kept:
        return "attachment"
    return f"_{kept}" if _RESERVED_NAMES.match(kept) else kept


def _named(disposition: str | None) -> str | None:
    if not disposition or len(disposition) > _DISPOSITION_CHARS:
        return None
    message = Message()
    # bytes that are no UTF-8 come as half characters, which the parser stumbles over
    message["Content-Disposition"] = disposition.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    found: Any = message.get_filename()
    return safe_name(unquote(found)) if found else None
