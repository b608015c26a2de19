"""The way out: through a real proxy, with a company's own authority, over IPv6 alone."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme
from attrs import define, field
from yarl import URL

from tests.support.hang import HANG_SECONDS
from tests.transport.wire import Wire, wire_server
from vismanet_async import ClientCredentials, SessionPool, Settings, StaticToken, VismaNet
from vismanet_async._cli.doctor import diagnose
from vismanet_async._cli.doctor_drift import run_drift
from vismanet_async._http.network import Network
from vismanet_async.errors import NotSent, RequestRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.clock import VirtualClock

TOKEN = "m4rk3r-t0k3n"
PASSWORD = "m4rk3r-p4ssw0rd"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    return context


@contextmanager
def started_proxy(folder: Path, *arguments: str) -> Iterator[int]:
    """Start proxy.py in a process of its own, and yield its port."""
    told = folder / "port"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"),
                *(
                    "--num-acceptors",
                    "1",
                    "--timeout",
                    "600",
                    "--num-workers",
                    "1",
                    "--port-file",
                    str(told),
                    *arguments,
                ),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + HANG_SECONDS
        while not (told.exists() and told.read_text().strip()):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "the proxy did not start"
            time.sleep(0.05)
        yield int(told.read_text().split()[0])
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def open_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with started_proxy(tmp_path_factory.mktemp("proxy")) as port:
        yield port


@pytest.fixture(scope="module")
def closed_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A proxy that wants a password."""
    with started_proxy(tmp_path_factory.mktemp("closed"), "--basic-auth", f"ola:{PASSWORD}") as port:
        yield port


@define
class Tap:
    """Passes everything on to a proxy, and remembers what was sent to it."""

    port: int
    sent: bytearray = field(factory=bytearray)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def tapped(proxy_port: int) -> AsyncIterator[Tap]:
    tap = Tap(0)
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray | None) -> None:
        while data := await reader.read(65536):
            if record is not None:
                record += data
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tap.connections += 1
        onwards, back = await asyncio.open_connection("127.0.0.1", proxy_port)
        both = copy(reader, back, tap.sent), copy(onwards, writer, None)
        try:
            await asyncio.gather(*both, return_exceptions=True)
        finally:
            for each in (back, writer):
                each.close()
                with suppress(OSError):  # reset by the other side
                    await each.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def client(wire: Wire, *, credentials: Any = None, **options: Any) -> VismaNet:
    return VismaNet(
        credentials or StaticToken(TOKEN, tenant_id="company"),
        base_url=wire.url,
        sales_order_url=wire.url,
        token_url=f"{wire.url}/connect/token",
        **options,
    )


async def test_a_proxy_sees_hosts_and_nothing_else(open_proxy: int, authority: trustme.CA, ca_file: str) -> None:
    signing_in = ClientCredentials("client", PASSWORD, tenant_id="company")
    async with wire_server(server_context(authority)) as wire, tapped(open_proxy) as tap:
        for credentials in (signing_in, StaticToken(TOKEN, tenant_id="company")):
            async with client(wire, credentials=credentials, proxy=tap.url, ssl=ca_file) as visma:
                assert await visma.request("GET", "/v1/branch") == {}
    assert len(wire.asked) == 1  # the sign-in went the same way
    assert [seen.one("Authorization") for seen in wire.seen] == ["Bearer token-1", f"Bearer {TOKEN}"]
    assert tap.connections == 2
    assert tap.sent.count(f"CONNECT 127.0.0.1:{wire.port} HTTP/1.1".encode()) == 2
    for secret in (TOKEN, PASSWORD, "token-1", "Authorization", "/v1/branch"):
        assert secret.encode() not in tap.sent
    assert all("Proxy-Authorization" not in dict(seen.headers) for seen in wire.seen)


async def test_a_proxys_password_goes_to_the_proxy_alone(
    closed_proxy: int, authority: trustme.CA, ca_file: str
) -> None:
    async with wire_server(server_context(authority)) as wire, tapped(closed_proxy) as tap:
        proxy = f"http://ola:{PASSWORD}@127.0.0.1:{tap.port}"
        async with client(wire, proxy=proxy, ssl=ca_file) as visma:
            assert await visma.request("POST", "/v1/branch", json={}) == {}
            assert PASSWORD not in repr(visma) + repr(visma._pool.network)
    assert b"Proxy-Authorization: Basic " in tap.sent
    assert "Proxy-Authorization" not in dict(wire.seen[0].headers)


