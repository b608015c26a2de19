"""Everything that reads bytes from elsewhere, one function each. The contract is in `check`.

The same table is driven by hypothesis (test_readers.py), by `corpus.py`, and by atheris (atheris_readers.py).
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async import errors
from vismanet_async._api import base64_file, by_hand, files, results
from vismanet_async._api.models import ActionResult, Customer, CustomerInvoice
from vismanet_async._codec import halves
from vismanet_async._codec.decode import decode_one, decode_rows
from vismanet_async._codec.record_matches import record_matches
from vismanet_async._export.checkpoint import Checkpoint
from vismanet_async._export.target.manifest import Manifest, validate
from vismanet_async._http import charset, error_body, hosts
from vismanet_async._http.answer import read_answer
from vismanet_async._http.auth.grant import RawTokenResponse, read_token_response
from vismanet_async._http.message import Response, bare_etag
from vismanet_async._http.rate_limit import Quota
from vismanet_async._jobs import job
from vismanet_async._jobs.background_api import Answer, job_id_in
from vismanet_async._jobs.core.records import StateDocument
from vismanet_async._jobs.results import plain_json
from vismanet_async._paging import page_formats
from vismanet_async._paging.journals import merge_batches
from vismanet_async._settings import Settings
from vismanet_async._webhooks.receiver import ids_in
from vismanet_async._webhooks.signing import signature_fits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READERS", "Reader", "check"]

NOW: Final = datetime(2026, 1, 15, 8, tzinfo=UTC)


@attrs.frozen
class Reader:
    """One place where foreign bytes come in."""

    name: str
    read: Callable[[bytes], Any] = attrs.field(repr=False)
    raises: tuple[type[Exception], ...] = (errors.VismaNetError,)
    """What it may raise: an error of the library, or one that its only caller turns into that."""


def check(reader: Reader, data: bytes) -> None:
    """It returns, or raises what it may raise; anything else goes through."""
    try:
        reader.read(data)
    except reader.raises as error:
        assert len(str(error)) < 20_000, "an error text repeats the whole input"  # noqa: PT017 - any of these will do


def _text(data: bytes) -> str:
    """As aiohttp gives headers: undecodable bytes become lone surrogates, and there are no line breaks."""
    return data.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ").replace("\0", " ")


def _headers(**named: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in named.items()}))


def _response(body: bytes = b"", **headers: str) -> Response:
    return Response(status=200, headers=_headers(**headers), body=body)


_FORMATS = (page_formats.PAGE_NUMBER, page_formats.ENVELOPE, page_formats.UNPAGED, page_formats.PAGE_INDEX)


def _page(style: page_formats.PageStyle) -> Callable[[bytes], Any]:
    def read(data: bytes) -> None:
        answer = style.read(data)
        decode_rows(list(answer.rows), CustomerInvoice)

    return read


def _quick_page(data: bytes) -> None:
    """The row separator is learnt from one page and used on the next: the rows must be those that parsing finds."""
    reader = page_formats.PageReader(page_formats.PAGE_NUMBER)
    first, _, second = data.partition(b"\x00")
    for body in (first, first, second):
        quick = reader.read(body, page_size=2)
        whole = page_formats.PAGE_NUMBER.read(body)
        assert [bytes(row).strip() for row in quick.rows] == [bytes(row).strip() for row in whole.rows]


def _journal(data: bytes) -> None:
    rows = page_formats.JOURNAL.read(data).rows
    merge_batches(list(rows))


def _record(data: bytes) -> None:
    record = decode_one(data, Customer)
    _ = record.extra, record.etag, record.raw_json, repr(record)


def _quota(data: bytes) -> None:
    values = (_text(data).split("|") + [""] * 5)[:5]
    names = ("X-RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "Retry-After", "X-RateLimit-Policy")
    quota = Quota()
    headers = CIMultiDictProxy(CIMultiDict(zip(names, values, strict=True)))
    for status in (200, 429):
        quota.observe(headers, status=status, now=10.0, utc_now=NOW, randomness=0.5)
    assert 0 <= quota.wait_seconds(10.0) < 100_000
    assert (quota.max_in_flight(10.0) or 1) >= 1


def _created(data: bytes) -> None:
    location, _, etag = _text(data).partition("|")
    made = results.created(_response(Location=location, ETag=etag), "/v1/customer/{customerCd}")
    assert made.id is None or made.id in made.key
    bare_etag(etag)


def _acted(data: bytes) -> None:
    results.acted(_response(data, ETag='"x"'), lambda: ActionResult, "release")
    results.done(_response(data), lambda: ActionResult, "/v1/customer/{customerCd}", "release")


def _file(data: bytes) -> None:
    disposition, _, rest = data.partition(b"|")
    kind, _, body = rest.partition(b"|")
    file = files.read_file(_response(body, Content_Disposition=_text(disposition), Content_Type=_text(kind)))
    if file.name is not None:
        _stays(file.name)
    _stays(files.safe_name(_text(data)))


def _answer(data: bytes) -> None:
    kind, _, body = data.partition(b"|")
    answer = read_answer(_headers(Content_Type=_text(kind)), body)
    assert answer.shape in {"blank", "object", "array", "scalar", "other"}
    assert len(answer.error or "") < 2_000


def _written(data: bytes) -> None:
    kind, _, body = data.partition(b"|")
    headers = {"Content_Type": _text(kind)}
    for read in (results.updated, lambda response: results.created(response, "/v1/customer"), results.deleted):
        try:
            read(_response(body, **headers))
        except errors.OutcomeUnknown:
            continue
    results.plain_written(_response(body, **headers), "by hand")


def _base64(data: bytes) -> None:
    whole = b"".join(base64_file.decoded_pieces([data]))
    for size in (1, 3, 7):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert b"".join(base64_file.decoded_pieces(pieces)) == whole


def _halves(data: bytes) -> None:
    mended = halves.with_whole_pairs(data)
    assert mended is None or len(mended) == len(data)
    assert mended is None or halves.with_whole_pairs(mended) is None


def _header(data: bytes) -> None:
    charset.header_text(_text(data)).encode()


def _stays(name: str) -> None:
    folder = Path("/folder")
    assert name not in {"", ".", ".."}
    assert (folder / name).parent == folder
    assert not {*"/\\:\0\r\n"} & {*name}
    assert len(name) <= 201


def _problem(data: bytes) -> None:
    found = error_body.read_problem(_headers(Content_Type="application/json"), data)
    assert len(found.detail) < 2_000


def _token(data: bytes) -> None:
    for status in (200, 400):
        grant = read_token_response(RawTokenResponse(status, data), host="example.org")
        assert 0 < grant.lifetime_seconds < float("inf")


def _job_id(data: bytes) -> None:
    body, _, location = data.partition(b"|")
    found = job_id_in(Answer(status=202, headers=_headers(Location=_text(location)), body=body))
    if found is not None:
        hosts.request_url(hosts.base_url("https://example.org", name="base_url"), f"/v1/background/{found}")


def _hook(data: bytes) -> None:
    assert len(ids_in(data)) <= 64
    signature_fits(_text(data), body=data, key=b"key")


def _shown(data: bytes) -> None:
    sent, _, record = data.partition(b"|")
    record_matches(record, b'{"name":{"value":"x"},"lines":[{"operation":"Insert"}]}')
    record_matches(b'{"name":"x"}', b'{"name":' + sent + b"}") if _is_json(b'{"name":' + sent + b"}") else None


def _is_json(data: bytes) -> bool:
    try:
        plain_json(_response(data))
    except errors.VismaNetError:
        return False
    return True


def _profile(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.toml"
        path.touch(mode=0o600)
        path.write_bytes(data)
        Settings.load(environ={"VISMANET_PROFILE_FILE": str(path)})


def _manifest(data: bytes) -> None:
    Manifest.from_json(data)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json").write_bytes(data)
        validate(folder)


def _checkpoint(data: bytes) -> None:
    """A working directory as a stopped run leaves it, with anything in its files."""
    plan, _, rest = data.partition(b"|")
    name, _, journal = rest.partition(b"|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        run = work / (files.safe_name(_text(name)).encode("utf-8", "replace").decode() or "1") / "customer"
        for directory in (run, work / "1" / "customer"):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "pages.jsonl").write_bytes(journal)
            (directory / "answers.json").write_bytes(b"[]")
        (work / "plan.json").write_bytes(plan)
        Checkpoint.open(work, fingerprint="f", now=NOW).close()


READERS: Final = {
    reader.name: reader
    for reader in (
        *(Reader(f"page: {style.name}", _page(style), (page_formats.PageFormatError, errors.VismaNetError))
          for style in _FORMATS),
        Reader("page: quick", _quick_page, (page_formats.PageFormatError,)),
        Reader("page: journal lines", _journal, (page_formats.PageFormatError,)),
        Reader("record", _record),
        Reader("answer of any call", lambda data: by_hand.plain_read(_response(data))),
        Reader("answer of any job", lambda data: plain_json(_response(data))),
        Reader("action result", _acted),
        Reader("record shows what was sent", _shown),
        Reader("error body", _problem),
        Reader("quota headers", _quota),
        Reader("Location and ETag", _created),
        Reader("file", _file),
        Reader("answer", _answer),
        Reader("answer to a write", _written),
        Reader("base64", _base64, (base64_file.NotBase64Error,)),
        Reader("halves of pairs", _halves),
        Reader("header of any bytes", _header),
        Reader("token answer", _token),
        Reader("state document", StateDocument.read, (ValueError, RecursionError)),
        Reader("job id", _job_id),
        Reader("webhook", _hook),
        Reader("job token", lambda data: job.id_in_token(_text(data), company="c")),
        Reader("profile file", _profile),
        Reader("manifest", _manifest),
        Reader("checkpoint", _checkpoint, (OSError,)),
    )
}  # fmt: skip
