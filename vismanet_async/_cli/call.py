"""`vismanet call`: one method of one resource, from words to its result."""

from __future__ import annotations

import codecs
import errno
import json
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import msgspec

from vismanet_async._api.registry import find_method, method_arguments, method_facts, method_ids
from vismanet_async._cli.exit_codes import DONE, INTERRUPTED
from vismanet_async._cli.filters import read_where, refuse_bare_conditions, refuse_half_characters
from vismanet_async._settings import Settings
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._client import VismaNet
    from vismanet_async._http.message import Request, Response, Sender
    from vismanet_async._operation import Operation
    from vismanet_async._paging.listing import Listing

__all__ = ["Call", "check_target", "exact_json", "operation_of", "read_call", "read_json", "run_call"]

_WRITES: Final = frozenset({"create", "update", "delete", "act", "upload"})
_MOST_BODY_BYTES: Final = 256 * 1024 * 1024
"""More than any body that the API takes: /dev/zero has no end."""


@attrs.frozen(kw_only=True)
class Call:
    """A call that was checked against the registry; nothing of it needs a client or a sign-in."""

    resource: str
    method: str
    facts: Mapping[str, Any]
    positional: Sequence[Any]
    keywords: Mapping[str, Any]
    options: Mapping[str, Any]
    """Those of the listing."""

    @property
    def is_list(self) -> bool:
        """Whether it reads a list."""
        return bool(self.facts["call"] == "list")

    @property
    def is_write(self) -> bool:
        """Whether sending it twice could do something twice."""
        return self.facts["call"] in _WRITES

    @property
    def is_download(self) -> bool:
        """Whether it gives a file."""
        return bool(self.facts["call"] == "download")

    def bind(self, visma: VismaNet) -> Operation[Any] | Listing[Any]:
        """Build it with a client; sends nothing.

        Raises:
            UnknownName: a field of the body that the API does not know, by its path.
            RequestRefused: a value that the API would misread.
        """
        try:
            built = getattr(getattr(visma, self.resource), self.method)(*self.positional, **self.keywords)
        except UnicodeEncodeError as error:
            raise RequestRefused(f"{error.object!a} holds half a surrogate pair; nothing was sent.") from None
        chosen: Operation[Any] | Listing[Any] = built.with_options(**self.options) if self.options else built
        return chosen


def read_call(
    name: str,
    ids: Sequence[str],
    *,
    where: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    body: str | None = None,
    file: Path | None = None,
    if_match: str | None = None,
    limit: int | None = None,
    page_size: int | None = None,
    background: bool = False,
    command: str = "vismanet call",
) -> Call:
    """Check the words of a call against the registry; sends nothing. `command` stands in the examples of refusals.

    Raises:
        UnknownName: no such resource, method or parameter; with the nearest names.
        RequestRefused: something is missing, too much, or cannot be read.
    """
    for word, text in [("an id", one) for one in ids] + [("--if-match", if_match), *(parameters or {}).items()]:
        refuse_half_characters(word, text)
    resource, method = find_method(name)
    facts, name = method_facts(resource, method), f"{resource}.{method}"
    try:
        positional: list[Any] = method_ids(resource, method, ids)
        keywords = method_arguments(resource, method, _values(resource, where, parameters or {}))
    except UnknownName:
        raise
    except RequestRefused as error:
        raise RequestRefused(f"{error} For example: {command} {name} {_example(facts)}".rstrip()) from None
    refuse_bare_conditions(resource, method, keywords)
    _check_options(name, facts, body=body, file=file, if_match=if_match, background=background)
    if body is not None:
        content = read_json(body)
        if facts["body"].startswith("list[") and not isinstance(content, list):
            raise RequestRefused(f"--json {body}: {name} takes a JSON array of them; nothing was sent.")
        positional.append(content)
    if file is not None:
        from vismanet_async._api.files import Upload  # noqa: PLC0415 - few calls have files

        positional.append(Upload(file))
    if if_match is not None:
        keywords["if_match"] = if_match
    options = {key: value for key, value in (("limit", limit), ("page_size", page_size)) if value is not None}
    if options and facts["call"] != "list":
        raise RequestRefused(f"{name} is no list, so it takes no --{next(iter(options)).replace('_', '-')}.")
    return Call(
        resource=resource, method=method, facts=facts, positional=positional, keywords=keywords, options=options
    )