async def test_a_refusal_of_the_proxy_is_told_once_and_without_its_password(
    closed_proxy: int, authority: trustme.CA, ca_file: str
) -> None:
    async with wire_server(server_context(authority)) as wire, tapped(closed_proxy) as tap:
        proxy = f"http://ola:wrong-{PASSWORD}@127.0.0.1:{tap.port}"
        async with client(wire, proxy=proxy, ssl=ca_file) as visma:
            with pytest.raises(NotSent) as caught:
                await visma.request("POST", "/v1/branch", json={})
    assert f"the proxy {tap.url} opened no connection (407 Proxy Authentication Required)" in str(caught.value)
    assert "The request was not sent" in str(caught.value)
    assert PASSWORD not in repr(caught.value) + repr(caught.value.__cause__)
    assert len(caught.value.attempts) == tap.connections == 1
    assert wire.seen == []


async def test_a_proxy_that_is_away_is_named(authority: trustme.CA, ca_file: str, clock: VirtualClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with (
            wire_server(server_context(authority)) as wire,
            client(wire, proxy=proxy, ssl=ca_file, clock=clock) as visma,
        ):
            with pytest.raises(NotSent, match=f"the proxy {proxy}") as caught:
                await visma.request("POST", "/v1/branch", json={})
    assert len(caught.value.attempts) == 4
    assert wire.connections == 0


async def test_a_proxy_may_be_reached_over_tls(tmp_path: Path, authority: trustme.CA, ca_file: str) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = "--key-file", str(tmp_path / "key.pem"), "--cert-file", str(tmp_path / "cert.pem")
    async with AsyncExitStack() as stack:
        port = stack.enter_context(started_proxy(tmp_path, *files))
        wire = await stack.enter_async_context(wire_server(server_context(authority)))
        visma = await stack.enter_async_context(client(wire, proxy=f"https://127.0.0.1:{port}", ssl=ca_file))
        assert await visma.request("GET", "/v1/branch") == {}
    assert wire.seen[0].one("Authorization") == f"Bearer {TOKEN}"


async def test_plain_http_to_loopback_never_goes_through_a_proxy(open_proxy: int) -> None:
    async with wire_server() as wire, tapped(open_proxy) as tap, client(wire, proxy=tap.url) as visma:
        assert await visma.request("GET", "/v1/branch") == {}
    assert tap.connections == 0
    assert wire.seen[0].target == "/v1/branch"


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("no_proxy", "connections"),
    [("", 1), ("127.0.0.1", 0), ("*", 0), ("example.com,127.0.0.1:{port}", 0), ("127.0.0.1:1", 1)],
)
async def test_the_environment_counts_where_it_is_asked_for(
    no_proxy: str, connections: int, open_proxy: int, authority: trustme.CA, no_environment: pytest.MonkeyPatch
) -> None:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with wire_server(server_context(authority)) as wire, tapped(open_proxy) as tap:
        no_environment.setenv("https_proxy", tap.url)
        no_environment.setenv("NO_PROXY", no_proxy.format(port=wire.port))
        async with client(wire, trust_env=True, ssl=trusted) as visma:
            assert await visma.request("GET", "/v1/branch") == {}
        assert tap.connections == connections
        async with client(wire, ssl=trusted) as visma:
            assert await visma.request("GET", "/v1/branch") == {}
        assert tap.connections == connections  # not asked for


async def test_settings_name_proxy_and_authority(open_proxy: int, authority: trustme.CA, ca_file: str) -> None:
    async with wire_server(server_context(authority)) as wire, tapped(open_proxy) as tap:
        environ = {"VISMANET_PROXY": tap.url, "VISMANET_CA_FILE": ca_file, "VISMANET_TOKEN": TOKEN}
        settings = Settings.load(environ={**environ, "VISMANET_BASE_URL": wire.url})
        async with VismaNet.from_settings(settings) as visma:
            assert await visma.request("GET", "/v1/branch") == {}
        async with SessionPool(ssl=ca_file) as pool, VismaNet.from_settings(settings, pool=pool) as visma:
            assert await visma.request("GET", "/v1/branch") == {}
    assert tap.connections == 1  # the pool's own settings count


async def test_an_unknown_authority_is_refused(authority: trustme.CA, clock: VirtualClock) -> None:
    async with wire_server(server_context(authority)) as wire, client(wire, clock=clock) as visma:
        with pytest.raises(NotSent, match="its certificate is not trusted"):
            await visma.request("GET", "/v1/branch")
    assert wire.seen == []


