"""A scripted HTTP/1.1 server on raw asyncio streams: sends what it is told, byte for byte, and breaks off when told."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

CLOSE: Final = b"close the connection"
"""In a script: break off here."""


@attrs.frozen
class Seen:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value


Step = bytes | asyncio.Event
Reply = tuple[Step, ...]


def answer(status: int = 200, body: bytes = b"{}", *, length: int | None = None, **headers: str) -> bytes:
    """Give a whole response; `length` lies about the body's."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def token(text: str = "token-1", **more: Any) -> bytes:
    return answer(body=json.dumps({"access_token": text, "expires_in": 3600, "token_type": "Bearer", **more}).encode())


@attrs.define
class Wire:
    """The server: `replies` for the API and `grants` for `/connect/token`, each falling back to a default."""

    host: str = "127.0.0.1"
    port: int = 0
    scheme: str = "http"
    seen: list[Seen] = attrs.field(factory=list)
    asked: list[Seen] = attrs.field(factory=list)
    replies: deque[Reply] = attrs.field(factory=deque)
    grants: deque[Reply] = attrs.field(factory=deque)
    default: Reply = attrs.field(factory=lambda: (answer(),))
    grant: Reply = attrs.field(factory=lambda: (token(),))
    connections: int = 0
    open: int = 0
    on_request: Callable[[Seen], Awaitable[None]] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def reply(self, *replies: bytes | Reply) -> None:
        self.replies.extend(reply if isinstance(reply, tuple) else (reply,) for reply in replies)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while await self._one(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in head[1:] if line)
        body = await _body(reader, {name.lower(): value for name, value in headers})
        seen = Seen(method, target, headers, body, number)
        signing_in = target == "/connect/token"
        (self.asked if signing_in else self.seen).append(seen)
        if self.on_request is not None:
            await self.on_request(seen)
        script, default = (self.grants, self.grant) if signing_in else (self.replies, self.default)
        for step in script.popleft() if script else default:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif step is CLOSE:
                return False
            else:
                writer.write(step)
                await writer.drain()
        return True


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readline()).strip(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


@asynccontextmanager
async def wire_server(tls: ssl.SSLContext | None = None, *, address: str = "127.0.0.1") -> AsyncIterator[Wire]:
    host = f"[{address}]" if ":" in address else address
    wire = Wire(host=host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.ensure_future(wire.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, address, 0, ssl=tls)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()  # a peer that has not closed its side yet is not waited for
            with suppress(OSError):
                await writer.wait_closed()
