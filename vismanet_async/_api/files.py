"""Attachments, prints and blobs: files up and down (docs/facts.md 9)."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterable
from email.message import Message
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote
from uuid import uuid4

import anyio
import attrs

from vismanet_async._api.base64_file import Base64Watch, NotBase64Error, decoded_pieces
from vismanet_async._arguments import expect, refuse_irregular
from vismanet_async._http.answer import read_answer
from vismanet_async._http.charset import header_text
from vismanet_async._http.message import header_fault
from vismanet_async._operation import Operation
from vismanet_async.errors import RequestRefused, TargetNotWritable, UnexpectedResponse, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vismanet_async._http.message import Response

__all__ = ["Download", "File", "Upload", "read_file", "safe_name"]

_CHUNK_BYTES: Final = 64 * 1024
_OK: Final = 200
_PAGE: Final = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_log = logging.getLogger("vismanet_async.files")
_RESERVED_NAMES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_NAME_CHARS: Final = 200
_NAME_BYTES: Final = 240
"""In a folder: file systems take 255, and a name that is taken there gets a number."""
_DISPOSITION_CHARS: Final = 8 * 1024
"""More than any server sends; the standard library's parser takes time that grows with the square of it."""


# --- up ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Upload:
    """A file to attach: one for each request.

    Args:
        content: a path, the bytes, or an async stream of bytes. A path is read anew for each attempt, in pieces; where
            the file grows or shrinks meanwhile, the call raises `RequestRefused`, and nothing is attached.
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
        fault = header_fault("Content-Type", self.content_type) or header_fault("filename", name)
        if fault is not None:
            raise RequestRefused(
                f"{fault.replace('the header ', '')}; give the file a name= of its own. Nothing was sent."
            )
        if not Path(name).suffix or name != safe_name(name) or '"' in f"{name}{self.content_type}":
            raise RequestRefused(
                f"{name!r} is not a file name with an extension, which the API wants; nothing was sent."
            )

    @property
    def file_name(self) -> str:
        """The name it goes under."""
        return self.name or (self.content.name if isinstance(self.content, Path) else "")

    def body(self) -> _Multipart:
        """Return the request body."""
        return _Multipart(self)


@attrs.frozen
class _Multipart:
    """A multipart body with one file part, written as it is sent."""

    upload: Upload

    @property
    def rewindable(self) -> bool:
        """A stream can be read once."""
        return isinstance(self.upload.content, Path | bytes)

    def open(self) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
        """Return the chunks and the headers that describe them."""
        boundary = f"vismanet-{uuid4().hex}"
        head, tail = self._head(boundary), f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        size = self._size_bytes()
        if size is not None:
            headers["Content-Length"] = str(len(head) + size + len(tail))
        return self._chunks(head, tail, size), headers

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
        if not isinstance(content, Path):
            return None
        try:
            return content.stat().st_size
        except OSError as error:
            raise RequestRefused(f"{content} cannot be read: {error.strerror}. Nothing was attached.") from error

    async def _chunks(self, head: bytes, tail: bytes, size: int | None) -> AsyncIterator[bytes]:
        content = self.upload.content
        yield head
        if isinstance(content, bytes):
            yield content
        elif isinstance(content, Path):
            async for chunk in _read(content, size or 0):
                yield chunk
        else:
            async for chunk in content:
                yield chunk
        yield tail


async def _read(path: Path, size_bytes: int) -> AsyncIterator[bytes]:
    """Yield what a file holds.

    Raises:
        RequestRefused: that is not as much as was announced. The request breaks off, so that the server has no whole
            one, and nobody takes a part for the file.
    """
    left = size_bytes
    try:
        async with await anyio.open_file(path, "rb") as file:
            while left and (chunk := await file.read(min(left, _CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
            changed = bool(left or await file.read(1))
    except OSError as error:
        raise RequestRefused(
            f"{path} cannot be read: {error.strerror}. The request broke off, and nothing was attached."
        ) from error
    if changed:
        raise RequestRefused(
            f"{path} {'shrank' if left else 'grew'} while it was sent. The request broke off, and nothing was "
            "attached: attach the file again when nobody writes to it."
        )


# --- down ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class File:
    """A file that was fetched."""

    name: str | None
    """The name the server gave it, made safe; None when it gave none."""
    content_type: str | None
    content: bytes = attrs.field(repr=False)
    decoded_by: str | None = None
    """What said that the file came as base64, where it was decoded; None where the bytes are those that came."""


@attrs.frozen(kw_only=True, eq=False)
class Download(Operation[File]):
    """The fetching of a file, as a value: `await` gives it as a `File`, `save` writes it to disk as it comes.

    A file that came as base64 is decoded where a header, the content type, the size in Content-Disposition or the way
    a file of its kind must begin says so; other bytes are never changed. `with_options(base64=...)` overrules that.

    Examples:
        >>> created = await visma.customer_invoice.add_attachment("100001", Upload(b"%PDF-1.7 ...", "receipt.pdf"))
        >>> invoice = await visma.customer_invoice.get("100001")
        >>> (await visma.attachment.download(invoice.attachments[-1].id)).name
        'receipt.pdf'
    """

    base64: bool | None = None
    """Whether the file comes as base64; None: as the answer says."""

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, str] | None = None,
        base64: bool | None = None,
    ) -> Download:
        """Return a copy with other options.

        Args:
            timeout_seconds: for the whole call.
            headers: added to the request.
            extra_query: parameters that are newer than the catalog.
            base64: True: the file comes as base64, and is an error if not; False: leave the bytes as they come; None:
                as before.
        """
        made = super().with_options(timeout_seconds=timeout_seconds, headers=headers, extra_query=extra_query)
        if base64 is None:
            return made  # type: ignore[return-value]  # a copy of this object
        return attrs.evolve(made, base64=base64, decode=partial(read_file, base64=base64))  # type: ignore[call-arg, return-value]  # as above

    async def save(self, target: Path | str) -> Path:
        """Fetch the file and write it, in pieces, never holding it whole.

        Args:
            target: a folder, where it gets the server's name for it (made safe, and never over a file that is there),
                or the path of the file to write.

        Returns:
            Where it is. It appears there whole or not at all.

        Raises:
            RequestRefused: the target is no path; nothing was sent.
            TargetNotWritable: the target cannot be written; nothing is left there. It is a link, a pipe or a device,
                which would be replaced; nothing was sent.
            UnexpectedResponse: what came is not the file, or not all of it; nothing is left there.
        """
        expect("target", target, str, Path)
        place = Path(target)
        part: Path | None = None
        try:
            is_folder = await anyio.Path(place).is_dir()
            if not is_folder:
                await anyio.to_thread.run_sync(refuse_irregular, place)
            async with self.sender.stream(self.request()) as answer:
                headers = answer.headers
                name = _named(headers.get("Content-Disposition"))
                head = b""
                part = (place if is_folder else place.parent) / f".{uuid4().hex}.part"
                encoding = Base64Watch(headers, name, wanted=self.base64)
                async with await anyio.open_file(part, "xb") as file:
                    async for chunk in answer.chunks():
                        encoding.look(chunk)
                        head += chunk[: _CHUNK_BYTES + 1 - len(head)]
                        await file.write(chunk)
            _refuse_other(answer.status, headers, head)
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


def read_file(response: Response, *, base64: bool | None = None) -> File:
    """Read a file out of an answer; decoded where something says that it came as base64.

    Args:
        response: the answer.
        base64: whether it is base64; None: as the answer says.

    Raises:
        UnexpectedResponse: it is not the file, or not all of it; or `base64` says that it is base64, and it is not.
    """
    _refuse_other(response.status, response.headers, response.body)
    name = _named(response.headers.get("Content-Disposition"))
    content, decoded_by = response.body, None
    watch = Base64Watch(response.headers, name, wanted=base64)
    watch.look(content)
    if watch.reason() is not None or watch.wants_size:
        try:
            decoded = b"".join(decoded_pieces([content]))
        except NotBase64Error as error:
            if watch.insists:
                raise _no_base64(error) from None
        else:
            watch.decoded_bytes = len(decoded)
            decoded_by = watch.reason()
            content = content if decoded_by is None else decoded
    _refuse_part(watch)
    _tell(name, decoded_by)
    return File(name=name, content_type=response.headers.get("Content-Type"), content=content, decoded_by=decoded_by)


def _refuse_other(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise for what is not the file: by its status, or as a page, an error or nothing where no file is announced.

    Args:
        status: of the answer.
        headers: of the answer.
        body: its beginning, whole if it is no longer than 64 KiB.
    """
    fault = None
    if status != _OK:
        fault = f"its status is {status}, and that of a file 200"
    elif "Content-Disposition" not in headers:
        if _PAGE.match(body):
            fault = "it is an HTML page"
        elif len(body) <= _CHUNK_BYTES:
            answer = read_answer(headers, body)
            if answer.shape == "blank":
                fault = "it is blank"
            elif answer.error is not None:
                fault = f"it is an error document: {answer.error.rstrip('.')}"
            elif answer.members.get("statelocation"):
                fault = "it is one of the background queue"
    if fault is not None:
        raise UnexpectedResponse(f"the answer is not the file: {fault}. Nothing was written.")


