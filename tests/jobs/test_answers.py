"""How answers about jobs are read, and what their own words say of the end."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.jobs.bench import opened
from tests.jobs.disturbed import until
from tests.support.clock import VirtualClock
from tests.support.hang import HANG_SECONDS
from vismanet_async._api.decoders import decoder_of
from vismanet_async._cli.exit_codes import exit_code
from vismanet_async._jobs.background_api import Answer, job_id_in
from vismanet_async._jobs.core import answers
from vismanet_async._jobs.core.records import JobRecord, JobResult, OperationSummary, StateDocument
from vismanet_async._jobs.core.states import State
from vismanet_async._jobs.leased_jobs import LeasedJobs
from vismanet_async._jobs.polling import Poller, PollReply
from vismanet_async._jobs.results import kept_document, plain_json, value_of
from vismanet_async._jobs.store import JobIdTaken
from vismanet_async._observer import Observer
from vismanet_async.errors import (
    ActionFailed,
    JobExpired,
    JobUncertain,
    NotFound,
    RequestRefused,
    UnexpectedResponse,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.jobs.bench import Bench
    from vismanet_async._clock import Timer
    from vismanet_async._jobs.store import JobStore

MINE = "73ac0029-1e4f-4adc-a7eb-318cd25ba4bf"
STATE: dict[str, Any] = {"id": MINE, "status": "Finished", "statusCode": 200, "hasResponseContent": True}
BOM = b"\xef\xbb\xbf"
LATIN = {"Content-Type": "application/json; charset=iso-8859-1"}
UTF_16 = {"Content-Type": "application/json; charset=utf-16"}
UTF_8 = {"Content-Type": "application/json; charset=utf-8"}


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def pascal(document: dict[str, Any]) -> dict[str, Any]:
    return {name[0].upper() + name[1:]: value for name, value in document.items()}


# -- one reader --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        body(STATE),
        BOM + body(STATE),
        json.dumps(STATE).encode("utf-16"),
        body(pascal(STATE)),
        body({name.upper(): value for name, value in STATE.items()}),
        body(STATE | {"statusCode": "200"}),
        body(STATE | {"statusCode": " 200 "}),
        body(STATE | {"statusCode": 200.0}),
        body(STATE | {"statusCode": "OK"}),
        body(STATE | {"statusCode": "200 OK"}),
        body({"value": STATE}),
        body([STATE]),
        body({"value": [{"value": STATE}]}),
        body({name: {"value": value} for name, value in STATE.items()}),
        body(STATE | {"status": " finished ", "hasResponseContent": "True"}),
        body({"status_code": 200, "id": MINE, "status": "FINISHED", "has_response_content": 1}),
        body(pascal(STATE | {"status": "Started", "statusCode": 0}) | STATE),
    ],
)
def test_a_state_document_is_read_however_it_is_written(told: bytes) -> None:
    document = StateDocument.read(told)
    assert (document.status.casefold(), document.status_code, document.job_id) == ("finished", 200, MINE)
    assert (document.done, document.succeeded, document.has_content) == (True, True, True)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (200, 200), (200.0, 200), ("412", 412), ("NoContent", 204), ("precondition_failed", 412), ("Bad Request", 400),
        (0, 0), (None, 0), (True, 0), ("", 0), ("two hundred", 0), (200.5, 0), (10**400, 0), (float("nan"), 0),
        (float("inf"), 0), (-200, 0), (1000, 0), ([200], 0), ({"code": 200}, 0), ("200 OK", 200), (" 200.0 ", 200),
        ("418 I'm a teapot", 418), ("1e2", 0), ("2_00", 0), ("2 00", 0), ("20\u0660", 0), ("200 1", 0), ("200OK", 0),
        ("inf", 0), ("600", 0), ("200.5", 0), ("-200", 0), ("200\nOK", 0),
    ],
)  # fmt: skip
def test_status_codes(value: object, code: int) -> None:
    assert answers.status_code(value) == code


@pytest.mark.parametrize(
    "told",
    [
        *("0001-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("9999-12-31T23:59:59", "9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59Z", "yesterday", "", None, 7),
    ],
)
def test_times_that_are_none(told: Any) -> None:
    """.NET writes its year 1 or 9999 for a time that is not there yet; a job that waits has not started."""
    document = StateDocument.read(body(STATE | {"status": "Queued", "startedUtc": told, "finishedUtc": told}))
    assert (document.started_at, document.finished_at) == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=202, body=body({"id": MINE})),
        Answer(status=202, body=BOM + body({"id": MINE})),
        Answer(status=202, body=body({"Id": MINE})),
        Answer(status=202, body=body({"JobID": MINE})),
        Answer(status=202, body=body({"job_id": {"value": MINE}})),
        Answer(status=202, body=body({"id": f" {{{MINE}}} "})),
        Answer(status=202, body=body({"id": None, "StateLocation": f"https://x.example/v1/background/{MINE}?a=b"})),
        Answer(status=202, body=body({"stateLocation": f"https://x.example/v1/background/{MINE}/content"})),
        Answer(status=202, body=b"<html>", headers={"Location": f"https://x.example/API/v1/Background/{MINE}/"}),
        Answer(status=202, body=json.dumps({"id": MINE}).encode("utf-16")),
        Answer(status=202, body='{"reference": "Å", "id": "%s"}'.replace("%s", MINE).encode("latin-1"), headers=LATIN),
        Answer(status=202, body=body({"value": {"id": MINE}})),
        Answer(status=202, body=body([{"id": MINE}])),
        Answer(status=202, body=body(MINE)),
        Answer(status=202, body=body("Accepted"), headers={"Location": f"/v1/background/{MINE}"}),
        Answer(status=202, body=b"(\xb5/\xfd", headers={"Location": f"/v1/background/{MINE}"}),
    ],
)
def test_the_id_of_a_202_is_found_however_it_is_written(answer: Answer) -> None:
    assert job_id_in(answer) == MINE


@pytest.mark.parametrize("told", [b"", b"[]", b"{}", body({"id": True}), body({"id": "../../v1/customer"}), b"\xff"])
def test_what_holds_no_id_gives_none(told: bytes) -> None:
    assert job_id_in(Answer(status=202, body=told)) is None


@pytest.mark.parametrize("told", ["Accepted", 7, MINE[:-1], [{"id": MINE}, {"id": MINE}], {"value": "Queued"}])
def test_a_word_is_no_id_and_two_are_none(told: Any) -> None:
    assert job_id_in(Answer(status=202, body=body(told))) is None


def test_a_run_time_longer_than_jobs_are_kept_teaches_nothing() -> None:
    told = STATE | {"receivedUtc": "2026-03-01T00:00:00", "finishedUtc": "2999-01-01T00:00:00"}
    assert StateDocument.read(body(told)).run_seconds is None


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800\x00"),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["status", "StatusCode", "id", "startedUtc", "value",
        "responseHeaders", "errorMessage", "Key", "Value", "actionResult", "Set-Cookie"]) | st.text(), each),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_read_or_refused(told: bytes) -> None:
    answers.action_failed(told)
    answers.job_id(told, {})
    try:
        document = StateDocument.read(told)
    except ValueError:
        return
    kept_document(told)
    for text in (document.status, document.error_message or "", document.original_uri or ""):
        assert "\x00" not in text
        text.encode()


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"1"', "Set-Cookie": "secret"},
        {"etag": ['"1"'], "SET-COOKIE": ["secret", "more secret"]},
        [{"Key": "ETag", "Value": ['"1"']}, {"Key": "set-cookie", "Value": ["secret"]}],
        {"value": {"ETag": '"1"', "Authorization": "secret"}},
        {"ETag": '"1"', "headers": {"Set-Cookie": "secret"}, "more": [[{"Key": "Set-Cookie", "Value": "secret"}]]},
    ],
)
@pytest.mark.parametrize("name", ["responseHeaders", "ResponseHeaders", "responseheaders"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_cookies_are_kept_out_of_the_store_however_they_are_written(headers: Any, name: str, encoding: str) -> None:
    told = json.dumps(STATE | {name: headers, "amount": 1.10}).encode(encoding)
    kept = kept_document(told) or b""
    assert b"secret" not in kept.replace(b"\x00", b"")
    assert StateDocument.read(kept).status == "Finished"
    pairs = answers.header_pairs(answers.members(kept)["responseheaders"])
    assert ("etag", '"1"') in [(each.casefold(), value) for each, value in pairs]
    assert b'"amount":1.1' in kept


def test_cookies_are_kept_out_of_a_document_with_two_spellings_and_values_that_no_store_holds() -> None:
    told = (
        b'{"ResponseHeaders": {"Set-Cookie": "secret", "X": "\\ud83d"}, "responseHeaders": {"Y": "1"},'
        b'"small": 1e99999999999999999999, "large": 99999999999999999999999, "exact": 0.10}'
    )
    kept = kept_document(told) or b""
    assert b"secret" not in kept
    assert b'"exact":0.10' in kept
    assert b'"large":99999999999999999999999' in kept
    deep = b'{"Set-Cookie": "secret", "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert b"secret" not in (kept_document(deep) or b"")
    nested = {"headers": {"Set-Cookie": "secret"}, "a": [{"b": "secret"}], "ETag": 1}
    assert answers.header_pairs(nested) == (("ETag", "1"),)


# -- how jobs end ------------------------------------------------------------------------------------------------------


@attrs.define
class Scripted:
    """A `Submitter` that answers as it is told; the last answer of a list is given again and again."""

    accepted: Answer = attrs.field(factory=lambda: Answer(status=202, body=body({"id": MINE})))
    states: list[Answer] = attrs.field(factory=lambda: [Answer(status=200, body=body(STATE))])
    contents: list[Answer] = attrs.field(factory=lambda: [Answer(status=200, body=b"{}")])
    asked: list[str] = attrs.field(factory=list)
    quota: None = None
    sender: None = None

    async def submit(self, operation: Any, *, background: str) -> Answer:
        return self.accepted

    async def state(self, job_id: str) -> Answer:
        self.asked.append("state")
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    async def content(self, job_id: str) -> Answer:
        self.asked.append("content")
        return self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]


def following(script: Scripted, store: JobStore) -> Any:
    options: dict[str, Any] = {"lease_seconds": 1e9, "decoder_of": decoder_of}
    return opened("http://127.0.0.1:1", store, clock=VirtualClock(), border=lambda _: script, **options)


def release(bench: Bench) -> Any:
    return bench.visma.supplier_invoice.release("300004")


def read(bench: Bench) -> Any:
    return bench.visma.customer.get("10000")


def by_hand(bench: Bench) -> Any:
    return bench.visma.request("POST", "/v1/supplierInvoice/300004/action/release", json={})


def ok(told: Any) -> Answer:
    return Answer(status=200, body=body(told) if not isinstance(told, bytes) else told)


GONE = Answer(status=410)
HTML = Answer(status=200, body=b"<html>sign in</html>")
NONE_KEPT = ok(STATE | {"hasResponseContent": False})
NO_CONTENT = ok(STATE | {"statusCode": 204, "hasResponseContent": False})
FINISHED = ok(STATE)

ENDS = [
    (release, FINISHED, ok({"actionResult": "Done"}), State.SUCCEEDED, None, 0),
    (release, FINISHED, ok({"actionResult": "InProcess"}), State.SUCCEEDED, None, 0),
    (release, FINISHED, ok({"actionResult": "Failed", "errorInfo": "locked"}), State.FAILED, ActionFailed, 5),
    (release, FINISHED, ok(BOM + body({"ActionResult": " FAILED "})), State.FAILED, VismaNetError, None),
    (by_hand, FINISHED, ok({"actionResult": "Failed"}), State.FAILED, ActionFailed, 5),
    (release, FINISHED, ok([{"actionResult": "Failed"}]), State.FAILED, ActionFailed, 5),
    (release, FINISHED, ok({"value": {"actionResult": {"value": "Failed"}}}), State.FAILED, ActionFailed, 5),
    (by_hand, FINISHED, ok([{"actionResult": "Failed"}]), State.FAILED, ActionFailed, 5),
    (release, FINISHED, GONE, State.UNCERTAIN, JobUncertain, 7),
    (release, NONE_KEPT, None, State.UNCERTAIN, JobUncertain, 7),
    (release, FINISHED, ok(b"[1]"), State.UNCERTAIN, JobUncertain, 7),
    (release, NO_CONTENT, None, State.SUCCEEDED, None, 0),
    (by_hand, NONE_KEPT, None, State.SUCCEEDED, None, 0),
    (by_hand, FINISHED, GONE, State.EXPIRED, JobExpired, 7),
    (read, FINISHED, ok({"number": "10000"}), State.SUCCEEDED, None, 0),
    (read, FINISHED, GONE, State.EXPIRED, JobExpired, 7),
    (read, FINISHED, ok(b"[]"), State.FAILED, UnexpectedResponse, 5),
    (read, ok(STATE | {"statusCode": 404}), ok({"message": "no"}), State.FAILED, NotFound, 5),
]


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize("end", ENDS)
async def test_record_list_exit_code_and_exception_say_the_same(store: JobStore, end: tuple[Any, ...]) -> None:
    make, state, content, ends, error, code = end
    script = Scripted(states=[state], contents=[content or GONE])
    async with following(script, store) as bench:
        job = await bench.manager.submit(make(bench))
        raised: VismaNetError | None = None
        try:
            with anyio.fail_after(HANG_SECONDS):
                await job
        except VismaNetError as told:
            raised = told
        record = await job.status()
        assert record.state is ends, record
        assert [each.id for each in await bench.manager.list(states=[ends])] == [job.id]
        assert (raised is None) == (error is None), raised
        assert error is None or isinstance(raised, error)
        assert type(await job.error()) is type(raised)
        # a handle of another process knows the operation by its id alone
        elsewhere = await bench.manager.get(job.id)
        assert type(await elsewhere.error()) is type(raised)
        if code is not None:
            assert (0 if raised is None else exit_code(raised)) == code
        assert (content is None) == ("content" not in script.asked)
        await until(lambda: job.id not in bench.manager._jobs)


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_an_action_of_unknown_end_is_settled_by_hand(store: JobStore, outcome: Any) -> None:
    async with following(Scripted(states=[NONE_KEPT]), store) as bench:
        job = await bench.manager.submit(release(bench))
        with pytest.raises(JobUncertain, match="alone says whether the action succeeded"):
            await job
        await bench.manager.settle(job.id, outcome=outcome, note="seen in the ERP")
        if outcome == "succeeded":
            assert await job is None
            assert await job.error() is None
        else:
            with pytest.raises(VismaNetError, match="seen in the ERP"):
                await job


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize(
    ("make", "answer", "ends"),
    [
        (release, ok({"actionResult": "Failed"}), ActionFailed),
        (release, HTML, JobUncertain),
        (by_hand, HTML, JobUncertain),
        (read, HTML, UnexpectedResponse),
    ],
)
async def test_an_answer_outside_the_queue_is_judged_as_well(
    store: JobStore, make: Callable[[Bench], Any], answer: Answer, ends: type[VismaNetError]
) -> None:
    async with following(Scripted(accepted=answer), store) as bench:
        with pytest.raises(ends):
            _ = await bench.manager.submit(make(bench))
        [record] = await bench.manager.list()
        assert record.state is (State.UNCERTAIN if ends is JobUncertain else State.FAILED)


# -- character sets ----------------------------------------------------------------------------------------------------

TEXT = '{"number": "10000", "name": "Skärgård AS"}'
PLAIN, MARKED, BARE_16 = "application/json", TEXT.encode("utf-16"), TEXT.encode("utf-16-le")
OLD, OLD_16, NEW = LATIN["Content-Type"], UTF_16["Content-Type"], UTF_8["Content-Type"]


@pytest.mark.parametrize(
    ("told", "types"),
    [
        (TEXT.encode("latin-1"), (OLD, None)),
        (TEXT.encode("latin-1"), (None, OLD)),
        (TEXT.encode("latin-1"), (NEW, OLD)),
        (TEXT.encode("latin-1"), (OLD, OLD_16)),
        (TEXT.encode("latin-1"), (OLD_16, OLD)),
        (TEXT.encode(), (NEW, OLD)),
        (TEXT.encode(), (PLAIN, OLD_16)),
        (TEXT.encode(), (OLD_16, None)),
        (MARKED, (None, None)),
        (MARKED, (NEW, OLD)),
        (BARE_16, (OLD_16, None)),
        (BARE_16, (PLAIN, OLD_16)),
        (BARE_16, (OLD, OLD_16)),
        (BOM + TEXT.encode(), (OLD, None)),
    ],
)
def test_json_is_had_in_utf8_whoever_declares_what_it_is(told: bytes, types: tuple[str | None, ...]) -> None:
    assert (answers.in_utf8(told, *types) or b"").decode() == TEXT


@pytest.mark.parametrize("told", [b"", b"%PDF \xe5", "å".encode("latin-1"), "å,b".encode("utf-16"), b"\xff\xfe\xff"])
@pytest.mark.parametrize("kind", [None, PLAIN, NEW, OLD, OLD_16, "text/csv; charset=windows-1252", "x; charset=hex"])
def test_what_is_not_json_stays_as_it_came(told: bytes, kind: str | None) -> None:
    assert answers.in_utf8(told, kind, kind) is None


def declared(answer: Answer, charset: str) -> Answer:
    told = answer.body.decode().encode(charset)
    return attrs.evolve(answer, body=told, headers={"Content-Type": f"application/json; charset={charset}"})


def words(document: Any) -> Answer:
    return ok(json.dumps(document, ensure_ascii=False).encode())


SPOKEN = [
    (release, {"actionResult": "Done", "errorInfo": "Å"}, 200, State.SUCCEEDED, None),
    (release, {"actionResult": "Failed", "errorInfo": "Å"}, 200, State.FAILED, ActionFailed),
    (by_hand, {"actionResult": "Failed", "errorInfo": "Å"}, 200, State.FAILED, ActionFailed),
    (read, {"number": "10000", "name": "Å"}, 200, State.SUCCEEDED, None),
    (read, {"message": "Å finns inte"}, 404, State.FAILED, NotFound),
]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16"])
@pytest.mark.parametrize("spoken", SPOKEN)
async def test_a_job_obeys_the_character_set_of_its_answers(
    store: JobStore, spoken: tuple[Any, ...], charset: str
) -> None:
    make, told, code, ends, error = spoken
    # what the executed request was answered with is not what the queue answers with
    headers = {"content-type": "application/json; charset=utf-32", "ETag": '"1"'}
    state = words(STATE | {"statusCode": code, "reference": "Å", "responseHeaders": headers})
    script = Scripted(states=[declared(state, charset)], contents=[declared(words(told), charset)])
    async with following(script, store) as bench:
        job = await bench.manager.submit(make(bench))
        raised: VismaNetError | None = None
        value: Any = None
        try:
            with anyio.fail_after(HANG_SECONDS):
                value = await job
        except VismaNetError as failure:
            raised = failure
        assert (await job.status()).state is ends, raised
        assert script.asked == ["state", "content"]
        assert (raised is None) == (error is None)
        assert error is None or isinstance(raised, error)
        assert "Å" in (repr(value) if raised is None else str(raised))
        kept = await store.result(job.id)
        assert kept is not None
        assert kept.content == words(told).body
        assert json.loads((kept.state_document or b"").decode())["reference"] == "Å"
        assert kept.headers == (("content-type", "application/json"), ("ETag", '"1"'))
        assert type(await (await bench.manager.get(job.id)).error()) is type(raised)


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_an_error_in_plain_text_is_told_in_its_own_words(store: JobStore) -> None:
    headers = {"Content-Type": "text/plain; charset=iso-8859-1"}
    content = Answer(status=200, body="Å finns inte".encode("latin-1"), headers=headers)
    async with following(Scripted(states=[ok(STATE | {"statusCode": 404})], contents=[content]), store) as bench:
        with pytest.raises(NotFound, match="Å finns inte"):
            await (await bench.manager.submit(read(bench)))


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_an_answer_outside_the_queue_obeys_its_character_set(store: JobStore) -> None:
    told = {"actionResult": "Failed", "errorInfo": "Å"}
    async with following(Scripted(accepted=declared(words(told), "utf-16")), store) as bench:
        with pytest.raises(ActionFailed, match="Å"):
            _ = await bench.manager.submit(release(bench))
        [record] = await bench.manager.list()
        assert record.state is State.FAILED
        kept = await store.result(record.id)
        assert kept is not None
        assert kept.content == words(told).body


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_a_list_obeys_the_character_set_of_its_pages(store: JobStore) -> None:
    told = {"internalId": 1, "number": "10000", "name": "Å", "metadata": {"totalCount": 1, "maxPageSize": 1000}}
    page = words([told])
    async with following(Scripted(contents=[declared(page, "iso-8859-1")]), store) as bench:
        with anyio.fail_after(HANG_SECONDS):
            [row] = await (await bench.manager.submit(bench.visma.customer.list()))
        assert row.name == "Å"


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    "file",
    [
        declared(words({"name": "Å"}), "iso-8859-1"),
        declared(words({"name": "Å"}), "utf-16"),
        Answer(status=200, body=MARKED),
        Answer(status=200, body=BOM + TEXT.encode(), headers=LATIN),
        Answer(status=200, body=b"%PDF-1.7 \xe5\x00\xff", headers=LATIN),
        Answer(status=200, body="å;b".encode("latin-1"), headers={"Content-Type": "text/csv; charset=iso-8859-1"}),
    ],
)
async def test_a_file_stays_byte_for_byte_whatever_it_is_said_to_be(
    store: JobStore, file: Answer, at_once: bool
) -> None:
    script = Scripted(accepted=file) if at_once else Scripted(contents=[file])
    async with following(script, store) as bench:
        job = await bench.manager.submit(bench.visma.attachment.download("1"))
        with anyio.fail_after(HANG_SECONDS):
            assert (await job).content == file.body
        kept = await job.raw()
        assert kept is not None
        assert kept.content == file.body


@pytest.mark.parametrize("told", [TEXT.encode("latin-1"), BOM + TEXT.encode(), MARKED])
def test_what_earlier_versions_stored_is_read_by_the_headers_that_they_stored(told: bytes) -> None:
    note = OperationSummary(id="x", method="GET", path="/v1/customer/1")
    now = datetime(2026, 3, 1, tzinfo=UTC)
    record = JobRecord(id="a", company="c", operation=note, created_at=now, state=State.SUCCEEDED)
    result = JobResult(status_code=200, content=told, headers=(("content-type", OLD),), read_at=now)
    assert value_of(record, result, decode=plain_json) == json.loads(TEXT)


# -- what is not there yet ---------------------------------------------------------------------------------------------

UNKNOWN = Answer(status=404)


@attrs.define
class StillClock:
    """A clock that stands until it is set."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def utc_now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits here, for {seconds} s")

    def move_on_after(self, seconds: float) -> anyio.CancelScope:
        raise AssertionError(f"nobody waits here, for {seconds} s")

    def call_later(self, seconds: float, action: object) -> Timer:
        raise AssertionError(f"nobody waits here, for {seconds} s and {action}")