def _example(facts: Mapping[str, Any]) -> str:
    """Return the usage of a method: what has to follow its name."""
    needed = [one["name"] for one in facts.get("parameters", ()) if one.get("required")]
    return " ".join(
        [
            *(id_name.upper() for id_name, _ in facts.get("ids", ())),
            *(f"--{name.replace('_', '-')} VALUE" for name in needed),
            *(["--json FILE"] if "body" in facts else ()),
            *(["--if-match ETAG"] if facts.get("if_match") == "needed" else ()),
            *(["--file FILE"] if facts["call"] == "upload" else ()),
            *(["--to PATH"] if facts["call"] == "download" else ()),
        ]
    )


def _values(resource: str, where: Sequence[str], parameters: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = dict(parameters)
    for text in where:
        other, name, value = read_where(text)
        if other not in {None, resource}:
            raise RequestRefused(f"--where {other}.{name}: the call is of {resource}; nothing was sent.")
        if name in values:
            raise RequestRefused(f"{name} is given twice; nothing was sent. Give it once.")
        values[name] = value
    return values


def _check_options(
    name: str,
    facts: Mapping[str, Any],
    *,
    body: str | None,
    file: Path | None,
    if_match: str | None,
    background: bool,
) -> None:
    if ("body" in facts) != (body is not None):
        need = f"needs its body ({facts['body']}): --json FILE, or --json -" if body is None else "takes no --json"
        raise RequestRefused(f"{name} {need}; nothing was sent. `vismanet resources {name}` shows its fields.")
    if (facts["call"] == "upload") != (file is not None):
        raise RequestRefused(f"{name} {'needs' if file is None else 'takes no'} --file; nothing was sent.")
    honoured = facts.get("if_match")
    if if_match is None:
        if honoured == "needed":
            raise RequestRefused(f"{name} needs --if-match, the ETag of what it changes; nothing was sent.")
        return
    if honoured is None:
        raise RequestRefused(f"{name}: the server does not honour If-Match here and would ignore it; nothing was sent.")
    if honoured == "background" and not background:
        raise RequestRefused(
            f"{name}: the server honours If-Match only in the background; add --background. Nothing was sent."
        )


# --- the body ------------------------------------------------------------------------------------------------------


def read_json(source: str) -> Any:
    """Read a JSON document with exact numbers from a file, or from stdin for `-`.

    Raises:
        RequestRefused: it cannot be read, or is not JSON, with the place.
    """
    place = "stdin" if source == "-" else source
    content = b""
    try:
        content = _read(source)
        return exact_json(content)
    except OSError as error:
        # a shell that knows no single quotes passes them on
        if source.lstrip(" '\"")[:1] in {"{", "["}:
            raise RequestRefused(
                f"--json {place}: that is the JSON itself; give the name of a file with it, or - and the JSON on "
                "stdin; nothing was sent."
            ) from None
        raise RequestRefused(f"--json {place}: {error.strerror or error}; nothing was sent.") from None
    except MemoryError:
        raise RequestRefused(f"--json {place} is too large to be a body; nothing was sent.") from None
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise RequestRefused(f"--json {place} is not JSON: {error}{_hint(content)}; nothing was sent.") from None


def exact_json(content: bytes) -> Any:
    """Return the value of a JSON text with exact numbers.

    Raises:
        ValueError: it is no JSON, or names a member twice.
    """
    return json.loads(
        content.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once
    )


def _hint(content: bytes) -> str:
    """Return what is probably wrong with a text that should be JSON."""
    if not content.strip():
        return " (it is empty)"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return " (it is UTF-16, as PowerShell's > writes it: save it as UTF-8)"
    if content.lstrip(b"\xef\xbb\xbf \t\r\n{[").startswith(b"'"):
        return " (names and texts are in double quotes)"
    return ""


def _read(source: str) -> bytes:
    if source != "-":
        with Path(source).open("rb") as file:
            content = file.read(_MOST_BODY_BYTES + 1)
    elif sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    else:
        content = sys.stdin.buffer.read(_MOST_BODY_BYTES + 1)
    if len(content) > _MOST_BODY_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MOST_BODY_BYTES:,} bytes, which is no body")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given = dict(pairs)
    if len(given) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return given


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


# --- the call ------------------------------------------------------------------------------------------------------


