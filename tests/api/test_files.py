"""Files up and down: multipart bodies, base64 in its forms, hostile names."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import base64
import codecs
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.api.support import Client, reply
from vismanet_async._api.base64_file import Base64Watch, decoded_pieces
from vismanet_async._api.files import Download, File, Upload, safe_name
from vismanet_async.errors import RequestRefused, ResponseLost, TargetNotWritable, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PDF = b"%PDF-1.7\n\x00\xff binary " * 50
BASE64 = base64.b64encode(PDF)
NAMED: Any = {"Content_Disposition": 'attachment; filename="invoice.pdf"', "Content_Type": "application/pdf"}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def body_of(upload: Upload) -> tuple[bytes, dict[str, str]]:
    chunks, headers = upload.body().open()
    return b"".join([chunk async for chunk in chunks]), dict(headers)


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_path_is_sent_in_pieces_and_can_be_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "faktura å.pdf"
    path.write_bytes(PDF * 100)
    upload = Upload(path)
    for _ in range(2):
        body, headers = await body_of(upload)
        boundary = headers["Content-Type"].partition("boundary=")[2]
        assert int(headers["Content-Length"]) == len(body)
        head, _, rest = body.partition(b"\r\n\r\n")
        assert head.startswith(f"--{boundary}\r\n".encode())
        assert b'name="file"; filename="faktura \xc3\xa5.pdf"; filename*=UTF-8\'\'faktura%20%C3%A5.pdf' in head
        assert rest == PDF * 100 + f"\r\n--{boundary}--\r\n".encode()
    assert upload.body().rewindable


@pytest.mark.parametrize(("change", "said"), [(b"more", "grew"), (b"", "shrank"), (None, "cannot be read")])
async def test_a_file_that_changes_while_it_is_sent_never_ends_as_a_whole_one(
    change: bytes | None, said: str, tmp_path: Path
) -> None:
    """A part of it would be taken for the file, or the server would wait for the rest."""
    path = tmp_path / "run.log"
    path.write_bytes(PDF)
    chunks, headers = Upload(path).body().open()
    sent = [await anext(chunks)]

    async def send_all() -> None:
        async for chunk in chunks:
            sent.append(chunk)  # noqa: PERF401 - those before the error count

    if change is None:
        path.unlink()
    else:
        path.write_bytes(PDF + change if change else PDF[:10])
    with pytest.raises(RequestRefused, match=f"{said}.*nothing was attached"):
        await send_all()
    assert sum(map(len, sent)) < int(headers["Content-Length"])
    if change is None:
        with pytest.raises(RequestRefused, match=r"cannot be read.*Nothing was attached"):
            _gone(path).body().open()


def _gone(path: Path) -> Upload:
    path.write_bytes(PDF)
    upload = Upload(path)
    path.unlink()
    return upload


async def test_bytes_and_streams() -> None:
    body, headers = await body_of(Upload(b"content", "a.txt", content_type="text/plain"))
    assert b"Content-Type: text/plain\r\n\r\ncontent\r\n" in body
    assert "Content-Length" in headers
    upload = Upload(stream(b"con", b"tent"), "a.txt")
    body, headers = await body_of(upload)
    assert b"\r\n\r\ncontent\r\n" in body
    assert "Content-Length" not in headers
    assert not upload.body().rewindable


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"x", ""),
        (b"x", "noextension"),
        (b"x", "../up.pdf"),
        (b"x", 'quo"te.pdf'),
        (b"x", "line\r\nbreak.pdf"),
        (Path("/nowhere/at/all.pdf"), ""),
        ("text", "a.pdf"),
    ],
)
def test_uploads_that_cannot_work_are_refused(content: Any, name: str) -> None:
    with pytest.raises(RequestRefused):
        Upload(content, name)


async def test_an_upload_is_one_request_and_gives_the_attachment_id() -> None:
    client = Client(reply(status=201, Location="https://h/v1/attachment/73ac0029"))
    created = await client.customer_invoice.add_attachment("000050", Upload(b"x", "a.pdf"))
    assert created.id == "73ac0029"
    (request,) = client.recorder.requests
    assert request.path == "/v1/customerinvoice/000050/attachment"
    assert not request.idempotent


FORMS = [
    (PDF, NAMED),
    (BASE64, NAMED),
    (b'"' + BASE64 + b'"', {"Content_Type": "application/json"}),
    (BASE64, {"Content_Type": "application/json"}),
    (codecs.BOM_UTF8 + b'"' + BASE64 + b'"', {"Content_Type": "application/json"}),
    (BASE64[:60] + b"\r\n" + BASE64[60:], NAMED),
    (BASE64, {}),
]


@pytest.mark.parametrize(("body", "headers"), FORMS)
async def test_bytes_and_base64_give_the_same_file(body: bytes, headers: Any, tmp_path: Path) -> None:
    client = Client(reply(body, **headers), reply(body, **headers))
    download = client.attachment.download("73ac0029-1e4f-4adc-a7eb-318cd25ba4bf")
    assert isinstance(download, Download)
    file = await download
    assert file.content == PDF
    assert file.name == ("invoice.pdf" if headers is NAMED else None)
    place = await download.save(tmp_path)
    assert place.read_bytes() == PDF
    assert place.name == ("invoice.pdf" if headers is NAMED else "attachment")
    assert names_in(tmp_path) == [place.name]
    assert client.recorder.requests[0].headers["Accept"] == "*/*"


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 4, 7, 1000])
def test_base64_may_come_in_any_pieces(piece_bytes: int) -> None:
    text = BASE64.replace(b"/", b"\\/").replace(b"+", b"\\u002B").replace(b"=", b"\\u003d")
    for body in (codecs.BOM_UTF8 + b'"' + text + b'"', BASE64[:50] + b"\r\n" + BASE64[50:], b'"' + text + b'"\n'):
        pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
        watch = Base64Watch({"Content-Type": "application/json"}, None)
        for piece in pieces:
            watch.look(piece)
        assert watch.reason()
        assert b"".join(decoded_pieces(pieces)) == PDF


OCR = b"".join(b"%-79s\n" % (b"NY0000300000%07d%s" % (line, b"0" * 40)) for line in range(4))
CODES = base64.b64encode(b"code " * 30)


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        (OCR, "payments.dat", "application/octet-stream"),
        (OCR, "payments.ocr", ""),
        (OCR, "payments", "application/octet-stream"),
        (OCR.replace(b" ", b"0"), "payments.ocr", "application/json"),
        (OCR.replace(b" ", b"0"), "payments.pdf", "application/pdf"),
        (CODES, "codes.bin", "application/octet-stream"),
        (CODES, "codes.pdf", "application/octet-stream"),
        (BASE64, "invoice.txt", "text/plain"),
        (b'"' + CODES + b'"', "codes.json", "application/json"),
        (b'"QUJD" "QUJE"', "codes.dat", "application/json"),
        (b'"' + CODES + b'"', "codes.csv", "text/csv"),
        (CODES, None, "text/plain"),
        (BASE64[:-1], "invoice.pdf", "application/pdf"),
    ],
)
async def test_bytes_are_not_changed_on_a_guess(body: bytes, name: str | None, kind: str, tmp_path: Path) -> None:
    headers: Any = {"Content_Type": kind} | ({"Content_Disposition": f'attachment; filename="{name}"'} if name else {})
    client = Client(reply(body, **headers), reply(body, **headers))
    file = await client.attachment.download("x")
    assert (file.content, file.decoded_by) == (body, None)
    assert (await client.attachment.download("x").save(tmp_path / "mine")).read_bytes() == body
    assert names_in(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("body", "headers", "by"),
    [
        (CODES, {"Content_Disposition": 'attachment; filename="c.txt"; size=150'}, "the size in Content-Disposition"),
        (
            b'"' + CODES + b'"',
            {"Content_Disposition": 'attachment; filename="c.json"; size="150"', "Content_Type": "application/json"},
            "the size in Content-Disposition",
        ),
        (
            CODES,
            {"Content_Disposition": 'attachment; filename="c.txt"', "Content_Transfer_Encoding": "Base64"},
            "the header Content-Transfer-Encoding",
        ),
        (
            b'"' + CODES + b'"',
            {"Content_Disposition": 'attachment; filename="c.txt"', "Content_Type": "text/json; charset=utf-8"},
            "the content type",
        ),
        (BASE64, {"Content_Disposition": 'attachment; filename="c.PDF"'}, "the beginning of the decoded file"),
    ],
)
async def test_what_says_that_it_is_base64_is_told(
    body: bytes, headers: Any, by: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vismanet_async.files")
    content = PDF if body is BASE64 else b"code " * 30
    client = Client(reply(body, **headers), reply(body, **headers), reply(body, **headers))
    file = await client.attachment.download("x")
    assert (file.content, file.decoded_by) == (content, by)
    place = await client.attachment.download("x").save(tmp_path)
    assert place.read_bytes() == content
    assert [record.getMessage().endswith(by) for record in caplog.records] == [True, True]
    raw = await client.attachment.download("x").with_options(base64=False)
    assert (raw.content, raw.decoded_by) == (body, None)


async def test_the_size_of_the_file_as_it_came_keeps_it() -> None:
    headers: Any = {"Content_Disposition": f'attachment; filename="a.pdf"; size={len(BASE64)}'}
    file = await Client(reply(BASE64, **headers)).attachment.download("x")
    assert (file.content, file.decoded_by) == (BASE64, None)


async def test_the_caller_may_say_what_it_is(tmp_path: Path) -> None:
    headers: Any = {"Content_Disposition": 'attachment; filename="a.txt"', "Content_Type": "text/plain"}
    client = Client(*(reply(body, **headers) for body in (CODES, CODES, b"no, it is not", b"no, it is not")))
    download = client.attachment.download("x").with_options(base64=True, timeout_seconds=5)
    file = await download
    assert (file.content, file.decoded_by) == (b"code " * 30, "the caller")
    assert (await download.save(tmp_path / "codes.txt")).read_bytes() == b"code " * 30
    with pytest.raises(UnexpectedResponse, match="is not"):
        await download
    with pytest.raises(UnexpectedResponse, match="is not"):
        await download.save(tmp_path / "other.txt")
    assert names_in(tmp_path) == ["codes.txt"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="fakt\udce5.pdf"', "faktå.pdf"),
        ("attachment; filename*=ISO-8859-1''fakt%E5.pdf", "faktå.pdf"),
        ('attachment; filename="faktå.pdf"', "faktå.pdf"),
    ],
)
async def test_names_in_latin_1_are_read(disposition: str, name: str) -> None:
    assert (await Client(reply(PDF, Content_Disposition=disposition)).attachment.download("x")).name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fakt\udce5.pdf", "half a surrogate pair; nothing was sent"),
        ("a\x1fb.pdf", r"name= of its own\. Nothing was sent"),
    ],
)
def test_names_that_no_header_can_hold_are_refused(name: str, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        Upload(b"x", name)


@pytest.mark.parametrize("content", [b"abcd", b"just text", b"QUJD", b"", b"1234"])
async def test_text_files_stay_text(content: bytes, tmp_path: Path) -> None:
    headers: Any = {"Content_Disposition": 'attachment; filename="codes.txt"', "Content_Type": "text/plain"}
    client = Client(reply(content, **headers), reply(content, **headers))
    assert await client.attachment.download("x") == File(name="codes.txt", content_type="text/plain", content=content)
    place = await client.attachment.download("x").save(tmp_path / "mine.txt")
    assert place.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system32\\a.dll", "a.dll"),
        ("/absolute.pdf", "absolute.pdf"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("..", "attachment"),
        ("", "attachment"),
        (".hidden.", "hidden"),
        ("nul.txt", "_nul.txt"),
        ("a\x00b\n.pdf", "a_b_.pdf"),
        ("a:b|c?.pdf", "a_b_c_.pdf"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
async def test_hostile_names_stay_in_the_folder(name: str, kept: str, tmp_path: Path) -> None:
    assert safe_name(name) == kept
    if any(char in name for char in '\n\x00"\\'):
        return
    folder = tmp_path / "inside"
    folder.mkdir()
    for form in (f'attachment; filename="{name}"', f"attachment; filename*=UTF-8''{name.replace('/', '%2F')}"):
        client = Client(reply(PDF, Content_Disposition=form))
        place = await client.attachment.download("x").save(folder)
        assert place.parent == folder
    assert names_in(tmp_path) == ["inside"]


async def test_a_name_with_more_bytes_than_a_file_system_takes_is_cut_between_letters(tmp_path: Path) -> None:
    name = quote("å" * 190 + ".pdf")
    client = Client(*(reply(PDF, Content_Disposition=f"attachment; filename*=UTF-8''{name}") for _ in range(2)))
    names = [(await client.attachment.download("x").save(tmp_path)).name for _ in range(2)]
    assert names == ["å" * 118 + ".pdf", "å" * 118 + " (2).pdf"]


async def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    client = Client(*(reply(PDF, **NAMED) for _ in range(3)))
    names = [(await client.attachment.download("x").save(tmp_path)).name for _ in range(3)]
    assert names == ["invoice.pdf", "invoice (2).pdf", "invoice (3).pdf"]


async def test_nothing_is_left_where_it_went_wrong(tmp_path: Path) -> None:
    client = Client(ResponseLost("gone"), reply(PDF, **NAMED))
    with pytest.raises(ResponseLost):
        await client.attachment.download("x").save(tmp_path)
    with pytest.raises(TargetNotWritable, match="cannot be written"):
        await client.attachment.download("x").save(tmp_path / "missing" / "a.pdf")
    assert names_in(tmp_path) == []


async def test_prints_and_blobs_are_files_too() -> None:
    client = Client(reply(PDF, **NAMED), reply(PDF))
    assert (await client.customer_invoice.print("000050")).content == PDF
    assert (await client.blob.download("x")).name is None
    assert [request.path for request in client.recorder.requests] == [
        "/v1/customerinvoice/000050/print",
        "/v1/blob/download/x",
    ]


async def test_a_large_base64_file_is_decoded_in_pieces(tmp_path: Path) -> None:
    content = PDF + bytes(range(256)) * 2000
    text = base64.encodebytes(content)
    client = Client(reply(text, **NAMED), reply(text[:-3], **NAMED))
    place = await client.attachment.download("x").save(tmp_path)
    assert place.read_bytes() == content
    # cut off: no base64 any more, so it is left as it came
    place = await client.attachment.download("x").save(tmp_path / "cut.pdf")
    assert place.read_bytes() == text[:-3]
    assert len(names_in(tmp_path)) == 2


# --- what is not the file -----------------------------------------------------------------------------------------

SIZED: Any = {
    "Content_Disposition": f'attachment; filename="a.pdf"; size={len(PDF)}',
    "Content_Type": "application/pdf",
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"\r\n<!DOCTYPE html><title>Sign in</title>", Content_Type="text/html"), "an HTML page"),
        (reply(b"<HTML>" + b"x" * 200_000), "an HTML page"),
        (reply({"message": "An error has occurred.", "statusCode": 503}), "an error document: An error has occurred"),
        (reply([{"error": "gone"}]), "an error document: gone"),
        (reply(b""), "blank"),
        (reply(b"null"), "blank"),
        (reply({"stateLocation": "https://h/v1/background/1"}), "background queue"),
        (reply({"stateLocation": "https://h/v1/background/1"}, status=202), "status is 202"),
        (reply(status=204), "status is 204"),
        (reply(PDF[:100], status=206, **SIZED), "status is 206"),
        (reply(PDF[:500], **SIZED), "500 bytes came, and the file has 950"),
        (reply(BASE64[:400], **SIZED), "400 bytes came, and the file has 950"),
        (reply(b"", **SIZED), "0 bytes came"),
    ],
)
async def test_what_is_not_the_file_is_refused(answer: Any, words: str, tmp_path: Path) -> None:
    client = Client(answer, answer)
    with pytest.raises(UnexpectedResponse, match=words):
        await client.attachment.download("x")
    with pytest.raises(UnexpectedResponse, match=words):
        await client.attachment.download("x").save(tmp_path / "a.pdf")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        reply(PDF, **SIZED),
        reply(b"<html>", Content_Disposition='attachment; filename="page.html"', Content_Type="text/html"),
        reply({"message": "mine"}, Content_Disposition='attachment; filename="a.json"'),
        reply(b"", Content_Disposition='attachment; filename="empty.txt"'),
        reply(b"<invoice/>", Content_Type="application/xml"),
        reply({"any": "document"}),
    ],
)
async def test_what_is_announced_as_a_file_is_one(answer: Any, tmp_path: Path) -> None:
    client = Client(answer, answer)
    file = await client.attachment.download("x")
    assert (await client.attachment.download("x").save(tmp_path / "a")).read_bytes() == file.content == answer.body


@pytest.mark.parametrize(
    ("place", "refusal"),
    [
        ("a\0.pdf", (RequestRefused, r"is no path: .*; nothing was sent")),
        ("\0", (RequestRefused, r"is no path: .*; nothing was sent")),
        ("a" * 5000, (TargetNotWritable, "cannot be written: File name too long")),
        ("a.txt/a.pdf", (TargetNotWritable, "cannot be written: Not a directory")),
    ],
    ids=["nul", "nul alone", "long", "below a file"],
)
async def test_what_the_system_takes_for_no_path_is_refused(place: str, refusal: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    client = Client(reply(PDF, **NAMED))
    with pytest.raises(refusal[0], match=refusal[1]):
        await client.attachment.download("x").save(f"{tmp_path}/{place}")
    assert (client.recorder.requests, names_in(tmp_path)) == ([], ["a.txt"])


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link", "socket"])
async def test_what_is_no_regular_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        os.mknod(place, stat.S_IFSOCK | 0o600)
    else:
        target = tmp_path / "mine.txt"
        place.symlink_to(target)
        if kind == "link":
            target.write_text("mine")
    before = place.lstat()
    client = Client(reply(PDF, **NAMED))
    with pytest.raises(TargetNotWritable, match="would be replaced; nothing was sent"):
        await client.attachment.download("x").save(place)
    assert (place.lstat().st_mode, client.recorder.requests) == (before.st_mode, [])
