"""What is measured against what, and what each comparison must show.

A group is one question: its cases run interleaved, round by round, and its targets compare two cases of one round. The
bars and aims are ratios, since only ratios of one run on one machine mean anything.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import attrs

from benchmarks.job import Job
from benchmarks.pinned import PINNED

Figure = Literal[
    "seconds",
    "peak_mb",
    "grown_mb",
    "requests",
    "loop_p99_ms",
    "loop_max_ms",
    "loop_p99_cpu_ms",
    "import_ms",
    "import_mb",
    "cpu_seconds",
    "mb_written",
    "polls_a_job",
    "delay_seconds",
    "delay_of_bound",
    "of_floor",
]


@attrs.frozen
class Case:
    """One client on one job; `name` is its own within the group."""

    name: str
    client: str
    job: Job
    #: at most this many rounds, for what takes minutes
    rounds_max: int | None = None
    #: measure the package of this commit instead of the working tree's
    pinned: str | None = None


@attrs.frozen(kw_only=True)
class Target:
    """A claim: a figure of one case, alone, over or less that of another, against a bar that must hold and an aim.

    `how` is `ratio` (`figure of case / figure of other`), `speedup` (the other way round), `difference`, or `alone`.
    """

    text: str
    case: str
    figure: Figure = "seconds"
    how: Literal["ratio", "speedup", "difference", "alone"] = "ratio"
    other: str | None = None
    #: more cases; the one that does best in a round is what that round is compared with
    others: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    @property
    def peers(self) -> tuple[str, ...]:
        """The cases that this one is compared with."""
        return (self.other, *self.others) if self.other else self.others

    @property
    def names(self) -> set[str]:
        """All cases that the claim is about."""
        return {self.case, *self.peers}


@attrs.frozen(kw_only=True)
class Group:
    """One question."""

    name: str
    title: str
    about: str
    cases: tuple[Case, ...]
    targets: tuple[Target, ...] = ()
    rounds: int = 5
    #: whose time the table's ratios are taken to
    reference: str | None = None
    figures: tuple[Figure, ...] = ()

    def only(self, clients: list[str]) -> Group:
        """The same question to some of the clients, with the claims that are left."""
        return self.with_cases(tuple(case for case in self.cases if case.client in clients))

    def with_cases(self, cases: tuple[Case, ...]) -> Group:
        """The same question with some of the cases left, and the claims about them."""
        names = {case.name for case in cases}
        targets = tuple(target for target in self.targets if target.names <= names)
        return attrs.evolve(self, cases=cases, targets=targets)


_SLOW_ROUNDS = 2
_QUICK_ROWS_MAX = 100_000
_BARS_IN_FLIGHT = ((1, 0.8, None), (4, 0.8, None), (8, 0.8, None), (16, 0.9, 0.95), (32, 0.75, 0.85))
_CONNECTIONS = tuple(connections for connections, _, _ in _BARS_IN_FLIGHT)

_SERVERS = {
    "no latency": Job(),
    "100 ms": Job(wait_ms=100),
    "300 ms": Job(wait_ms=300),
    "30 ms, 2 at once": Job(wait_ms=30, slots=2),
    "100 ms, 6 at once": Job(wait_ms=100, slots=6),
}


def _at(wait_ms: int, *clients: str, slow: tuple[str, ...] = (), rows: int = 100_000) -> tuple[Case, ...]:
    """The same list read by several clients; the slow ones in fewer rounds."""
    job = Job(rows=rows, wait_ms=wait_ms)
    return tuple(
        Case(f"{client}@{wait_ms}", client, job, rounds_max=_SLOW_ROUNDS if client in slow else None)
        for client in (*clients, *slow)
    )


#: what the pinned build did well already: client, job, rounds at most
_KEPT: dict[str, tuple[str, Job, int | None]] = {
    "typed stream, no latency": ("sdk-typed", Job(), None),
    "JSONL, no latency": ("sdk-jsonl", Job(), None),
    "JSONL, 100 ms": ("sdk-jsonl", Job(wait_ms=100), None),
    "JSONL, 300 ms": ("sdk-jsonl", Job(wait_ms=300), 3),
    "typed stream, 300 ms": ("sdk-typed", Job(wait_ms=300), 3),
    "Parquet, 20,000 rows": ("sdk-parquet", Job(rows=20_000), None),
    "JSONL of gzipped answers": ("sdk-jsonl", Job(gzip=True), None),
    "JSONL, 1,000,000 rows": ("sdk-jsonl", Job(rows=1_000_000), 3),
    "typed stream, 1,000,000 rows": ("sdk-typed", Job(rows=1_000_000), 3),
    "import": ("import-sdk", Job(rows=1), None),
    "first touch": ("first-touch", Job(rows=1), None),
}
_KEPT_LISTS = tuple(name for name, (_, job, _) in _KEPT.items() if job.rows > 1)
_KEPT_FIGURES: dict[Figure, tuple[str, tuple[str, ...]]] = {
    "seconds": ("speed", _KEPT_LISTS),
    "peak_mb": ("memory", _KEPT_LISTS),
    "requests": ("requests", ("JSONL, no latency", "typed stream, no latency")),
    "import_ms": ("milliseconds", ("import", "first touch")),
    "import_mb": ("memory", ("import",)),
}


GROUPS: tuple[Group, ...] = (
    Group(
        name="jsonl-0ms",
        title="JSONL, no latency",
        about="100,000 customers, 8 requests in flight, pages of 1,000: all is the client's own work.",
        cases=(
            *_at(
                0,
                "bytes",
                "sdk-jsonl",
                "hand-jsonl",
                "hand-jsonl-checked",
                "hand-jsonl-raw",
                slow=("seed", "dlt-jsonl", "dlt-jsonl-flat", "singer"),
            ),
            Case("sdk-jsonl@0, pinned", "sdk-jsonl", Job(), pinned=PINNED),
        ),
        rounds=9,
        reference="bytes@0",
        targets=(
            Target(text="export against bare aiohttp bytes", case="sdk-jsonl@0", how="speedup", other="bytes@0",
                   at_least=0.60, aim=0.70),
            Target(text="export against the pinned build", case="sdk-jsonl@0", how="speedup",
                   other="sdk-jsonl@0, pinned", at_least=0.97),
            Target(text="export against dlt's REST source", case="sdk-jsonl@0", how="speedup", other="dlt-jsonl@0",
                   at_least=15, aim=25),
            Target(text="export against dlt's REST source, nested values unnested", case="sdk-jsonl@0", how="speedup",
                   other="dlt-jsonl-flat@0", at_least=15),
        ),
    ),
    Group(
        name="jsonl-100ms",
        title="JSONL, 100 ms of latency",
        about="The same list where each answer takes 100 ms.",
        cases=_at(
            100, "bytes", "sdk-jsonl", "hand-jsonl", "hand-jsonl-checked", slow=("seed", "dlt-jsonl", "dlt-jsonl-flat")
        ),
        rounds=9,
        reference="bytes@100",
        targets=(
            Target(text="export against bare aiohttp bytes", case="sdk-jsonl@100", how="speedup", other="bytes@100",
                   at_least=0.90, aim=0.95),
            Target(text="export against dlt's REST source", case="sdk-jsonl@100", how="speedup", other="dlt-jsonl@100",
                   at_least=15, aim=25),
            Target(text="export against dlt's REST source, nested values unnested", case="sdk-jsonl@100", how="speedup",
                   other="dlt-jsonl-flat@100", at_least=15),
        ),
    ),
    Group(
        name="jsonl-300ms",
        title="JSONL, 300 ms of latency",
        about="The same list where each answer takes 300 ms, against the sequential loop.",
        cases=_at(300, "bytes", "sdk-jsonl", "hand-jsonl", slow=("seed",)),
        rounds=3,
        reference="bytes@300",
        targets=(
            Target(text="export against requests in a loop", case="sdk-jsonl@300", how="speedup", other="seed@300",
                   at_least=7, aim=8),
        ),
    ),
    Group(
        name="kept",
        title="What must not get slower",
        about="What was quick before the work on speed, beside the build of then; each figure is the pinned build's "
        "over the working tree's.",
        cases=tuple(
            Case(name + (", pinned" if pinned else ""), client, job, rounds_max=rounds_max, pinned=pinned)
            for name, (client, job, rounds_max) in _KEPT.items()
            for pinned in (None, PINNED)
        ),
        rounds=9,
        targets=tuple(
            Target(text=f"{name}: {words}", case=name, figure=figure, how="speedup", other=f"{name}, pinned",
                   at_least=0.97)
            for figure, (words, names) in _KEPT_FIGURES.items()
            for name in names
        ),
    ),
    Group(
        name="typed-0ms",
        title="Typed records, no latency",
        about="100,000 customers as attrs objects (Decimal amounts, datetimes); peers use hand-written classes.",
        cases=_at(
            0, "bytes", "sdk-typed", "hand-typed", "msgspec-attrs", "orjson", slow=("cattrs", "httpx-gather")
        ),
        reference="msgspec-attrs@0",
        targets=(
            Target(text="stream against msgspec into camelCase attrs", case="sdk-typed@0", how="speedup",
                   other="msgspec-attrs@0", at_least=0.9, aim=1.25),
            Target(text="stream against orjson and cattrs", case="sdk-typed@0", how="speedup", other="cattrs@0",
                   at_least=3, aim=5),
        ),
    ),
    Group(
        name="typed-300ms",
        title="Typed records, 300 ms of latency",
        about="The same where each answer takes 300 ms.",
        cases=_at(300, "bytes", "sdk-typed", "hand-typed", "msgspec-attrs"),
        rounds=3,
        reference="bytes@300",
        targets=(
            Target(text="stream against bare aiohttp bytes", case="sdk-typed@300", how="speedup", other="bytes@300",
                   at_least=0.85, aim=0.93),
        ),
    ),
    Group(
        name="frames",
        title="A whole list in memory",
        about="100,000 customers of 2.5 KB, no latency: as typed records, and as a table that is never records.",
        cases=(
            *_at(0, "bytes", "sdk-typed", "sdk-all", "sdk-arrow", "sdk-polars"),
            Case("sdk-all@0, pinned", "sdk-all", Job(), pinned=PINNED),
        ),
        reference="sdk-all@0",
        figures=("grown_mb",),
        targets=(
            Target(text="`all()` against the typed stream", case="sdk-all@0", other="sdk-typed@0", at_most=1.6,
                   aim=1.2),
            Target(text="peak memory of `all()` against the pinned build", case="sdk-all@0", figure="peak_mb",
                   other="sdk-all@0, pinned", at_most=0.55, aim=0.35),
            Target(text="`to_arrow()` against `all()`", case="sdk-arrow@0", how="speedup", other="sdk-all@0",
                   at_least=3, aim=4),
            Target(text="memory beyond the imports, `to_arrow()` against `all()`", case="sdk-arrow@0",
                   figure="grown_mb", other="sdk-all@0", at_most=0.2),
        ),
    ),
    Group(
        name="memory",
        title="Memory while lists grow",
        about="Peak memory (VmHWM of a fresh process) from 10,000 to 1,000,000 customers of 2.5 KB.",
        cases=(
            *(
                Case(f"{client}, {rows:,} rows", client, Job(rows=rows))
                for client in ("sdk-jsonl", "sdk-typed")
                for rows in (10_000, 100_000, 1_000_000)
            ),
            *(Case(f"httpx-gather, {rows:,} rows", "httpx-gather", Job(rows=rows), 1) for rows in (10_000, 100_000)),
        ),
        rounds=5,
        figures=("grown_mb",),
        targets=tuple(
            Target(text=f"{what}, 1,000,000 rows against 10,000", case=f"{client}, 1,000,000 rows", figure="peak_mb",
                   other=f"{client}, 10,000 rows", at_most=1.10)
            for client, what in (("sdk-jsonl", "JSONL export"), ("sdk-typed", "typed stream"))
        ),
    ),
    Group(
        name="memory-invoices",
        title="Memory while exports of invoices grow",
        about="Peak memory (VmHWM of a fresh process) of exports of customer invoices of 3.9 KB, checkpoints included.",
        cases=tuple(
            Case(f"{client}, {rows:,} invoices", client, Job(resource="customerinvoice", rows=rows))
            for client, sizes in (("sdk-jsonl", (10_000, 1_000_000)), ("sdk-parquet", (100_000, 1_000_000)))
            for rows in sizes
        ),
        rounds=3,
        figures=("grown_mb",),
        targets=(
            Target(text="JSONL export, 1,000,000 invoices against 10,000", case="sdk-jsonl, 1,000,000 invoices",
                   figure="peak_mb", other="sdk-jsonl, 10,000 invoices", at_most=1.10),
            Target(text="Parquet export, 1,000,000 invoices against 100,000", case="sdk-parquet, 1,000,000 invoices",
                   figure="peak_mb", other="sdk-parquet, 100,000 invoices", at_most=1.15),
        ),
    ),
    Group(
        name="slow-consumer",
        title="A slow consumer",
        about="A reader that takes 50 ms over each page of a server without latency: what waits must not pile up.",
        cases=(
            Case("fast", "sdk-jsonl", Job(rows=50_000)),
            Case("50 ms a page", "sdk-jsonl", Job(rows=50_000, consumer_seconds=0.05)),
        ),
        rounds=3,
        targets=(
            Target(text="peak memory, slow against fast", case="50 ms a page", figure="peak_mb", other="fast",
                   at_most=1.25, aim=1.10),
        ),
    ),
    Group(
        name="requests",
        title="Requests for a quiet list",
        about="Counted by the server. The least that can read N rows is ceil(N / page size), and one more where the "
        "last page is full: the end is seen, not computed from a total.",
        cases=tuple(
            Case(f"{client}, {rows:,} rows", client, Job(rows=rows))
            for client in ("sdk-jsonl", "dlt-jsonl-flat")
            for rows in (1, 1_000, 1_001, 10_000)
        ),
        rounds=1,
        targets=tuple(
            Target(text=f"{rows:,} rows", case=f"sdk-jsonl, {rows:,} rows", figure="requests", how="alone",
                   at_most=rows // 1000 + 1)
            for rows in (1, 1_000, 1_001, 10_000)
        ),
    ),
    Group(
        name="proof",
        title="What a proof costs",
        about="A quiet list of 100 pages, 8 requests in flight, exported with the claim *proven*, and counted. Three "
        "requests that follow one another end a proof: at 100 ms they alone put the ratio at 0.81.",
        cases=tuple(
            Case(f"{name}@{wait_ms}", client, Job(wait_ms=wait_ms))
            for wait_ms in (0, 100)
            for name, client in (("proven", "sdk-proven"), ("counted", "sdk-jsonl"))
        ),
        targets=tuple(
            Target(text=f"proven against counted, {wait_ms} ms", case=f"proven@{wait_ms}", how="speedup",
                   other=f"counted@{wait_ms}", at_least=bar, aim=aim)
            for wait_ms, bar, aim in ((0, 0.85, 0.92), (100, 0.78, 0.81))
        ),
    ),
    Group(
        name="event-loop",
        title="How long the event loop is held",
        about="A 1 ms ticker beside the client; 99th percentile of its lateness, and of the processor time that the "
        "loop's thread took between two ticks, which other programs disturb less. 50,000 customers.",
        cases=tuple(
            Case(f"{client}@{wait_ms}", client, Job(rows=50_000, wait_ms=wait_ms, ticker=True))
            for wait_ms in (20, 100)
            for client in ("sdk-typed", "sdk-all", "sdk-jsonl", "hand-typed", "msgspec-attrs", "bytes")
        ),
        rounds=3,
        figures=("loop_p99_ms", "loop_max_ms", "loop_p99_cpu_ms"),
        targets=tuple(
            Target(text=f"99th percentile, {text}, {wait_ms} ms of latency, ms", case=f"{client}@{wait_ms}",
                   figure="loop_p99_ms", how="alone", at_most=most, aim=aim)
            for client, text, most, aim in (
                ("sdk-typed", "typed stream", 12, 8), ("sdk-all", "`all()`", 20, 12), ("sdk-jsonl", "export", 10, 8)
            )
            for wait_ms in (20, 100)
        ),
    ),
    Group(
        name="imports",
        title="What the import costs",
        about="In fresh interpreters, byte code compiled.",
        cases=tuple(
            Case(client, client, Job(rows=1))
            for client in ("import-aiohttp", "import-base", "import-sdk", "import-client", "first-touch")
        ),
        rounds=7,
        figures=("import_ms", "import_mb"),
        targets=(
            Target(text="milliseconds over `import aiohttp`", case="import-sdk", figure="import_ms", how="difference",
                   other="import-aiohttp", at_most=60, aim=40),
            Target(text="first list and row of a resource against `import aiohttp`", case="first-touch",
                   figure="import_ms", other="import-aiohttp", at_most=0.25, aim=0.15),
            Target(text="MB over `import aiohttp`", case="import-sdk", figure="import_mb", how="difference",
                   other="import-aiohttp", at_most=8),
        ),
    ),
    Group(
        name="parquet",
        title="Parquet with real nested types",
        about="20,000 customers to zstd Parquet: nested structs, decimals, timestamps. A run of a company that the "
        "client knows can be resumed: it writes the rows to a spool as well.",
        cases=_at(0, "sdk-parquet", "hand-parquet", "sdk-parquet-resumable", slow=("dlt-parquet",), rows=20_000),
        rounds=9,
        reference="hand-parquet@0",
        targets=(
            Target(text="export against the best hand-written pipeline", case="sdk-parquet@0", how="speedup",
                   other="hand-parquet@0", at_least=0.8),
            Target(text="export against dlt", case="sdk-parquet@0", how="speedup", other="dlt-parquet@0",
                   at_least=12, aim=16),
        ),
    ),
    Group(
        name="csv",
        title="CSV",
        about="100,000 customers flattened into 206 columns, no latency, beside the pinned build. Rows, amounts and "
        "bytes are the same.",
        cases=(*_at(0, "sdk-csv", "sdk-jsonl"), Case("sdk-csv@0, pinned", "sdk-csv", Job(), pinned=PINNED)),
        rounds=7,
        reference="sdk-csv@0, pinned",
        figures=("mb_written",),
        targets=(
            Target(text="export against the pinned build", case="sdk-csv@0", how="speedup", other="sdk-csv@0, pinned",
                   at_least=4, aim=6),
        ),
    ),
    Group(
        name="formats",
        title="Formats of files",
        about="20,000 customers, no latency; each format with its own figures.",
        cases=_at(0, "sdk-jsonl", "sdk-gzip", "sdk-zstd", "sdk-csv", "sdk-parquet", rows=20_000),
        reference="sdk-jsonl@0",
        figures=("mb_written",),
    ),
    Group(
        name="gzip",
        title="Compressed answers",
        about="The same pages plain and gzipped (11 times fewer bytes on the wire), no latency.",
        cases=(
            Case("bytes, plain", "bytes", Job()),
            Case("bytes, gzip", "bytes", Job(gzip=True)),
            Case("sdk-jsonl, plain", "sdk-jsonl", Job()),
            Case("sdk-jsonl, gzip", "sdk-jsonl", Job(gzip=True)),
        ),
        reference="bytes, plain",
        targets=(
            Target(text="export, gzip against plain", case="sdk-jsonl, gzip", how="speedup", other="sdk-jsonl, plain",
                   at_least=0.75, aim=0.85),
        ),
    ),
    Group(
        name="concurrency",
        title="More requests in flight",
        about="50,000 customers at 100 ms a page, by requests in flight. The floor is the waits: the 50 pages take 4 "
        "of them with 16 in flight and 2 with 32, and an export one more, since page 1 tells how many there are. That "
        "alone puts the ratios at 0.80 and 0.67; of 400,000 customers at 0.96 and 0.93.",
        cases=(
            *(
                Case(f"{client}, {connections} in flight", client,
                     Job(rows=50_000, wait_ms=100, connections=connections))
                for client in ("bytes", "sdk-jsonl", "sdk-typed")
                for connections in _CONNECTIONS
            ),
            *(
                Case(f"{client}, {connections} in flight, 400,000 rows", client,
                     Job(rows=400_000, wait_ms=100, connections=connections))
                for client in ("bytes", "sdk-jsonl")
                for connections in (16, 32)
            ),
        ),
        rounds=2,
        targets=(*(
            Target(text=f"export against bytes, {connections} in flight", case=f"sdk-jsonl, {connections} in flight",
                   how="speedup", other=f"bytes, {connections} in flight", at_least=bar, aim=aim)
            for connections, bar, aim in _BARS_IN_FLIGHT
        ), *(
            Target(text=f"export against bytes, {connections} in flight, 400,000 rows",
                   case=f"sdk-jsonl, {connections} in flight, 400,000 rows", how="speedup",
                   other=f"bytes, {connections} in flight, 400,000 rows", at_least=bar, aim=aim)
            for connections, bar, aim in _BARS_IN_FLIGHT[-2:]
        )),
    ),
    Group(
        name="adaptation",
        title="`auto` against the best fixed number in hindsight",
        about="100,000 customers, one server after the other: fast, far away, and such as answer only few at once "
        "(the others wait). `auto` knows nothing of them and begins with 8 in flight.",
        cases=tuple(
            Case(f"{connections or 'auto'}, {name}", "sdk-jsonl" if connections else "sdk-auto",
                 dataclasses.replace(job, connections=connections or 16))
            for name, job in _SERVERS.items()
            for connections in (None, 2, 4, 8, 16)
        ),
        rounds=3,
        targets=tuple(
            Target(text=f"auto against the best of 2, 4, 8 and 16: {name}", case=f"auto, {name}", how="speedup",
                   others=tuple(f"{connections}, {name}" for connections in (2, 4, 8, 16)), at_least=0.9, aim=0.95)
            for name in _SERVERS
        ),
    ),
    Group(
        name="bulk-100ms",
        title="Rows written, 100 ms of latency",
        about="20,000 customers created one by one, 16 requests in flight; the bulk run writes each row to its journal "
        "before its request leaves, and after its answer.",
        cases=(
            Case("posts", "posts", Job(rows=20_000, wait_ms=100, connections=16)),
            Case("bulk", "sdk-bulk", Job(rows=20_000, wait_ms=100, connections=16)),
        ),
        rounds=2,
        reference="posts",
        targets=(
            Target(text="bulk run against bare POSTs", case="bulk", how="speedup", other="posts", at_least=0.9),
        ),
    ),
    Group(
        name="overhead",
        title="One record a request",
        about="3,000 customers read one by one, and changed one by one, no latency: what a call costs beside the "
        "network. The ratios are of processor time.",
        cases=tuple(
            Case(f"{client}{', pinned' if pinned else ''}", client, Job(rows=3000, connections=1), pinned=pinned)
            for client, pinned in (
                ("get-bytes", None), ("hand-get", None), ("bare-get", None), ("sdk-get", None), ("sdk-get", PINNED),
                ("bare-put", None), ("sdk-put", None), ("sdk-put", PINNED),
            )
        ),
        rounds=9,
        reference="bare-get",
        targets=(
            *(Target(text=f"processor time of a {what.upper()} against bare aiohttp", case=f"sdk-{what}",
                     figure="cpu_seconds", other=f"bare-{what}", at_most=1.5, aim=1.3) for what in ("get", "put")),
            *(Target(text=f"processor time of a {what.upper()} against the pinned build", case=f"sdk-{what}",
                     figure="cpu_seconds", other=f"sdk-{what}, pinned", at_most=1.0) for what in ("get", "put")),
        ),
    ),
    Group(
        name="gathered",
        title="Many records at once",
        about="10,000 customers read one by one, all gathered, 16 in flight, no latency.",
        cases=tuple(
            Case(f"{client}{', pinned' if pinned else ''}", client, Job(rows=10_000, connections=16), pinned=pinned)
            for client, pinned in (("bare-gathered", None), ("sdk-gathered", None), ("sdk-gathered", PINNED))
        ),
        rounds=5,
        reference="bare-gathered",
        targets=(
            Target(text="calls a second against aiohttp under a semaphore", case="sdk-gathered", how="speedup",
                   other="bare-gathered", at_least=0.75, aim=0.85),
            Target(text="calls a second against the pinned build", case="sdk-gathered", how="speedup",
                   other="sdk-gathered, pinned", at_least=1.0),
        ),
    ),
    Group(
        name="polls",
        title="Background jobs: polls and delays",
        about="1,000 jobs in virtual time, drawn from one seed. The bound is the least mean delay that any schedule "
        "can have with as many polls, knowing how long such jobs take; the SDK finds that out as it goes.",
        cases=tuple(
            Case(client, client, Job(rows=1000))
            for client in ("sdk-polls-short", "sdk-polls-long", "sdk-polls-quota", "sdk-polls-webhooks", "every-12-s")
        ),
        rounds=1,
        figures=("polls_a_job", "delay_seconds", "delay_of_bound"),
        targets=(
            Target(text="polls a job, median 8 s", case="sdk-polls-short", figure="polls_a_job", how="alone",
                   at_most=2.8),
            Target(text="seconds until the end is noticed, median 8 s", case="sdk-polls-short", figure="delay_seconds",
                   how="alone", at_most=5.0),
            Target(text="seconds until the end is noticed, 2 minutes and more", case="sdk-polls-long",
                   figure="delay_seconds", how="alone", at_most=7.0),
            Target(text="mean delay against the bound, under a quota", case="sdk-polls-quota", figure="delay_of_bound",
                   how="alone", at_most=1.2),
            Target(text="polls a job with webhooks", case="sdk-polls-webhooks", figure="polls_a_job", how="alone",
                   at_most=1.0),
        ),
    ),
    Group(
        name="restart",
        title="A worker that starts again",
        about="300 jobs have ended while nobody looked; virtual time, answers after 100 ms, eight at once. The "
        "floor is what the quota (polls may use half of what is left) and the rule (5 a minute a job) leave: with "
        "15,000 left nothing is waited for, with 400 the next window.",
        cases=tuple(
            Case(f"{client}{', pinned' if pinned else ''}", client, Job(rows=300), pinned=pinned)
            for client in ("sdk-restart", "sdk-restart-scarce")
            for pinned in (None, PINNED)
        ),
        rounds=1,
        figures=("delay_seconds", "of_floor"),
        targets=tuple(
            Target(text=f"until all results are in, against the floor: {words}", case=client, figure="of_floor",
                   how="alone", at_most=1.3, aim=1.1)
            for client, words in (("sdk-restart", "15,000 left"), ("sdk-restart-scarce", "400 left"))
        ),
    ),
)  # fmt: skip


def quick(group: Group) -> Group:
    """The same question in a fraction of the time: fewer rows and rounds. Its figures prove nothing.

    Cases that carry their rows in their names keep them, or are left out where they are many.
    """

    def smaller(case: Case) -> Case:
        rows = case.job.rows if " rows" in case.name else max(1, case.job.rows // 10)
        return attrs.evolve(
            case, job=dataclasses.replace(case.job, rows=rows), rounds_max=1 if case.rounds_max else None
        )

    kept = tuple(smaller(case) for case in group.cases if case.job.rows <= _QUICK_ROWS_MAX)
    return attrs.evolve(group.with_cases(kept), rounds=min(group.rounds, 3))
