"""The plan of an export, checked before anything is opened or sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs
import msgspec

from vismanet_async._api.registry import find_resource
from vismanet_async._arguments import expect, expect_count, refuse_unknown, typed
from vismanet_async._conditions import Condition
from vismanet_async._export.deletions import Deletions, deletions_wanted, require_sweepable
from vismanet_async._export.formats import FormatOptions
from vismanet_async._export.formats.registry import find_format, fingerprint_parts
from vismanet_async._export.incremental import DEFAULT_OVERLAP, modified_filter
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES
from vismanet_async._export.target.locations import Location, RemotePath, parse_location
from vismanet_async.errors import RequestRefused

__all__ = ["Completeness", "ExportPlan", "filter_text", "plan_of"]

Completeness = Literal["best", "prove", "count", "none"]
"""What to show about each list: the most that it allows, that nothing was lost, that the counts agree, or nothing."""

_SMALLEST_PART_BYTES: Final = 1024
_ALL: Final = frozenset({"all", "*"})


_MOST_OVERLAP: Final = timedelta(days=3660)


def _resources(given: str | Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    if isinstance(given, str):
        given = [given]
    expect("resources", given, Iterable, words="names of resources, or names with their filters")
    pairs = given.items() if isinstance(given, Mapping) else [(name, {}) for name in given]
    chosen: dict[str, dict[str, Any]] = {}
    for spelling, filters in pairs:
        expect("resources", spelling, str, words="names of resources as texts")
        expect(f"resources[{spelling!r}]", filters, Mapping, words="a mapping of filters")
        if spelling in _ALL:
            raise RequestRefused(
                f"there is no {spelling!r}: name the lists, so that a version which knows one more exports no other; "
                "nothing was sent. `vismanet resources` lists them."
            )
        name = find_resource(spelling)  # it becomes a directory: only a name of the registry may
        if name in chosen:
            raise RequestRefused(f"{name} is asked for twice; nothing was sent. Name each resource once.")
        chosen[name] = dict(filters)
    return chosen


def _spool(given: object) -> Path | None:
    expect("spool", given, str, Path, type(None), words="a local directory, or None")
    if "\0" in str(given):
        raise RequestRefused("spool holds a NUL character, which no path can; nothing was sent.")
    return None if given is None else Path(str(given))


def _count(least: int) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        expect_count(attribute.name, value, least=least, none=attribute.default is None)

    return check


def filter_text(value: Any) -> str:
    """Return a filter's value as text: `Open`, `>= 2025-05-25`."""
    return f"{value.operator} {value.value}" if isinstance(value, Condition) else str(value)


