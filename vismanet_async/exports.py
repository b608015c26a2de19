"""Exports: plans, events, manifests, reports, many companies at once, and what can be done with an export afterwards.

An export is made by `visma.export(...)`. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._export.batch import (
        CompanyDone,
        CompanyEvent,
        CompanyOutcome,
        CompanyProgress,
        CompanyStarted,
        ExportMany,
        ManyEvent,
        ManyOutcome,
    )
    from vismanet_async._export.compact import compact
    from vismanet_async._export.companies import Company, companies_of, read_companies
    from vismanet_async._export.deletions import Deletions
    from vismanet_async._export.diff import Difference, FieldChange, diff
    from vismanet_async._export.events import (
        Event,
        PageWritten,
        Published,
        RequestEnded,
        ResourceDone,
        ResourceIncomplete,
    )
    from vismanet_async._export.formats.csv import CsvOptions
    from vismanet_async._export.formats.parquet import ParquetOptions
    from vismanet_async._export.open_export import open_duckdb, open_polars
    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._export.report import Report
    from vismanet_async._export.run import Export
    from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, Run, Sweep, validate

__all__ = [
    "Company",
    "CompanyDone",
    "CompanyEvent",
    "CompanyOutcome",
    "CompanyProgress",
    "CompanyStarted",
    "CsvOptions",
    "Deletions",
    "Difference",
    "Event",
    "Export",
    "ExportMany",
    "ExportPlan",
    "FieldChange",
    "Manifest",
    "ManyEvent",
    "ManyOutcome",
    "PageWritten",
    "ParquetOptions",
    "Part",
    "Published",
    "Report",
    "RequestEnded",
    "ResourceDone",
    "ResourceEntry",
    "ResourceIncomplete",
    "Run",
    "Sweep",
    "compact",
    "companies_of",
    "diff",
    "open_duckdb",
    "open_polars",
    "read_companies",
    "validate",
]

if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "_export.batch": (
                "CompanyDone",
                "CompanyEvent",
                "CompanyOutcome",
                "CompanyProgress",
                "CompanyStarted",
                "ExportMany",
                "ManyEvent",
                "ManyOutcome",
            ),
            "_export.companies": ("Company", "companies_of", "read_companies"),
            "_export.target.manifest": ("Manifest", "Part", "ResourceEntry", "Run", "Sweep", "validate"),
            "_export.compact": ("compact",),
            "_export.deletions": ("Deletions",),
            "_export.diff": ("Difference", "FieldChange", "diff"),
            "_export.open_export": ("open_duckdb", "open_polars"),
            "_export.plan": ("ExportPlan",),
            "_export.report": ("Report",),
            "_export.events": (
                "Event",
                "PageWritten",
                "Published",
                "RequestEnded",
                "ResourceDone",
                "ResourceIncomplete",
            ),
            "_export.formats.csv": ("CsvOptions",),
            "_export.formats.parquet": ("ParquetOptions",),
            "_export.run": ("Export",),
        },
    )