@attrs.define
class RunningClock(StillClock):
    """One that moves on a little whenever it is looked at, as any real one does."""

    looks: int = 0

    def utc_now(self) -> datetime:
        self.looks += 1
        return super().utc_now() + timedelta(microseconds=self.looks)


async def followed(
    store: JobStore, script: Scripted, *, clock: StillClock | None = None
) -> tuple[JobRecord, list[tuple[str, float]]]:
    """Follow a submitted job to its end, with no time between what the schedule plans; tell what was asked when."""
    clock = clock or StillClock()
    arguments: dict[str, Any] = {"rules": None, "lease_seconds": 60.0, "observer": Observer()}
    held = LeasedJobs(company="c", store=store, clock=clock, **arguments)
    poller = Poller(held, script, random=lambda: 0.0, decoder_of=lambda _: plain_json)
    note = OperationSummary(id="x", method="POST", path="/v1/supplierInvoice/300004/action/release")
    sent: dict[str, Any] = {
        "created_at": clock.utc_now(),
        "sending_at": clock.utc_now(),
        "submitted_at": clock.utc_now(),
    }
    record = JobRecord(id="a", company="c", operation=note, state=State.SUBMITTED, job_id=MINE, **sent)
    held.follow(await held.write_intent(record))
    times: list[float] = []
    while len(held.schedule):
        clock.seconds = max(clock.seconds, held.schedule.wakeup(clock.seconds))
        own_id = held.schedule.take(clock.seconds)
        if own_id is not None:
            before = len(script.asked)
            await poller._ask(own_id)
            times += [clock.seconds] * (len(script.asked) - before)
    ended = await store.get("a")
    assert ended is not None
    return ended, list(zip(script.asked, times, strict=True))


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("clock", [StillClock, RunningClock])
async def test_a_young_404_is_asked_again(store: JobStore, times: int, clock: type[StillClock]) -> None:
    script = Scripted(
        states=[*[UNKNOWN] * times, FINISHED], contents=[*[UNKNOWN] * times, ok({"actionResult": "Done"})]
    )
    record, asked = await followed(store, script, clock=clock())
    assert record.state is State.SUCCEEDED
    for kind in ("state", "content"):
        when = [at for each, at in asked if each == kind]
        assert len(when) == times + 1
        assert 15 <= when[1] - when[0] < 151, "sooner than after another refusal"
        # "a failed request may be repeated twice in five minutes"
        assert times == 1 or when[2] - when[0] > 300


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize(("answer", "times"), [(UNKNOWN, 3), (GONE, 1)])
async def test_a_404_that_stays_is_believed_and_a_410_at_once(store: JobStore, answer: Answer, times: int) -> None:
    record, asked = await followed(store, Scripted(states=[answer]))
    assert (record.state, len(asked)) == (State.EXPIRED, times)
    assert str(answer.status) in (record.error or "")


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_a_404_of_an_older_job_is_believed_at_once(store: JobStore) -> None:
    queued = ok(STATE | {"status": "Queued", "statusCode": 0})
    record, asked = await followed(store, Scripted(states=[*[queued] * 60, UNKNOWN]))
    assert (record.state, len(asked)) == (State.EXPIRED, 61)


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_a_content_that_is_empty_by_its_status_is_none(store: JobStore) -> None:
    record, asked = await followed(store, Scripted(contents=[Answer(status=204)]))
    assert (record.state, len(asked)) == (State.SUCCEEDED, 2)


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_a_content_that_never_can_be_read_ends_as_gone(store: JobStore) -> None:
    record, asked = await followed(store, Scripted(contents=[Answer(status=502)]))
    assert record.state is State.UNCERTAIN, "it was an action"
    assert 24 * 3600 < asked[-1][1] < 26 * 3600


