"""Twins of object stores, in memory: what an export calls of them answers and fails as with the real ones.

A request to an emulator takes tens of milliseconds, and a publishing with two failures some hundred requests: all pairs
would take hours. So pairs are tried on twins, and each failure alone, with a sample of pairs, on the emulators too. The
calls that both saw are compared, one by one, with their outcomes (`test_store_faults`).
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import fsspec
from fsspec.spec import AbstractFileSystem

__all__ = ["TWINS", "normal"]

_NAME: Final = re.compile(rb'"name":"([^"]+)"')
_RUN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_ROOT: Final = re.compile(r"(?:twin-\w+://)?books-[0-9a-f]{8}/(?:old|counted|\d+)(?: twin)?")
_WRITERS: Final = frozenset({"pipe_file", "put_file", "rm_file", "call", "mkdir"})


class _Twin(AbstractFileSystem):  # type: ignore[misc] # fsspec is not typed
    """Objects in a dictionary, and their versions."""

    tag_field: ClassVar[str]
    removing_nothing_fails: ClassVar[bool] = True
    objects: ClassVar[dict[str, tuple[bytes, str]]]
    versions: ClassVar[int] = 0

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        pass

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in self.objects:
            content, tag = self.objects[path]
            return {"name": path, "size": len(content), "type": "file", self.tag_field: tag}
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path][0][start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        path = self._strip_protocol(path)
        expected = more.get("IfMatch", more.get("etag"))
        if mode == "create" and path in self.objects:
            raise FileExistsError(path)
        if expected is not None:
            self._compare(path, expected)
        self._put(path, value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self._put(self._strip_protocol(rpath), Path(lpath).read_bytes())

    def rm_file(self, path: str) -> None:
        path = self._strip_protocol(path)
        if self.objects.pop(path, None) is None and self.removing_nothing_fails:
            raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        root = f"{self._strip_protocol(path)}/"
        names = sorted({root + name.removeprefix(root).split("/")[0] for name in self.objects if name.startswith(root)})
        if not names:
            raise FileNotFoundError(path)
        return [self.info(name) for name in names] if detail else names

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO:
        return io.BytesIO(self.cat_file(path))

    def _put(self, path: str, content: bytes) -> None:
        type(self).versions += 1
        self.objects[path] = (content, str(self.versions))

    def _compare(self, path: str, expected: str) -> None:
        if path not in self.objects or self.objects[path][1] != expected:
            raise FileExistsError(path)

    def split_path(self, path: str) -> tuple[str, str, None]:
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key, None


class _S3(_Twin):
    protocol = ("s3", "twin-s3")
    tag_field = "ETag"
    removing_nothing_fails = False
    objects: ClassVar[dict[str, tuple[bytes, str]]] = {}

    def call_s3(self, method: str, **_: Any) -> dict[str, Any]:
        assert method == "list_multipart_uploads", method
        return {}


class _Azure(_Twin):
    protocol = ("abfs", "twin-azure")
    tag_field = "etag"
    objects: ClassVar[dict[str, tuple[bytes, str]]] = {}


class _Google(_Twin):
    protocol = ("gs", "twin-google")
    tag_field = "generation"
    objects: ClassVar[dict[str, tuple[bytes, str]]] = {}
    base = "http://twin/storage/v1/"

    def call(self, method: str, url: str, *, data: bytes, headers: dict[str, str], **more: Any) -> None:
        assert method == "POST", method
        bucket = unquote(url.split("/b/")[1].split("/", maxsplit=1)[0])
        found = _NAME.search(data)
        assert found is not None
        boundary = headers["Content-Type"].split('"')[1].encode()
        content = data.split(b"\r\n--" + boundary)[1].split(b"\r\n\r\n", 1)[1]
        path = f"{bucket}/{found[1].decode()}"
        self._compare(path, more["ifGenerationMatch"])
        self._put(path, content)


TWINS: Final = {"s3": "twin-s3", "azure": "twin-azure", "google": "twin-google"}
"""The URL scheme of each store's twin."""
for _scheme, _class in (("twin-s3", _S3), ("twin-azure", _Azure), ("twin-google", _Google)):
    fsspec.register_implementation(_scheme, _class, clobber=True)


def normal(name: str, args: tuple[Any, ...], more: dict[str, Any], outcome: Any) -> str:
    """Describe a call and its outcome without what differs from run to run: buckets, run ids, tags, times."""
    texts = [_text(arg) for arg in args]
    if name in {"call", "call_s3"}:
        texts = [str(args[0]), *(f"{key}={_text(more[key])}" for key in ("Prefix",) if key in more)]
    options = sorted(set(more) - {"Bucket", "Prefix"})
    return f"{name}({', '.join([*texts, *options])}) -> {_outcome(name, texts, outcome)}"


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return "bytes"
    return _RUN.sub("RUN", _ROOT.sub("ROOT", Path(value).name if str(value).startswith("/") else str(value)))


def _outcome(name: str, texts: list[str], outcome: Any) -> str:
    shown = "something" if outcome else "nothing"
    if isinstance(outcome, BaseException):
        shown = type(outcome).__name__
    elif name in _WRITERS:
        shown = "done"
    elif name == "call_s3":
        shown = f"{len(outcome.get('Uploads', ()))} uploads"
    elif texts and texts[0].endswith(".lease"):
        shown = "a lease"  # holds the time, and the process
    elif isinstance(outcome, bytes):
        shown = f"{len(outcome)} bytes"
    elif isinstance(outcome, dict):
        shown = f"size {outcome['size']}"
    elif isinstance(outcome, list):
        shown = str(sorted(_text(one) for one in outcome))
    return shown
