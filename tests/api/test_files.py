"""Files up and down: multipart bodies, base64 in its forms, hostile names."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import base64
import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.support import Client, reply
from vismanet_async.api.files import Download, File, Upload, _Base64Watch, safe_name
from vismanet_async.errors import RequestRefused, ResponseLost, TargetNotWritable

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
    assert upload.body().replayable


async def test_bytes_and_streams() -> None:
    body, headers = await body_of(Upload(b"content", "a.txt", content_type="text/plain"))
    assert b"Content-Type: text/plain\r\n\r\ncontent\r\n" in body
    assert "Content-Length" in headers
    upload = Upload(stream(b"con", b"tent"), "a.txt")
    body, headers = await body_of(upload)
    assert b"\r\n\r\ncontent\r\n" in body
    assert "Content-Length" not in headers
    assert not upload.body().replayable


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
    assert not request.repeatable


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


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 1000])
def test_a_byte_order_mark_may_come_in_pieces(piece_bytes: int) -> None:
    body = codecs.BOM_UTF8 + b'"' + BASE64 + b'"'
    watch = _Base64Watch("application/json", None)
    for start in range(0, len(body), piece_bytes):
        watch.look(body[start : start + piece_bytes])
    assert watch.decode(body) == PDF


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
    content = bytes(range(256)) * 2000
    text = base64.encodebytes(content)
    client = Client(reply(text, **NAMED), reply(text[:-3], **NAMED))
    place = await client.attachment.download("x").save(tmp_path)
    assert place.read_bytes() == content
    # cut off: no base64 any more, so it is left as it came
    place = await client.attachment.download("x").save(tmp_path / "cut.pdf")
    assert place.read_bytes() == text[:-3]
    assert len(names_in(tmp_path)) == 2
