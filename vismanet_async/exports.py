"""Exports: plans, events, manifests, reports, and many companies at once.

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
    from vismanet_async._export.companies import Company, companies_of, read_companies
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
    from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, validate

__all__ = [
    "Company",
    "CompanyDone",
    "CompanyEvent",
    "CompanyOutcome",
    "CompanyProgress",
    "CompanyStarted",
    "CsvOptions",
    "Event",
    "Export",
    "ExportMany",
    "ExportPlan",
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
    "companies_of",
    "open_duckdb",
    "open_polars",
    "read_companies",
    "validate",
]

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
        "_export.target.manifest": ("Manifest", "Part", "ResourceEntry", "validate"),
        "_export.open_export": ("open_duckdb", "open_polars"),
        "_export.plan": ("ExportPlan",),
        "_export.report": ("Report",),
        "_export.events": ("Event", "PageWritten", "Published", "RequestEnded", "ResourceDone", "ResourceIncomplete"),
        "_export.formats.csv": ("CsvOptions",),
        "_export.formats.parquet": ("ParquetOptions",),
        "_export.run": ("Export",),
    },
)
