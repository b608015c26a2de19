"""A Singer tap made with singer-sdk, its messages going to a file as they would go to a target."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import RESTStream, Tap, typing as th
from singer_sdk.pagination import BasePageNumberPaginator

from benchmarks.job import Outcome

if TYPE_CHECKING:
    import requests

    from benchmarks.job import Task


class _Pages(BasePageNumberPaginator):
    def has_more(self, response: requests.Response) -> bool:
        return bool(response.json())


class _Stream(RESTStream[int]):
    name = "customer"
    path = "/v1/customer"
    primary_keys: ClassVar[list[str]] = ["number"]
    # only the key is described: describing 96 values makes the tap slower, and nothing is dropped without it
    schema = th.PropertiesList(th.Property("number", th.StringType), additional_properties=True).to_dict()

    @property
    def url_base(self) -> str:
        return str(self.config["base_url"])

    def get_new_paginator(self) -> _Pages:
        return _Pages(1)

    def get_url_params(self, _: Any, next_page_token: int | None) -> dict[str, Any]:
        return {"pageNumber": next_page_token or 1, "pageSize": self.config["page_rows"]}


class _Tap(Tap):
    name = "tap-benchmark"
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", th.StringType), th.Property("page_rows", th.IntegerType)
    ).to_dict()

    def discover_streams(self) -> list[Any]:
        return [_Stream(self)]


def to_messages(task: Task) -> Outcome:
    """Sync the one stream."""
    logging.disable(logging.INFO)
    path = task.out / "messages.singer"
    with path.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        tap = _Tap(config={"base_url": task.base_url, "page_rows": task.job.page_rows})
        tap.sync_all()
    with path.open("rb") as messages:
        rows = sum(b'"type":"RECORD"' in line for line in messages)
    return Outcome(rows=rows)