async def test_ones_own_context_is_used_as_it_is(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with wire_server(server_context(authority)) as wire, client(wire, ssl=context) as visma:
        assert await visma.request("GET", "/v1/branch") == {}


async def test_ipv6_alone_is_enough(authority: trustme.CA, ca_file: str) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 ({error})")
    for context in (server_context(authority), None):
        async with wire_server(context, address="::1") as wire, client(wire, ssl=ca_file) as visma:
            assert await visma.request("GET", "/v1/branch") == {}
        assert len(wire.seen) == 1


@pytest.mark.parametrize(
    "proxy",
    [
        f"socks5://ola:{PASSWORD}@proxy.example:1080",
        f"ftp://{PASSWORD}@proxy.example",
        "http://",
        "",
        "http://proxy.example:99999",
        f"http://ola:{PASSWORD}@proxy.example:port",
    ],
)
def test_what_is_no_proxy_is_refused_before_anything_is_sent(proxy: str, monkeypatch: Any) -> None:
    with pytest.raises(SettingsError, match="proxy is not the address of a proxy") as caught:
        SessionPool(proxy=proxy)
    assert PASSWORD not in str(caught.value)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(SettingsError, match="HTTPS_PROXY is not the address of a proxy"):
            SessionPool(trust_env=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proxy": 8080}, "proxy takes text"),
        ({"trust_env": 1}, "trust_env takes"),
        ({"ssl": True}, "ssl takes an ssl.SSLContext, or a path to certificates"),
        ({"ssl": "nowhere/ca.pem"}, "the certificates of nowhere/ca.pem cannot be read"),
        ({"ssl": __file__}, "cannot be read"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        SessionPool(**options)


async def test_a_shared_pool_has_settings_of_its_own() -> None:
    async with SessionPool() as pool:
        with pytest.raises(SettingsError, match=r"give them to SessionPool\(\.\.\.\)"):
            VismaNet(StaticToken(TOKEN), pool=pool, proxy="http://proxy.example:8080")


def test_a_proxy_without_a_scheme_is_spoken_to_by_http() -> None:
    network = Network.configured(proxy="proxy.example:8080")
    assert network.proxy_for(URL("https://api.example/v1")) == URL("http://proxy.example:8080")


@pytest.mark.parametrize("lets_through", [True, False])
async def test_the_doctor_goes_the_same_way(
    *,
    lets_through: bool,
    open_proxy: int,
    closed_proxy: int,
    authority: trustme.CA,
    ca_file: str,
    no_environment: pytest.MonkeyPatch,
    clock: VirtualClock,
) -> None:
    async with (
        wire_server(server_context(authority)) as wire,
        tapped(open_proxy if lets_through else closed_proxy) as tap,
    ):
        for name in ("BASE_URL", "SALES_ORDER_URL"):
            no_environment.setenv(f"VISMANET_{name}", wire.url)
        no_environment.setenv("VISMANET_TOKEN", TOKEN)
        no_environment.setenv("VISMANET_CA_FILE", ca_file)
        no_environment.setenv("VISMANET_PROXY", f"http://ola:wrong-{PASSWORD}@127.0.0.1:{tap.port}")
        found = [finding async for finding in diagnose(clock=clock) if finding.check in {"network", "company"}]
    if lets_through:
        assert {finding.text for finding in found if finding.check == "network"} == {
            f"{name}: 127.0.0.1 answers through the proxy {tap.url}." for name in ("base_url", "sales_order_url")
        }
        assert found[-1].check == "company"
    else:
        assert [finding.level for finding in found] == ["error", "warning"]
        assert "407 Proxy Authentication Required" in found[0].text
        assert "VISMANET_PROXY" in found[0].advice
    assert PASSWORD not in str(found)
    assert TOKEN.encode() not in tap.sent


async def test_the_description_to_compare_with_comes_the_same_way(
    open_proxy: int, authority: trustme.CA, ca_file: str, no_environment: pytest.MonkeyPatch
) -> None:
    async with wire_server(server_context(authority)) as wire, tapped(open_proxy) as tap:
        no_environment.setenv("VISMANET_TOKEN", TOKEN)
        no_environment.setenv("VISMANET_CA_FILE", ca_file)
        no_environment.setenv("VISMANET_PROXY", tap.url)
        with pytest.raises(RequestRefused, match="no OpenAPI 3 document"):
            await anyio.to_thread.run_sync(partial(run_drift, f"{wire.url}/openapi.json", as_json=False))
    assert ([each.target for each in wire.seen], tap.connections) == (["/openapi.json"], 1)
    assert "authorization" not in {name.lower() for name, _ in wire.seen[0].headers}
