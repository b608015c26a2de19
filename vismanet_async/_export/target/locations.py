"""Locations of exports: a local directory, or a folder in an object store that fsspec can reach.

==========================================  ==========================================================
`out`, `/data/out`, `file:///data/out`      a local directory
`s3://bucket/folder`                        S3 and compatible stores (extra `s3`)
`abfs://container@account.dfs.../folder`    Azure Blob Storage and Data Lake (extra `azure`)
`gs://bucket/folder`                        Google Cloud Storage (extra `gcs`)
`memory://folder`                           this process's memory, for tests (extra `s3`, `azure` or `gcs`)
==========================================  ==========================================================

Credentials come from where each store's own tools look for them (environment, profile files, the machine's identity),
or as `storage_options` from Python. They are never part of the URL.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit

import attrs

from vismanet_async._arguments import expect, is_url
from vismanet_async._export.target.conditional import (
    ConditionFailed,
    Unfinished,
    end_upload,
    tag_of,
    unfinished_uploads,
    write_if,
)
from vismanet_async._extras import extra
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PATTERN", "Location", "RemotePath", "join", "parse_location", "size_of"]

"""Two letters at least: C:/ is a drive. A `Path` has one slash left."""
PATTERN: Final = re.compile(r"[*?\[]")
"""What makes a pattern of a path where patterns are taken; a folder's name may hold it as well."""
_EXTRAS: Final = {
    "s3": ("s3", "s3fs"),
    "s3a": ("s3", "s3fs"),
    "abfs": ("azure", "adlfs"),
    "abfss": ("azure", "adlfs"),
    "az": ("azure", "adlfs"),
    "gs": ("gcs", "gcsfs"),
    "gcs": ("gcs", "gcsfs"),
}


