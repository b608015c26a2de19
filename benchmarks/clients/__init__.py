"""Who is measured: the SDK, real peers, and the best that was written by hand.

Each client is a function that takes a `Task` and gives an `Outcome`; its module is imported outside the clock. A peer
is used as its own documentation advises, in its fastest fitting configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Client:
    """How a client is called in tables, where it is, and the packages whose versions belong to its figures."""

    label: str
    entry: str
    packages: tuple[str, ...] = ()


_HERE = "benchmarks.clients"

CLIENTS: dict[str, Client] = {
    # the bound, and the best by hand
    "bytes": Client(label="aiohttp, bytes only", entry=f"{_HERE}.aiohttp_bytes:read", packages=("aiohttp",)),
    "hand-jsonl": Client(
        label="by hand: JSONL along the seams", entry=f"{_HERE}.hand_jsonl:by_seams", packages=("aiohttp", "msgspec")
    ),
    "hand-jsonl-checked": Client(
        label="by hand: the same, keys checked, hashed",
        entry=f"{_HERE}.hand_jsonl:by_seams_checked",
        packages=("aiohttp", "msgspec"),
    ),
    "hand-jsonl-raw": Client(
        label="by hand: JSONL by list[Raw]", entry=f"{_HERE}.hand_jsonl:by_raw", packages=("aiohttp", "msgspec")
    ),
    "hand-typed": Client(
        label="by hand: msgspec attrs in slices, collector paused",
        entry=f"{_HERE}.typed:by_slices",
        packages=("aiohttp", "msgspec", "attrs"),
    ),
    "hand-parquet": Client(
        label="by hand: list[Raw] to pyarrow.json",
        entry=f"{_HERE}.hand_parquet:to_parquet",
        packages=("aiohttp", "msgspec", "pyarrow"),
    ),
    # the SDK
    "sdk-jsonl": Client(label="vismanet_async export to JSONL", entry=f"{_HERE}.sdk:to_jsonl"),
    "sdk-proven": Client(label="vismanet_async export to JSONL, proven", entry=f"{_HERE}.sdk:to_jsonl_proven"),
    "sdk-typed": Client(label="vismanet_async typed stream", entry=f"{_HERE}.sdk:typed_stream"),
    "sdk-all": Client(label="vismanet_async, `all()`", entry=f"{_HERE}.sdk:all_records"),
    "sdk-arrow": Client(
        label="vismanet_async, `to_arrow()`", entry=f"{_HERE}.sdk_frames:to_arrow", packages=("pyarrow",)
    ),
    "sdk-polars": Client(
        label="vismanet_async, `to_polars()`", entry=f"{_HERE}.sdk_frames:to_polars", packages=("pyarrow", "polars")
    ),
    "sdk-parquet": Client(label="vismanet_async export to Parquet", entry=f"{_HERE}.sdk_formats:to_parquet"),
    "sdk-parquet-resumable": Client(
        label="the same, of a known company: can be resumed", entry=f"{_HERE}.sdk_formats:to_parquet_resumable"
    ),
    "sdk-gzip": Client(label="vismanet_async export to gzipped JSONL", entry=f"{_HERE}.sdk_formats:to_gzip"),
    "sdk-zstd": Client(label="vismanet_async export to JSONL in zstd", entry=f"{_HERE}.sdk_formats:to_zstd"),
    "sdk-csv": Client(label="vismanet_async export to CSV", entry=f"{_HERE}.sdk_formats:to_csv"),
    "sdk-auto": Client(label="vismanet_async export, `auto` in flight", entry=f"{_HERE}.sdk:to_jsonl_auto"),
    # one record a request
    "get-bytes": Client(label="aiohttp, bytes only", entry=f"{_HERE}.overhead:bytes_only", packages=("aiohttp",)),
    "hand-get": Client(
        label="by hand: aiohttp and msgspec", entry=f"{_HERE}.overhead:by_hand", packages=("aiohttp", "msgspec")
    ),
    "bare-get": Client(
        label="aiohttp, the same headers, `json()`", entry=f"{_HERE}.overhead:bare_get", packages=("aiohttp",)
    ),
    "bare-put": Client(
        label="aiohttp, a PUT with the same headers", entry=f"{_HERE}.overhead:bare_put", packages=("aiohttp",)
    ),
    "sdk-put": Client(label="vismanet_async, `customer.update`", entry=f"{_HERE}.overhead:sdk_put"),
    "bare-gathered": Client(
        label="aiohttp, gathered under a semaphore", entry=f"{_HERE}.overhead:bare_gathered", packages=("aiohttp",)
    ),
    "sdk-gathered": Client(label="vismanet_async, gathered", entry=f"{_HERE}.overhead:sdk_gathered"),
    "sdk-get": Client(label="vismanet_async, `customer.get`", entry=f"{_HERE}.overhead:sdk"),
    # rows written
    "posts": Client(label="aiohttp, bare POSTs", entry=f"{_HERE}.bulk:posts", packages=("aiohttp",)),
    "sdk-bulk": Client(label="vismanet_async, `bulk.run` with its journal", entry=f"{_HERE}.bulk:sdk"),
    # background jobs, in virtual time
    "sdk-polls-short": Client(label="vismanet_async: median 8 s", entry=f"{_HERE}.polls:short_jobs"),
    "sdk-polls-long": Client(label="vismanet_async: 2 minutes and more", entry=f"{_HERE}.polls:long_jobs"),
    "sdk-polls-quota": Client(label="vismanet_async: in an hour, under a quota", entry=f"{_HERE}.polls:under_a_quota"),
    "sdk-polls-webhooks": Client(label="vismanet_async: the same, with webhooks", entry=f"{_HERE}.polls:with_webhooks"),
    "every-12-s": Client(label="each of them every 12 seconds", entry=f"{_HERE}.polls:every_twelve_seconds"),
    "sdk-restart": Client(label="vismanet_async: started again, a quota left", entry=f"{_HERE}.restart:plenty"),
    "sdk-restart-scarce": Client(label="the same, hardly a quota left", entry=f"{_HERE}.restart:scarce"),
    # what people write, and what they install
    "seed": Client(label="requests in a loop", entry=f"{_HERE}.requests_loop:to_jsonl", packages=("requests",)),
    "httpx-gather": Client(
        label="httpx, gather over all pages", entry=f"{_HERE}.httpx_gather:read", packages=("httpx",)
    ),
    "orjson": Client(label="aiohttp + orjson, dicts", entry=f"{_HERE}.typed:dicts", packages=("aiohttp", "orjson")),
    "msgspec-attrs": Client(
        label="aiohttp + msgspec, camelCase attrs",
        entry=f"{_HERE}.typed:msgspec_attrs",
        packages=("aiohttp", "msgspec", "attrs"),
    ),
    "cattrs": Client(
        label="aiohttp + orjson + cattrs",
        entry=f"{_HERE}.typed:orjson_cattrs",
        packages=("aiohttp", "orjson", "cattrs"),
    ),
    "dlt-jsonl": Client(label="dlt REST source, JSONL", entry=f"{_HERE}.dlt_rest:to_jsonl", packages=("dlt",)),
    "dlt-jsonl-flat": Client(
        label="dlt REST source, JSONL, max_table_nesting=0",
        entry=f"{_HERE}.dlt_rest:to_jsonl_unnested",
        packages=("dlt",),
    ),
    "dlt-parquet": Client(
        label="dlt REST source, Parquet", entry=f"{_HERE}.dlt_rest:to_parquet", packages=("dlt", "pyarrow")
    ),
    "singer": Client(
        label="singer-sdk tap to a file", entry=f"{_HERE}.singer_tap:to_messages", packages=("singer-sdk",)
    ),
    # imports, in fresh interpreters
    "import-base": Client(label="import aiohttp, attrs, cattrs, anyio", entry=f"{_HERE}.imports:base"),
    "import-aiohttp": Client(label="import aiohttp", entry=f"{_HERE}.imports:aiohttp"),
    "import-client": Client(label="import vismanet_async._client", entry=f"{_HERE}.imports:client"),
    "first-touch": Client(label="first list and row of a resource", entry=f"{_HERE}.imports:first_touch"),
    "import-sdk": Client(label="import vismanet_async", entry=f"{_HERE}.imports:sdk"),
}