def run_call(
    call: Call,
    *,
    to: Path | None,
    preview: bool,
    background: bool,
    profile: str | None,
    store: str | None,
) -> int:
    """Make the call and print its result; or print what would be sent."""
    check_target(call, to, saves=not preview)
    settings = Settings.load(profile=profile, job_store=store)
    if notice := call.facts.get("notice"):
        print(f"vismanet: note: {notice}", file=sys.stderr)
    if preview:
        anyio.run(_preview, call, settings, background)
        return DONE
    try:
        anyio.run(_call, call, settings, to, background)
    except KeyboardInterrupt:
        if background:
            said = "A job that was submitted goes on: `vismanet jobs list` shows it. Do not send it again before"
        elif call.is_write:
            said = "It may have been carried out: look it up before sending it again"
        else:
            raise
        print(f"vismanet: interrupted. {said}.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def check_target(call: Call, to: Path | None, *, saves: bool = True) -> None:
    """Refuse a file without a place to save it, and a place without a file; nothing was sent then."""
    if to is not None and not call.is_download:
        raise RequestRefused(f"{call.resource}.{call.method} gives no file to save with --to; nothing was sent.")
    if to is None and call.is_download and saves:
        raise RequestRefused(
            f"{call.resource}.{call.method} gives a file: say where to save it with --to PATH; nothing was sent."
        )


async def _call(call: Call, settings: Settings, to: Path | None, background: bool) -> None:  # noqa: FBT001 - anyio.run passes by position
    # aiohttp takes its time; wrong use is told without it
    from vismanet_async._api.files import Download  # noqa: PLC0415
    from vismanet_async._cli.output import print_result  # noqa: PLC0415
    from vismanet_async._client import VismaNet  # noqa: PLC0415

    async with VismaNet.from_settings(settings) as visma:
        built = call.bind(visma)
        if background:
            job = await visma.jobs.submit(operation_of(call, built))
            print(
                f"vismanet: job {job.id}; if this is stopped: vismanet jobs wait {job.id}", file=sys.stderr, flush=True
            )
            result = await job.result()
        elif isinstance(built, Download) and to is not None:
            result = {"path": str(await built.save(to))}
        else:
            result = await built
    done = f"{call.resource}.{call.method} was carried out, and answered" if call.is_write else ""
    print_result(result, to=to, done=done)


def operation_of(call: Call, built: Operation[Any] | Listing[Any]) -> Operation[Any]:
    """Return the operation to run in the background.

    Raises:
        RequestRefused: a list, whose jobs are submitted while it is read.
    """
    from vismanet_async._operation import Operation  # noqa: PLC0415 - as above

    if not isinstance(built, Operation):
        raise RequestRefused(
            f"{call.resource}.{call.method} is a list: from the command line it cannot run in the background. "
            "In Python visma.jobs.submit reads it by jobs. Nothing was sent."
        )
    return built


# --- what would be sent --------------------------------------------------------------------------------------------


class _Recorder:
    """Takes the requests instead of sending them, and answers with an empty list."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        from multidict import CIMultiDict, CIMultiDictProxy  # noqa: PLC0415 - comes with aiohttp

        from vismanet_async._http.message import Response  # noqa: PLC0415

        self.requests.append(request)
        return Response(status=200, headers=CIMultiDictProxy(CIMultiDict()), body=b"[]")

    def stream(self, request: Request) -> Any:
        raise NotImplementedError


async def _preview(call: Call, settings: Settings, background: bool) -> None:  # noqa: FBT001 - as above
    from vismanet_async._cli.output import print_json  # noqa: PLC0415
    from vismanet_async._client import VismaNet  # noqa: PLC0415

    # nothing is sent, so there is nothing to sign in for
    nobody = attrs.evolve(settings, token="preview", client_id=None, client_secret=None)  # noqa: S106 - no secret
    async with VismaNet.from_settings(nobody) as visma:
        built = call.bind(visma)
        if call.is_list and not background:
            request = await _first_request(built)
        else:
            request = operation_of(call, built).request(background="none" if background else None)
    print_json(msgspec.json.encode(_shown(request, settings)))


async def _first_request(listing: Any) -> Request:
    recorder = _Recorder()

    def record(_: Sender) -> Sender:
        return recorder

    await listing.with_sender(record).with_options(completeness="none").all()
    return recorder.requests[0]


def _shown(request: Request, settings: Settings) -> dict[str, Any]:
    body = request.body
    shown: Any = msgspec.Raw(body) if isinstance(body, bytes) else None
    if body is not None and shown is None:
        shown = f"<{getattr(getattr(body, 'upload', None), 'file_name', 'file')}, streamed>"
    base = settings.base_url if request.service == "erp" else settings.sales_order_url
    return {
        "operation": request.operation,
        "method": request.method,
        "url": base.rstrip("/") + request.path,
        "query": request.query,
        "headers": dict(request.headers),
        "body": shown,
    }