@attrs.frozen
class RemotePath:
    """A file or folder in an object store, with the part of `pathlib.Path` that exports need. All methods block.

    Raises (from every method): `FileNotFoundError` when reading, `ConditionFailed` from `replace`, and
    `TargetNotWritable` for every other error of the store.
    """

    url: str
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    """What fsspec's filesystem takes; may hold secrets."""

    def __truediv__(self, name: str) -> RemotePath:
        return attrs.evolve(self, url=f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.url.rstrip("/").rpartition("/")[2]

    def with_name(self, name: str) -> RemotePath:
        """Return the path beside this one that has another name."""
        return attrs.evolve(self, url=f"{self.url.rstrip('/').rpartition('/')[0]}/{name}")

    def require(self) -> None:
        """Make sure that the store's package is installed, and that the URL is valid.

        Raises:
            RequestRefused: a package is missing; the error says what to type.
        """
        scheme = urlsplit(self.url).scheme.lower()
        name, package = _EXTRAS.get(scheme, ("s3", "fsspec"))
        extra("fsspec", name)
        extra(package, name)
        with self._translate_errors("reached"):
            self._store()

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the file, opened to be read a few megabytes at a time."""
        with self._translate_errors("read"):
            store, path = self._store()
            return cast("BinaryIO", store.open(path, mode))

    def read_bytes(self) -> bytes:
        """Return the whole content."""
        with self._translate_errors("read"):
            store, path = self._store()
            return cast("bytes", store.cat_file(path))

    def size(self) -> int | None:
        """Return the size in bytes; None if there is no such file."""
        with self._translate_errors("read"):
            store, path = self._store()
            store.invalidate_cache()
            try:
                return int(store.info(path)["size"])
            except FileNotFoundError:
                return None

    def write_bytes(self, content: bytes) -> None:
        """Write the content in one piece; until it is complete, the old content stands."""
        with self._translate_errors("written"):
            store, path = self._store()
            store.pipe_file(path, content)

    def read_tagged(self) -> tuple[bytes, str]:
        """Return the whole content and the tag for `replace` (`vismanet_async._export.target.conditional`)."""
        with self._translate_errors("read"):
            store, path = self._store()
            tag = tag_of(store, path)
            return cast("bytes", store.cat_file(path)), tag

    def replace(self, content: bytes, *, tag: str | None) -> None:
        """Write the content in one piece if the object still has this tag, or does not exist (None).

        Raises:
            ConditionFailed: another writer was first; nothing was written.
        """
        with self._translate_errors("written"):
            store, path = self._store()
            write_if(store, path, content, tag)

    def files(self) -> list[str]:
        """Return the names of the files in this folder; none if it does not exist."""
        with self._translate_errors("listed"):
            store, path = self._store()
            store.invalidate_cache()
            try:
                found = store.ls(path, detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)

    def unfinished(self) -> dict[str, Unfinished]:
        """Return the unfinished multipart uploads below this folder, by their names below it."""
        with self._translate_errors("listed"):
            store, path = self._store()
            root = f"{path.rstrip('/')}/"
            return {one.path.removeprefix(root): one for one in unfinished_uploads(store, path)}

    def end(self, upload: Unfinished) -> None:
        """Abort an unfinished upload."""
        with self._translate_errors("ended"):
            store, _ = self._store()
            end_upload(store, upload)

    def upload(self, file: Path) -> None:
        """Upload a local file."""
        with self._translate_errors("written"):
            store, path = self._store()
            store.put_file(str(file), path)

    def download(self, file: Path) -> None:
        """Write the content to a local file."""
        with self._translate_errors("read"):
            store, path = self._store()
            store.get_file(path, str(file))

    def remove_folder(self) -> None:
        """Remove all objects below this folder, if there are any."""
        with self._translate_errors("removed"), contextlib.suppress(FileNotFoundError):
            store, path = self._store()
            store.invalidate_cache()
            if not PATTERN.search(path):
                store.rm(path, recursive=True)
                return
            # `rm` would take the path for a pattern, and remove what matches it
            below = f"{path.rstrip('/')}/"
            for file in store.find(path):
                if file.startswith(below):
                    store.rm_file(file)

    def remove(self) -> None:
        """Remove the object, if it exists."""
        with self._translate_errors("removed"), contextlib.suppress(FileNotFoundError):
            store, path = self._store()
            store.rm_file(path)

    def _store(self) -> tuple[Any, str]:
        return cast("tuple[Any, str]", extra("fsspec.core", "s3").url_to_fs(self.url, **self.options))

    @contextlib.contextmanager
    def _translate_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except ConditionFailed:
            raise
        except Exception as error:  # the errors of stores share no other base class
            if what == "read" and isinstance(error, FileNotFoundError):
                raise
            raise TargetNotWritable(
                f"{self.url} cannot be {what}: {type(error).__name__}: {error}. Check the address, and that the "
                "credentials which the store's own tools use are there and allow it."
            ) from error


Location = Path | RemotePath
"""Both kinds have `/`, `open`, `read_bytes` and `name`."""


def size_of(location: Location) -> int | None:
    """Return the size of a file in bytes; None if there is none. Blocks."""
    if isinstance(location, RemotePath):
        return location.size()
    return location.stat().st_size if location.is_file() else None


def parse_location(given: str | os.PathLike[str] | RemotePath, options: Mapping[str, Any] | None = None) -> Location:
    """Return the location that a path or URL names; nothing is opened.

    Raises:
        TargetNotWritable: it is empty or no URL, or holds a password.
    """
    if isinstance(given, RemotePath):
        return given
    expect("to", given, str, os.PathLike, words="a path, or a URL as text")
    text = os.fspath(given)
    expect("to", text, str, os.PathLike, words="a path of text")
    if not text:
        raise TargetNotWritable("the target directory has no name; nothing was sent. Give a path.")
    if "\0" in text:
        raise TargetNotWritable("the target holds a NUL character, which no path can; nothing was sent.")
    if not is_url(text):
        return _local(text)
    if "://" not in text:
        raise TargetNotWritable(
            f"{text} is a URL with one slash, as from a Path; nothing was sent. Give it as text, with ://."
        )
    try:
        parts = urlsplit(text)
        secret = parts.password is not None
    except ValueError as error:
        raise TargetNotWritable(f"{text} is no URL: {error}; nothing was sent.") from error
    if secret or parts.query or parts.fragment:
        raise TargetNotWritable(
            f"the target URL at {parts.hostname} holds a password, a query or a fragment; nothing was sent. Give "
            "credentials by the environment, and a plain address."
        )
    if parts.scheme.lower() in {"file", "local"}:
        return _local(unquote(parts.path))
    return RemotePath(text.rstrip("/"), dict(options or {}))


def _local(text: str) -> Path:
    try:
        return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - resolve() would follow links
    except (OSError, RuntimeError) as error:  # the working directory was removed; `~name` of nobody
        raise TargetNotWritable(f"{text} leads nowhere from here ({error}); nothing was sent.") from error


def join(to: str | os.PathLike[str], name: str) -> str:
    """Return the folder `name` below a target; a URL keeps its form."""
    expect("to", to, str, os.PathLike, words="a path, or a URL as text")
    text = os.fspath(to)
    expect("to", text, str, os.PathLike, words="a path of text")
    return f"{text.rstrip('/')}/{name}" if is_url(text) else os.path.join(text, name)  # noqa: PTH118 - of texts
