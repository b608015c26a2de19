"""dlt's REST source to files on this disk, with telemetry, progress and compression off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.job import Outcome

if TYPE_CHECKING:
    from benchmarks.job import Task


def to_jsonl(task: Task) -> Outcome:
    """Run it as it comes: nested lists become tables of their own."""
    rows = _run(task, "jsonl", resource={})
    return Outcome(rows=rows, jsonl=sorted((task.out / "files" / "benchmark" / task.job.resource).glob("*.jsonl")))


def to_jsonl_unnested(task: Task) -> Outcome:
    """Run it with nested values kept in their column, which is faster."""
    rows = _run(task, "jsonl", resource={"max_table_nesting": 0})
    return Outcome(rows=rows, jsonl=sorted((task.out / "files" / "benchmark" / task.job.resource).glob("*.jsonl")))


def to_parquet(task: Task) -> Outcome:
    """Run it as it comes, to Parquet."""
    return Outcome(rows=_run(task, "parquet", resource={}))


def _run(task: Task, file_format: Literal["jsonl", "parquet"], *, resource: dict[str, Any]) -> int:
    name = task.job.resource
    resources: list[Any] = [
        {
            "name": name,
            "endpoint": {
                "path": f"v1/{name}",
                "params": {"pageSize": task.job.page_rows},
                "data_selector": "$",
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "page_param": "pageNumber",
                    "total_path": None,  # the count stands in each record, where the source cannot look
                },
            },
            **resource,
        }
    ]
    source = rest_api_source({"client": {"base_url": task.base_url + "/"}, "resources": resources})
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=str(task.out / "state"),
        destination=dlt.destinations.filesystem(bucket_url=(task.out / "files").as_uri()),
        dataset_name="benchmark",
    )
    pipeline.run(source, loader_file_format=file_format)
    trace = pipeline.last_trace
    if trace is None or trace.last_normalize_info is None:
        raise ValueError("dlt tells nothing about its run")
    return int(trace.last_normalize_info.row_counts[name])
