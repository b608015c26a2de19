"""A page server that is not the bottleneck: `python -m benchmarks.server` prints its port and serves until stdin ends.

One thread a connection with blocking sends, since a thread in the kernel holds no interpreter lock: the whole of a
2.5 MB page leaves by one system call. What a list looks like stands in the base URL, so that one server serves every
benchmark and every client gets its settings the same way:

    http://127.0.0.1:PORT/rows-100000/wait-100/gzip/v1/customer?pageNumber=1&pageSize=1000

`wait-MS` waits before each answer, and with `slots-N` no more than N wait at once, as if a worker were busy with each;
a POST is answered as a create, a PUT as an update;
with `gzip` the answers are compressed (beforehand) where the client accepts it. `/v1/customer/10000001` is one record.
Outside that, `GET /counts` tells what was asked since `GET /reset`, and `GET /prepare/...` readies a list's pages.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
import zlib
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import attrs
import msgspec

from benchmarks.records import (
    FIRST_KEY,
    MODIFIED_FIRST,
    MODIFIED_LAST,
    PAGE_ROWS_MAX,
    RESOURCES,
    PageBuffer,
    PageTemplate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUEST_BYTES_MAX = 64 * 1024
_CALLS_AN_HOUR = 15_000_000
_STATUSES = {"POST": b"201 Created", "PUT": b"204 No Content"}
_WRITTEN = {"POST": (b"", b"Location: /v1/customer/1\r\n"), "PUT": (b"", b'ETag: "AAAAAE0YIiI="\r\n')}
"""Bodies of the answers to writes, and the headers that matter (docs/facts.md 10.5)."""
_JSON = b"Content-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n"


class BadRequestError(Exception):
    """The request asks for what this server does not do; answered with 400 so that no benchmark runs on a mistake."""


@attrs.frozen
class _ListUrl:
    """The part of a path before `/v1/...`, and the resource after it."""

    resource: str
    total_rows: int
    wait_seconds: float
    gzip: bool
    slots: int
    record: int | None

    @classmethod
    @cache
    def parse(cls, path: str) -> _ListUrl:
        settings, _, resource = path.lower().partition("/v1/")
        resource, _, record = resource.partition("/")
        if resource not in RESOURCES:
            raise BadRequestError(f"no list at {path}")
        rows, wait, gzip, slots = 1000, 0, False, 0
        for setting in settings.strip("/").split("/"):
            name, _, value = setting.partition("-")
            if name == "rows":
                rows = int(value)
            elif name == "wait":
                wait = int(value)
            elif name == "slots":
                slots = int(value)
            elif name == "gzip":
                gzip = True
            else:
                raise BadRequestError(f"unknown setting {setting!r}")
        return cls(resource, rows, wait / 1000, gzip, slots, int(record) if record else None)


def _window_holds_rows(query: Mapping[str, str]) -> bool:
    """Whether the lastModifiedDateTime filter lets all rows pass (or none); a window that cuts the rows is refused."""
    condition = query.get("lastmodifieddatetimecondition")
    value = query.get("lastmodifieddatetime", "").replace(" ", "T")
    if not condition or not value:
        return True  # a value without its condition is ignored, as the real service does
    if condition not in {"<", "<=", ">", ">="}:
        raise BadRequestError(f"unknown condition {condition!r}")
    if MODIFIED_FIRST < value < MODIFIED_LAST:
        raise BadRequestError(f"a window that ends within the rows' own time ({value}) is not served")
    return condition.startswith("<") == (value >= MODIFIED_LAST)


@cache
def _template(resource: str, total_rows: int) -> PageTemplate:
    return PageTemplate.of(resource, total_rows=total_rows)


@cache
def _gzip_page(resource: str, total_rows: int, page_number: int, page_rows: int) -> bytes:
    """A compressed page; kept, since compressing takes longer than all the rest (about 5 % of the page's bytes)."""
    compressor = zlib.compressobj(6, wbits=31)
    page = PageBuffer(_template(resource, total_rows)).page(page_number, page_rows)
    return compressor.compress(page) + compressor.flush()


class PageServer:
    """Serves lists on a free loopback port; `counts` tells requests and bytes by path since the last reset."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._slots: dict[_ListUrl, threading.Semaphore] = {}
        self._reset()

    def _reset(self) -> None:
        with self._lock:
            self._requests: Counter[str] = Counter()
            self._body_bytes = 0
            self._in_flight = self._in_flight_max = 0
            self._cpu_start = time.process_time()

    def serve_forever(self) -> None:
        """Accept connections until the listener closes."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop accepting."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffers: dict[tuple[str, int], PageBuffer] = {}
        received = bytearray()
        with connection:
            try:
                while (head := _read_head(connection, received)) is not None:
                    if not self._answer(connection, head, received, buffers):
                        return
            except (ConnectionError, TimeoutError):
                return  # the client went away; a benchmark that misses an answer fails by itself

    def _answer(
        self,
        connection: socket.socket,
        head: bytes,
        received: bytearray,
        buffers: dict[tuple[str, int], PageBuffer],
    ) -> bool:
        """Answer one request; False when the connection is to be closed."""
        request_line, *header_lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
        _skip_body(connection, received, int(headers.get("content-length", "0")))
        method, target, _ = request_line.split(" ", 2)
        path, _, query_text = target.partition("?")
        path = unquote(path)
        encoding = b""
        try:
            if "/v1/" in path and not path.startswith("/prepare"):
                with self._lock:
                    self._requests[path.partition("/v1/")[2]] += 1
                    self._in_flight += 1
                    self._in_flight_max = max(self._in_flight_max, self._in_flight)
                query = {name.lower(): value for name, value in parse_qsl(query_text)}
                listing = _ListUrl.parse(path)
                with self._slot(listing):
                    due = time.monotonic() + listing.wait_seconds
                    body, encoding = _WRITTEN.get(method) or self._page(listing, query, headers, buffers)
                    if (wait := due - time.monotonic()) > 0:
                        time.sleep(wait)
            else:
                body = self._service(method, path)
            status = _STATUSES.get(method, b"200 OK") if "/v1/" in path else b"200 OK"
        except BadRequestError as error:
            status, body = b"400 Bad Request", msgspec.json.encode({"message": str(error)})
        keep = headers.get("connection", "").lower() != "close"
        described = b"" if status.startswith(b"204") else _JSON % len(body)
        answer = b"".join((
            b"HTTP/1.1 ", status, b"\r\n", described, encoding, b"X-RateLimit-Policy: 4-fixed-window\r\n",
            b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\n" % (_CALLS_AN_HOUR, _CALLS_AN_HOUR // 2),
            b"X-RateLimit-Reset: 1800\r\n", b"" if keep else b"Connection: close\r\n", b"\r\n",
        ))  # fmt: skip
        sent = connection.sendmsg([answer, body])
        if sent < len(answer) + len(body):  # only a signal or an error cuts a blocking send short
            connection.sendall((answer + bytes(body))[sent:])
        if "/v1/" in path:
            with self._lock:
                self._in_flight -= 1
                self._body_bytes += len(body)
        return keep

    def _slot(self, listing: _ListUrl) -> AbstractContextManager[Any]:
        if not listing.slots:
            return nullcontext()
        with self._lock:
            return self._slots.setdefault(listing, threading.Semaphore(listing.slots))

    def _page(
        self,
        listing: _ListUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        buffers: dict[tuple[str, int], PageBuffer],
    ) -> tuple[memoryview | bytes, bytes]:
        page_number = int(query.get("pagenumber", "1"))
        page_rows = min(int(query.get("pagesize", PAGE_ROWS_MAX)), PAGE_ROWS_MAX)
        if page_number < 1 or page_rows < 1:
            raise BadRequestError("pageNumber and pageSize start at 1")
        if not _window_holds_rows(query):
            return b"[]", b""
        if listing.gzip and "gzip" in headers.get("accept-encoding", ""):
            page = _gzip_page(listing.resource, listing.total_rows, page_number, page_rows)
            return page, b"Content-Encoding: gzip\r\n"
        key = (listing.resource, listing.total_rows)
        if key not in buffers:
            buffers[key] = PageBuffer(_template(*key))
        if listing.record is not None:
            return buffers[key].page(listing.record - FIRST_KEY + 1, 1)[1:-1], b""
        return buffers[key].page(page_number, page_rows), b""

    def _service(self, method: str, path: str) -> bytes:
        """What belongs to the benchmarks rather than to the list: tokens, counts, preparation."""
        if path == "/connect/token":
            return b'{"access_token":"benchmark","expires_in":3600,"token_type":"Bearer"}'
        if path == "/reset":
            self._reset()
            return b"{}"
        if path == "/counts":
            with self._lock:
                counts: dict[str, Any] = {
                    "requests": dict(self._requests),
                    "body_bytes": self._body_bytes,
                    "in_flight_max": self._in_flight_max,
                    "cpu_seconds": time.process_time() - self._cpu_start,
                }
            return msgspec.json.encode(counts)
        if path.startswith("/prepare/"):
            listing = _ListUrl.parse(path.removeprefix("/prepare"))
            template = _template(listing.resource, listing.total_rows)
            if listing.gzip:
                for page_number in range(1, -(-template.total_rows // PAGE_ROWS_MAX) + 1):
                    _gzip_page(listing.resource, listing.total_rows, page_number, PAGE_ROWS_MAX)
            return b"{}"
        raise BadRequestError(f"nothing at {method} {path}")


def _read_head(connection: socket.socket, received: bytearray) -> bytes | None:
    """The next request's head; None when the client is done."""
    while (end := received.find(b"\r\n\r\n")) < 0:
        chunk = connection.recv(_REQUEST_BYTES_MAX)
        if not chunk or len(received) > _REQUEST_BYTES_MAX:
            return None
        received += chunk
    head = bytes(received[:end])
    del received[: end + 4]
    return head


def _skip_body(connection: socket.socket, received: bytearray, length: int) -> None:
    while len(received) < length:
        chunk = connection.recv(length - len(received))
        if not chunk:
            raise ConnectionError("the client left in the middle of a request")
        received += chunk
    del received[:length]


def main() -> None:
    """Serve until stdin ends, which it does when the parent dies."""
    server = PageServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