MAINTENANCE = ok({"statusCode": 503, "message": "Service unavailable"})
BLANK = ok(b" ")


def read_by_hand(bench: Bench) -> Any:
    return bench.visma.request("GET", "/v1/supplierInvoice/300004")


AGAIN = [
    *((make, told) for make in (release, read) for told in (HTML, MAINTENANCE, BLANK)),
    (by_hand, HTML),
    (read_by_hand, declared(ok(b"null"), "utf-16")),
]


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize(("make", "first"), AGAIN)
async def test_a_content_that_is_no_answer_of_the_api_is_asked_again(store: JobStore, first: Answer, make: Any) -> None:
    real = {"number": "10000", "name": "Nordlys AS"} if make is read else {"actionResult": "Failed"}
    announced = ok(STATE | {"hasResponseContent": True})
    script = Scripted(states=[announced], contents=[first, first, ok(real)])
    async with following(script, store) as bench:
        job = await bench.manager.submit(make(bench))
        record = await job.wait(timeout_seconds=20_000)
        assert record.state is (State.SUCCEEDED if make is read else State.FAILED)
        assert script.asked == ["state", "content", "content", "content"]
        kept = await store.result(job.id)
        assert kept is not None
        assert kept.content == body(real)


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@pytest.mark.parametrize("content", [HTML, BLANK], ids=["page", "blank"])
async def test_a_content_that_stays_no_answer_of_the_api_is_given_up(store: JobStore, content: Answer) -> None:
    announced = ok(STATE | {"hasResponseContent": True})
    record, asked = await followed(store, Scripted(states=[announced], contents=[content]))
    assert record.state is State.UNCERTAIN, "it was an action"
    assert 24 * 3600 < asked[-1][1] < 26 * 3600


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_what_always_ends_its_poll_is_given_up(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(PollReply, "state", fail)
    record, asked = await followed(store, Scripted())
    assert (record.state, record.error) == (State.EXPIRED, "an answer could not be dealt with (KeyError)")
    assert 24 * 3600 < asked[-1][1] < 26 * 3600


# -- ids that two jobs have, and what is no call -----------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_an_id_that_another_job_has_is_told_in_a_sentence(store: JobStore) -> None:
    script = Scripted(contents=[ok({"actionResult": "Done"})])
    async with following(script, store) as bench:
        first = await bench.manager.submit(bench.visma.supplier_invoice.release("1"))
        with pytest.raises(JobUncertain, match="need a store each") as caught:
            _ = await bench.manager.submit(bench.visma.supplier_invoice.release("2"))
        second = caught.value.job_id or ""
        with anyio.fail_after(HANG_SECONDS):
            assert (await first).action_result == "Done"
        with pytest.raises(JobIdTaken):
            await bench.manager.settle(second, job_id=MINE)
        assert (await bench.manager.record(second)).state is State.UNCERTAIN
        assert (await bench.manager.settle(second, outcome="failed")).state is State.FAILED


@pytest.mark.parametrize("database", ["memory"], indirect=True)
async def test_what_is_no_call_is_refused_by_name(store: JobStore) -> None:
    async with following(Scripted(), store) as bench:
        submit: Any = bench.manager.submit
        with pytest.raises(RequestRefused, match="not str"):
            await submit("customer.get")
        with pytest.raises(RequestRefused, match="submit lists one by one"):
            await bench.manager.submit_many([release(bench), bench.visma.customer.list()])
        with pytest.raises(RequestRefused, match="not an id"):
            await bench.manager.settle(uuid.uuid4().hex, job_id="../../v1/customer/10000")
        assert await bench.manager.list() == []