@attrs.frozen(kw_only=True)
class ExportPlan:
    """Which lists are exported, where to, and how.

    Args:
        resources: names, or names with their filters; any common spelling of a name is accepted.
        to: a local directory, or a URL (`vismanet_async._export.target.locations`).
        storage_options: for a URL, options of fsspec's filesystem; may hold secrets, and is in no repr.
        spool: for a URL, the local directory of staging and checkpoints; None: one in the user's cache. A stopped run
            is resumed from the same directory.
        format: what the files are: `jsonl`, `jsonl.gz`, `jsonl.zst`, `csv` or `parquet`.
        completeness: what to show about each list: `best` proves it where the list allows that, else counts;
            `prove` shows that nothing was lost, or raises `IncompleteListing`; `count` compares the rows with the
            server's total; `none` shows nothing.
        allow_uncertain: also publish a list that could not be shown complete; its verdict says so.
        page_size: rows per request; None: as many as the endpoint gives.
        part_bytes: size of a file; the page (in Parquet: the row group) that brings a part to this size closes it.
        format_options: how the format is written: `CsvOptions` or `ParquetOptions`; None for its defaults.
        incremental: read what was changed since the last run, and add it to what is published
            (`vismanet_async._export.incremental`); the first run reads everything.
        overlap: how far an incremental run goes back from the last watermark.
        deletions: look for records that are gone as well, and publish their keys
            (`vismanet_async._export.deletions`): True in each incremental run, or when `Deletions` says.
        resume: resume an earlier run of the same plan that was stopped in the last 24 hours; False starts anew.

    Raises:
        UnknownName: for a resource that there is not.
        RequestRefused: for no resource, one named twice, or a number that cannot be used.
        TargetNotWritable: for a target that is no path or URL.

    Examples:
        >>> plan = ExportPlan(resources=["customer"], to="out")
        >>> plan.resources, plan.completeness
        ({'customer': {}}, 'best')
    """

    resources: dict[str, dict[str, Any]] = attrs.field(converter=_resources)
    to: Location = attrs.field(converter=parse_location)
    storage_options: Mapping[str, Any] = attrs.field(factory=dict, validator=typed(Mapping), repr=False)
    spool: Path | None = attrs.field(default=None, converter=_spool)
    format: str = attrs.field(default="jsonl", validator=typed(str))
    completeness: Completeness = attrs.field(default="best", validator=typed(str))
    allow_uncertain: bool = attrs.field(default=False, validator=typed(bool))
    page_size: int | None = attrs.field(default=None, validator=_count(1))
    part_bytes: int = attrs.field(default=DEFAULT_PART_BYTES, validator=_count(_SMALLEST_PART_BYTES))
    format_options: FormatOptions | None = attrs.field(default=None, validator=typed(FormatOptions, type(None)))
    incremental: bool = attrs.field(default=False, validator=typed(bool))
    overlap: timedelta = attrs.field(default=DEFAULT_OVERLAP, validator=typed(timedelta))
    deletions: Deletions | None = attrs.field(default=None, converter=deletions_wanted)
    resume: bool = attrs.field(default=True, validator=typed(bool))

    def __attrs_post_init__(self) -> None:
        if not self.resources:
            raise RequestRefused("there is no resource to export; nothing was sent. Name at least one.")
        chosen = find_format(self.format)
        if self.format_options is not None:
            kinds = () if chosen.options is None else (chosen.options,)
            expect("format_options", self.format_options, *kinds, type(None))
        chosen.require()
        if self.completeness not in get_args(Completeness):
            raise RequestRefused(
                f"completeness is one of {', '.join(get_args(Completeness))}, not {self.completeness!r}; "
                "nothing was sent."
            )
        if self.incremental:
            self._require_incremental()
        elif self.deletions is not None:
            raise RequestRefused(
                "deletions are looked for by incremental exports: a whole one holds what there is, and nothing else. "
                "Nothing was sent. Add incremental, or leave deletions out."
            )
        if isinstance(self.location, RemotePath):
            self.location.require()

    @property
    def location(self) -> Location:
        """The target with the options that open it."""
        to = self.to
        return attrs.evolve(to, options=self.storage_options) if isinstance(to, RemotePath) else to

    def _require_incremental(self) -> None:
        if self.completeness == "none":
            raise RequestRefused(
                "an incremental export needs to know when rows were changed, and completeness none does not look; "
                "nothing was sent. Use prove or count."
            )
        if self.overlap < timedelta(0):
            raise RequestRefused(
                f"the overlap cannot be negative ({self.overlap / timedelta(hours=1):g} hours); nothing was sent."
            )
        if self.overlap > _MOST_OVERLAP:
            raise RequestRefused(
                f"the overlap cannot be longer than {_MOST_OVERLAP.days} days; nothing was sent. Export without "
                "incremental to read everything again."
            )
        for name, filters in self.resources.items():
            modified_filter(name, filters)
            if self.deletions is not None:
                require_sweepable(name)

    def filter_texts(self, name: str) -> dict[str, str]:
        """Return the filters of a resource as texts, as in the manifest."""
        return {key: filter_text(value) for key, value in self.resources[name].items()}

    @property
    def options_for_readers(self) -> dict[str, str]:
        """What a reader of the files has to know beside the format."""
        return {} if self.format_options is None else self.format_options.for_readers

    def fingerprint(self, *, company: str | None, base_url: str | None = None) -> str:
        """Return a short text that is equal for equal exports of the same company, whatever their target."""
        parts = [
            company,
            base_url,
            sorted((name, sorted(self.filter_texts(name).items())) for name in self.resources),
            self.format,
            self.completeness,
            self.page_size,
            self.part_bytes,
            *fingerprint_parts(self.format, self.format_options),
            self.overlap.total_seconds() if self.incremental else None,
            *(() if self.deletions is None else ("deletions",)),
        ]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


_OPTIONS: Final = tuple(field.name for field in attrs.fields(ExportPlan) if field.name not in {"resources", "to"})
_ELSEWHERE: Final = dict.fromkeys(
    ("filter", "filters", "where"), 'filters stand beside the names: {"customer": {"status": "Active"}}.'
) | dict.fromkeys(
    ("since", "updated_after"), "incremental=True reads what was changed since the last run; a date is a filter."
)


def plan_of(resources: Any, to: Any, options: Mapping[str, Any], *, where: str) -> ExportPlan:
    """Return the plan that the arguments of a call make.

    Args:
        resources: as `ExportPlan` takes them, like `to` and `options`.
        to: the target.
        options: all others, by name.
        where: what was called.

    Raises:
        TypeError: for an option that there is not, with the nearest ones; nothing was sent.
    """
    refuse_unknown(options, _OPTIONS, where=where, elsewhere=_ELSEWHERE)
    return ExportPlan(resources=resources, to=to, **options)
