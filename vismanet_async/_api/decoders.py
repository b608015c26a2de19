"""Decoders by catalog id: for answers whose call was made elsewhere, such as background jobs of another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._api import results
from vismanet_async._api.base import ModelRef
from vismanet_async._api.files import read_file
from vismanet_async._api.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._http.message import Response

__all__ = ["decoder_of"]


def decoder_of(operation_id: str) -> Callable[[Response], Any] | None:
    """Return what the method of that operation decodes its answer with.

    A write by method and path has these for an id (`POST /v1/...`). None for lists, for other ids not in the catalog,
    and for what cannot run in the background.

    Errors: those of the method, such as `ActionFailed` where a success says that the action failed.
    """
    verb, _, path = operation_id.partition(" ")
    if path and verb != "GET":
        return lambda answer: results.plain_written(answer, operation_id)
    for resource in registry()["resources"].values():
        for facts in resource["methods"].values():
            if facts["id"] == operation_id and facts["background"]:
                return _decoder(facts)
    return None


def _decoder(facts: dict[str, Any]) -> Callable[[Response], Any] | None:
    path, name, result = facts["path"], facts["id"], facts.get("result")
    decoder: Callable[[Response], Any] | None = None
    match facts["call"]:
        case "read":
            model = _model(str(result))
            decoder = lambda answer: results.read_record(answer, model())  # noqa: E731 - each case is one expression
        case "act" if result is not None:
            model = _model(result)
            decoder = lambda answer: results.acted(answer, model, name)  # noqa: E731
        case "act":
            model = _model("ActionResult")
            decoder = lambda answer: results.done(answer, model, path, name)  # noqa: E731
        case "create" | "upload":
            decoder = lambda answer: results.created(answer, path, name)  # noqa: E731
        case "update":
            decoder = lambda answer: results.updated(answer, name)  # noqa: E731
        case "delete":
            decoder = lambda answer: results.deleted(answer, name)  # noqa: E731
        case "download":
            decoder = read_file
        case _:  # lists are read by many requests
            pass
    return decoder


def _model(name: str) -> ModelRef:
    return ModelRef(registry()["models"][name]["home"], name)