def _refuse_part(watch: Base64Watch) -> None:
    if fault := watch.wrong_size():
        raise UnexpectedResponse(f"the file did not come whole: {fault}. Nothing was written; fetch it again.")


def _tell(name: str | None, decoded_by: str | None) -> None:
    if decoded_by is not None:
        _log.info("%s came as base64 and was decoded: so said %s", name or "the file", decoded_by)


def _settle(part: Path, place: Path, name: str | None, encoding: Base64Watch, is_folder: bool) -> Path:  # noqa: FBT001
    """Move the finished part to its name, decoded if necessary. Blocking; runs in a thread."""
    decoded_by = _decode_file(part, encoding)
    _refuse_part(encoding)
    _tell(name, decoded_by)
    if not is_folder:
        refuse_irregular(place)
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


def _decode_file(part: Path, encoding: Base64Watch) -> str | None:
    """Turn a file of base64 into what it stands for, in pieces, if it is to be; return what said so."""
    if encoding.reason() is None and not encoding.wants_size:
        return None
    decoded = part.with_suffix(".decoded")
    try:
        size = 0
        with part.open("rb") as source, decoded.open("xb") as target:
            for piece in decoded_pieces(iter(lambda: source.read(_CHUNK_BYTES), b"")):
                size += target.write(piece)
        encoding.decoded_bytes = size
        reason = encoding.reason()
        if reason is not None:
            decoded.replace(part)
    except NotBase64Error as error:
        if encoding.insists:
            raise _no_base64(error) from None
        return None  # it only looked like base64: keep what came
    else:
        return reason
    finally:
        decoded.unlink(missing_ok=True)


def _no_base64(error: NotBase64Error) -> UnexpectedResponse:
    return UnexpectedResponse(f"the file was to be base64 and is not: {error}. Fetch it with base64=False or None.")


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
    message["Content-Disposition"] = header_text(disposition)
    found: Any = message.get_filename()
    return _short(safe_name(unquote(found))) if found else None


def _short(name: str) -> str:
    if len(name.encode()) <= _NAME_BYTES:
        return name
    suffix = Path(name).suffix[:20]
    kept = Path(name).stem.encode()[: _NAME_BYTES - len(suffix.encode())].decode(errors="ignore")
    return f"{kept}{suffix}".strip(" .")
