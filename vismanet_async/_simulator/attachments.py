"""Files: uploads as multipart forms, downloads in the forms that were seen, prints and blobs."""

from __future__ import annotations

import base64
import hashlib
import re
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from vismanet_async._simulator.bodies import BodyError, parse_object
from vismanet_async._simulator.files import StoredFile, pdf
from vismanet_async._simulator.json_text import encode
from vismanet_async._simulator.messages import Reply, json_reply, refuse
from vismanet_async._simulator.paths import check_version, needed_row, needed_table, not_found
from vismanet_async._simulator.writes import merger, save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._simulator.company import Call, Company

__all__ = ["answer_attachment", "answer_blob", "answer_print", "read_part"]


def read_part(headers: Mapping[str, str], body: bytes) -> tuple[str, bytes]:
    """Return name and content of the one file in a multipart form, whatever the field is called.

    Raises:
        BodyError: It is no such form, or the file has no name with an ending.
    """
    content_type = headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise BodyError("The request must be multipart/form-data.")
    boundary = _header_parameter(content_type, "boundary")
    if not boundary:
        raise BodyError("The request must be multipart/form-data with a boundary.")
    # by hand: the email package may change line ends inside binary content
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        disposition = re.search(rb"(?im)^content-disposition:\s*(.*)$", head)
        name = (
            _header_parameter(disposition.group(1).decode("utf-8", "replace").strip(), "filename")
            if disposition
            else None
        )
        if not blank or name is None:
            continue
        if "." not in name:
            raise BodyError("The file name must have an extension.")
        return name, content
    raise BodyError("The request holds no file.")


def _header_parameter(value: str, name: str) -> str | None:
    message = Message()
    message["Content-Disposition"] = value
    found = message.get_param(name, header="Content-Disposition")
    if isinstance(found, tuple):  # filename*=UTF-8''...
        return str(found[2]) if found[0] is None else unquote(found[2], encoding=found[0])
    return None if found is None else unquote(found)


def answer_attachment(call: Call) -> Reply:
    """Answer what goes to a path with `/attachment` in it."""
    operation = call.operation
    if operation.collection == "attachment":
        return _get(call) if operation.method == "GET" else _put(call)
    return _delete(call) if operation.method == "DELETE" else _upload(call)


def _upload(call: Call) -> Reply:
    company = call.company
    table = needed_table(call)
    row = needed_row(call, table)
    data = table.row(row)
    check_version(call, data)
    name, content = read_part(call.request.headers, call.request.body)
    holder = data
    if "linenumber" in call.operation.path_params[-1].lower():
        found = _line(data, call.values[-1])
        if found is None:
            return not_found(call)
        holder = found
    stored = company.store_file(name, content)
    listed = [entry for entry in holder.get("attachments") or () if isinstance(entry, dict)]
    holder["attachments"] = [*listed, {"name": stored.name, "id": stored.id, "revision": stored.revision}]
    save(table, row, data, company)
    return Reply(201, headers={"Location": f"{call.request.origin}/v1/attachment/{stored.id}"})


def _line(data: Mapping[str, Any], number: str) -> dict[str, Any] | None:
    for value in data.values():
        for line in value if isinstance(value, list) else ():
            if (
                isinstance(line, dict)
                and str(line.get("lineNumber") or line.get("lineNbr") or line.get("detailId")) == number
            ):
                return line
    return None


def _get(call: Call) -> Reply:
    stored = call.company.file(call.values[0])
    return not_found(call) if stored is None else _download(stored, call.company.behaviours.attachment_download)


def _download(stored: StoredFile, form: str) -> Reply:
    plain = stored.name.encode("ascii", "replace").decode().replace('"', "_")
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(stored.name)}"
    headers = {"Content-Disposition": disposition}
    if form == "base64":
        return Reply(200, base64.b64encode(stored.data), "text/plain; charset=utf-8", headers)
    if form == "json":
        return Reply(200, encode(base64.b64encode(stored.data).decode()), "application/json; charset=utf-8", headers)
    return Reply(200, stored.data, stored.content_type, headers)


def _put(call: Call) -> Reply:
    stored = call.company.file(call.values[0])
    if stored is None:
        return not_found(call)
    plain = merger(call.company).plain(parse_object(call.request.body), call.operation.request_dto or "")
    if not plain:
        raise BodyError("Error: nothing to update.")
    stored.send_to_auto_invoice = next(iter(plain.values())) is True
    return Reply(204)


def _delete(call: Call) -> Reply:
    table = needed_table(call)
    row = needed_row(call, table)
    data = table.row(row)
    wanted = call.values[-1].casefold()
    holders = [
        data,
        *(line for value in data.values() if isinstance(value, list) for line in value if isinstance(line, dict)),
    ]
    for holder in holders:
        listed = holder.get("attachments")
        if isinstance(listed, list) and any(str(entry.get("id")).casefold() == wanted for entry in listed):
            holder["attachments"] = [entry for entry in listed if str(entry.get("id")).casefold() != wanted]
            save(table, row, data, call.company)
            return Reply(200)
    return not_found(call)


def answer_print(call: Call) -> Reply:
    """Answer a print: a small PDF that names its document."""
    table = needed_table(call)
    row = needed_row(call, table)
    name = f"{call.operation.collection}-{'-'.join(table.key_of(row))}.pdf"
    return _download(StoredFile("", name, pdf(name)), "bytes")


def answer_blob(call: Call) -> Reply:
    """Answer the blob operations."""
    company: Company = call.company
    blob_id = call.first("blobId") if call.operation.path.endswith("presignedurl") else call.values[0]
    stored = company.file(blob_id)
    if stored is None:
        return not_found(call) if call.values else refuse(404, "The blob cannot be found.")
    if call.operation.id == "Blob_GetByblobId":
        return _download(stored, "bytes")
    checksum = hashlib.md5(stored.data, usedforsecurity=False).digest()
    metadata = {
        "blobId": stored.id, "blobName": stored.name, "contentType": stored.content_type,
        "mD5Hash": base64.b64encode(checksum).decode(),
        "fileChecksum": hashlib.sha256(stored.data).hexdigest(),
        "size": len(stored.data), "countryCode": "NO",
        "createdDateTimeUtc": f"{company.world.now_text()[:19]}Z",
    }  # fmt: skip
    if call.operation.id == "Blob_GetMetadataByblobId":
        return json_reply(metadata)
    url = f"{call.request.origin}/v1/blob/download/{stored.id}"
    wants_metadata = call.first("includeMetadata").lower() == "true"
    return json_reply({"preSignedUrl": url} | ({"metadata": metadata} if wants_metadata else {}))
