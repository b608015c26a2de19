"""Conditional writes to an object store: of two writers, one is refused.

==============  =======================================================================================
S3              `If-Match` with the ETag, `If-None-Match: *` for a new object, in one PutObject
Azure           the same, by the SDK's own conditions
Google Cloud    `ifGenerationMatch` with the generation, 0 for a new object
all others      what is there is compared, then written: another writer can come in between
==============  =======================================================================================

S3 also keeps multipart uploads that were never completed; they are found and aborted here. Azure and Google Cloud drop
them by themselves after a week.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConditionFailed", "Unfinished", "end_upload", "tag_of", "unfinished_uploads", "write_if"]

_S3: Final = frozenset({"s3", "s3a"})
_AZURE: Final = frozenset({"abfs", "abfss", "az"})
_GOOGLE: Final = frozenset({"gs", "gcs"})
_REFUSED: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_PUT_BYTES: Final = 5 * 2**30
"""The most that PutObject takes. All servers honour conditions on it, but few do on multipart uploads."""


class ConditionFailed(Exception):
    """The object has changed since its tag was read; nothing was written."""


@attrs.frozen
class Unfinished:
    """A multipart upload that was not completed: nobody can read it, and it is billed."""

    path: str
    id: str


def tag_of(store: Any, path: str) -> str:
    """Return the version tag of an object; raises `FileNotFoundError` if there is no object.

    Read the tag before the content: if another writer comes in between, the tag is the older one, and a write with it
    is refused.
    """
    store.invalidate_cache()
    field = _tag_field(store)
    if field is None:
        return hashlib.sha256(store.cat_file(path)).hexdigest()
    return str(store.info(path)[field])


def write_if(store: Any, path: str, content: bytes, tag: str | None) -> None:
    """Write an object if it still has this tag, or does not exist (None).

    Raises:
        ConditionFailed: it has another tag, exists, or is gone.
    """
    kinds = _kinds(store)
    if tag is None and _tag_field(store) is None and store.exists(path):
        raise ConditionFailed(path)  # some stores take `mode="create"` and overwrite all the same
    try:
        if tag is None:
            more = {"chunksize": _PUT_BYTES} if kinds & _S3 else {}
            store.pipe_file(path, content, mode="create", **more)
        elif kinds & _S3:
            store.pipe_file(path, content, chunksize=_PUT_BYTES, IfMatch=tag)
        elif kinds & _AZURE:
            from azure.core import MatchConditions  # noqa: PLC0415 - comes with adlfs

            store.pipe_file(path, content, etag=tag, match_condition=MatchConditions.IfNotModified)
        elif kinds & _GOOGLE:
            _write_generation(store, path, content, tag)
        else:
            _compare(store, path, tag)
            store.pipe_file(path, content)
    except (FileExistsError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and tag is None:
            raise  # no bucket
        raise ConditionFailed(path) from error
    except Exception as error:  # each store has errors of its own, which share no base but this one
        if _says_refused(error):
            raise ConditionFailed(path) from error
        raise


def unfinished_uploads(store: Any, folder: str) -> Iterator[Unfinished]:
    """Yield the multipart uploads below a folder that were not completed; only S3 has them."""
    if not _kinds(store) & _S3:
        return
    bucket, prefix, _ = store.split_path(folder)
    marker: dict[str, str] = {}
    while True:
        answer = store.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "", **marker)
        for upload in answer.get("Uploads", ()):
            yield Unfinished(f"{bucket}/{upload['Key']}", upload["UploadId"])
        if not answer.get("IsTruncated"):
            return
        marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def end_upload(store: Any, upload: Unfinished) -> None:
    """Abort an unfinished upload; its pieces are removed."""
    bucket, key, _ = store.split_path(upload.path)
    try:
        store.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)
    except FileNotFoundError:
        return  # aborted meanwhile


def _kinds(store: Any) -> frozenset[str]:
    protocol = store.protocol
    return frozenset({protocol} if isinstance(protocol, str) else protocol)


def _tag_field(store: Any) -> str | None:
    kinds = _kinds(store)
    if kinds & _S3:
        return "ETag"
    if kinds & _AZURE:
        return "etag"
    return "generation" if kinds & _GOOGLE else None


def _write_generation(store: Any, path: str, content: bytes, generation: str) -> None:
    """Write as gcsfs does, which has a parameter for generation 0 alone."""
    bucket, key, _ = store.split_path(path)
    # the name and the content in one request of two parts (cloud.google.com/storage/docs/uploading-objects)
    boundary = uuid4().hex
    head = "Content-Type: application/json\r\n\r\n"
    name = msgspec.json.encode({"name": key}).decode()
    before = f"--{boundary}\r\n{head}{name}\r\n--{boundary}\r\n{head}"
    body = before.encode() + content + f"\r\n--{boundary}--".encode()
    store.call(
        "POST",
        f"{store.base.replace('/storage/v1/', '/upload/storage/v1/')}b/{quote(bucket, safe='')}/o",
        uploadType="multipart",
        ifGenerationMatch=generation,
        headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
        data=body,
        json_out=True,
    )
    store.invalidate_cache()


def _compare(store: Any, path: str, tag: str) -> None:
    if tag_of(store, path) != tag:
        raise ConditionFailed(path)


def _says_refused(error: Exception) -> bool:
    if getattr(error, "status_code", None) == HTTPStatus.PRECONDITION_FAILED:  # Azure
        return True
    answer = getattr(error.__cause__, "response", None) or getattr(error, "response", None)  # S3, by botocore
    return isinstance(answer, dict) and answer.get("Error", {}).get("Code") in _REFUSED
