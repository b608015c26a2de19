from __future__ import annotations

import contextlib
import functools
import io
import json
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tests.jobs.postgres import new_database, postgres
from tests.support.hang import HANG_SECONDS
from vismanet_async._api.decoders import decoder_of
from vismanet_async._api.results import Created, Updated
from vismanet_async._cli import main
from vismanet_async._http.message import Response
from vismanet_async._jobs import schedule
from vismanet_async._jobs.manager import JobManager
from vismanet_async.errors import ActionFailed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cli.conftest import Shell


@attrs.frozen
class Queue:
    """`vismanet jobs`, each call with the same file store, and the simulator's queue behind it."""

    shell: Shell
    store: Path | str

    def __call__(self, *argv: str, **env: str | None) -> subprocess.CompletedProcess[str]:
        return self.shell.inside("jobs", *argv, env={"VISMANET_JOB_STORE": str(self.store), **env})

    def start(self, *argv: str, **env: str) -> subprocess.Popen[str]:
        return self.shell.start("jobs", *argv, env={"VISMANET_JOB_STORE": str(self.store), **env})

    def json(self, *argv: str) -> Any:
        done = self(*argv, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def submit(self, *argv: str) -> str:
        done = self("submit", *argv)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def script(self, **what: Any) -> None:
        self.shell.do(self.shell.simulator.company().background.script, **what)

    @property
    def number(self) -> str:
        return str(min(self.shell.do(self.shell.simulator.truth, "customer").keys))


@pytest.fixture
def jobs(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    # the queue is quick here, so polls may be too
    quick = functools.partial(schedule.Rules, first_gaps_seconds=(0.2, 0.3, 0.5, 5.0, 10.0, 44.25))
    monkeypatch.setattr(schedule, "Rules", quick)
    queue = shell.simulator.company().background
    queue.delay_seconds = queue.run_seconds = 0.05
    return Queue(shell, tmp_path / "jobs.sqlite3")


def refused(done: subprocess.CompletedProcess[str], code: int, said: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_job_lives_over_several_commands(jobs: Queue, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"name": "Fjord Fisk AS"}')
    own_id = jobs.submit("customer.update", jobs.number, "--json", str(body), "--reference", "nightly")
    (listed,) = jobs.json("list", "--state", "submitted", "--reference", "nightly")
    assert listed["id"] == own_id
    assert listed["operation"]["path"] == f"/v1/customer/{jobs.number}"
    refused(jobs("result", own_id), 7, "vismanet jobs wait")
    waited = jobs("wait", own_id)
    assert (waited.returncode, waited.stderr) == (0, "")
    assert waited.stdout.startswith(f"{own_id}  succeeded  204")
    result = json.loads(jobs("result", own_id).stdout)
    assert result["etag"]
    shown = jobs("show", listed["job_id"]).stdout  # the server's id will do as well
    assert "nightly" in shown
    assert "succeeded" in shown
    assert jobs.json("list", "--state", "submitted", "--state", "running") == []
    assert len(jobs.shell.simulator.ledger.matching(operation="Customer_PutBycustomerCd")) == 1
    assert jobs.json("prune", "--older-than", "1d") == {"pruned": 0}
    assert "1 job deleted" in jobs("prune", "--older-than", "0s").stdout
    refused(jobs("show", own_id), 2, f"no job {own_id}")


@pytest.mark.parametrize(
    ("code", "state", "exit_code"), [(503, "uncertain", 7), (408, "uncertain", 7), (500, "failed", 5)]
)
def test_record_list_and_exit_code_say_the_same_of_an_action(
    jobs: Queue, code: int, state: str, exit_code: int
) -> None:
    jobs.script(status_code=code)
    done = jobs("submit", "customer_invoice.release", "1", "--wait", "--reference", "x")
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert f"{code}" in done.stderr
    (record,) = jobs.json("list", "--state", state)
    assert (record["state"], record["status_code"]) == (state, code)
    assert jobs.json("list", "--state", "failed" if state == "uncertain" else "uncertain") == []
    for command in ("wait", "result"):
        told = jobs(command, record["id"])
        assert told.returncode == exit_code
        assert f"{code}" in told.stderr
    assert state in jobs("show", record["id"]).stdout
    if state == "uncertain":
        assert "does not tell whether it was executed" in done.stderr
        assert jobs("settle", record["id"], "--as", "succeeded", "--note", "seen").returncode == 0
        assert jobs("result", record["id"]).returncode == 0


def test_how_much_of_the_quota_polls_may_use_is_an_option(jobs: Queue) -> None:
    with mock.patch.object(JobManager, "poll_share", new_callable=mock.PropertyMock) as share:
        assert jobs("watch", "--poll-share", "0.9").returncode == 0
        assert share.mock_calls == [mock.call(0.9)]
    refused(jobs("watch", "--poll-share", "1.5"), 2, "--poll-share")


def test_a_job_lives_in_postgresql(jobs: Queue) -> None:
    with postgres() as server, jobs.shell.portal.wrap_async_context_manager(new_database(server)) as url:
        shared = attrs.evolve(jobs, store=url)
        own_id = shared.submit("customer.get", jobs.number, "--reference", "nightly")
        with shared.start("list", "--reference", "nightly", "--json") as listing:
            out, err = listing.communicate(timeout=HANG_SECONDS)
        assert (listing.returncode, err) == (0, "")
        (listed,) = json.loads(out)
        assert (listed["id"], listed["state"]) == (own_id, "submitted")
        assert shared("wait", own_id).stdout.startswith(f"{own_id}  succeeded  200")
        assert json.loads(shared("result", own_id).stdout)["number"] == jobs.number
        assert shared.json("prune", "--older-than", "0s") == {"pruned": 1}
        assert shared.json("list") == []


def test_submit_and_wait_prints_the_result_itself(jobs: Queue) -> None:
    done = jobs("submit", "customer.get", jobs.number, "--wait")
    assert done.returncode == 0
    assert json.loads(done.stdout)["number"] == jobs.number
    (record,) = jobs.json("list")
    assert done.stderr.strip() == record["id"]


def test_files_are_saved_from_jobs(jobs: Queue, tmp_path: Path) -> None:
    number = min(jobs.shell.do(jobs.shell.simulator.truth, "customer_invoice").keys)
    refused(jobs("submit", "customer_invoice.print", number, "--wait"), 2, "--to PATH")
    own_id = jobs.submit("customer_invoice.print", number)
    assert jobs("wait", own_id).returncode == 0
    refused(jobs("result", own_id), 2, "--to PATH")
    saved = json.loads(jobs("result", own_id, "--to", str(tmp_path / "a.pdf")).stdout)
    assert saved == {"path": str(tmp_path / "a.pdf")}
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "folder").mkdir()
    folder = ("result", own_id, "--to", str(tmp_path / "folder"))
    assert jobs(*folder).returncode == 0
    refused(jobs(*folder), 6, "cannot be written")
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_a_job_that_takes_longer_than_one_waits(jobs: Queue) -> None:
    jobs.script(outcome="hang")
    own_id = jobs.submit("customer.get", jobs.number)
    refused(jobs("wait", own_id, "--timeout", "0.3"), 7, "may be waited for again")


def test_a_failed_job_fails_the_command(jobs: Queue) -> None:
    jobs.script(status_code=400, message="It is closed.")
    own_id = jobs.submit("customer.get", jobs.number)
    waited = jobs("wait", own_id)
    assert waited.returncode == 5
    assert "It is closed." in waited.stderr
    assert "failed  400" in waited.stdout
    refused(jobs("result", own_id), 5, "It is closed.")
    assert "It is closed." in jobs("show", own_id).stdout


def test_an_uncertain_job_is_settled_by_hand_and_never_sent_again(jobs: Queue, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"name": "Fjord Fisk AS"}')
    jobs.script(lose_answer=True)
    update = ("submit", "customer.update", jobs.number, "--json", str(body))
    refused(jobs(*update), 7, "settle the job")
    (record,) = jobs.json("list", "--state", "uncertain")
    refused(jobs("result", record["id"]), 7, "settle the job")
    refused(jobs(*update), 7, record["id"])  # the next on the same document is not sent either
    refused(jobs("settle", record["id"]), 2, "one of both")
    settled = jobs.json("settle", record["id"], "--as", "succeeded", "--note", "seen in the ERP")
    assert (settled["state"], settled["settled_by"]) == ("succeeded", "user")
    refused(jobs("settle", record["id"], "--as", "failed"), 2, "nothing was changed")
    assert json.loads(jobs("result", record["id"]).stdout) is None
    sent = [one for one in jobs.shell.simulator.requests if one.method == "PUT"]
    assert len(sent) == 1


def test_a_job_found_again_is_followed(jobs: Queue) -> None:
    jobs.script(lose_answer=True)
    refused(jobs("submit", "customer.get", jobs.number), 7, "settle the job")
    (record,) = jobs.json("list")
    (theirs,) = jobs.shell.simulator.company().background.jobs
    assert jobs("settle", record["id"], "--job-id", theirs).returncode == 0
    assert jobs("wait", record["id"]).returncode == 0
    assert json.loads(jobs("result", record["id"]).stdout)["number"] == jobs.number


def test_watch_follows_open_jobs_to_their_end(jobs: Queue) -> None:
    jobs.script(status_code=400)
    ids = [jobs.submit("customer.get", jobs.number) for _ in range(3)]
    done = jobs("watch")
    assert done.returncode == 0
    states = [tuple(line.split("  ")[:2]) for line in done.stdout.splitlines()]
    assert {own_id for own_id, _ in states} == set(ids)
    ended = {own_id: state for own_id, state in states if state in {"succeeded", "failed"}}
    assert sorted(ended.values()) == ["failed", "succeeded", "succeeded"]
    times = {(words[0], words[1]): words[3] for words in (line.split("  ") for line in done.stdout.splitlines())}
    for record in jobs.json("list"):
        settled = datetime.fromisoformat(record["settled_at"])
        # of the end the line has its own time, not that of the submission
        assert times[record["id"], record["state"]] == settled.isoformat(timespec="seconds")
    assert jobs("watch").stdout == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_tables(jobs: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    own_id = jobs.submit("customer.get", jobs.number)
    environment = {"COLUMNS": "200", "TERM": "xterm", "VISMANET_JOB_STORE": str(jobs.store)}
    for name, value in jobs.shell.environment(**environment).items():
        monkeypatch.setenv(name, value)
    for argv in (["jobs", "watch"], ["jobs", "list"]):
        with contextlib.redirect_stdout(Terminal()) as out:
            assert main(argv) == 0
        assert own_id in out.getvalue()
        assert "succeeded" in out.getvalue()
        assert "reference" in out.getvalue()  # the heads of the columns


def test_an_action_that_failed_with_a_success_status_fails_the_wait_of_another_process(jobs: Queue) -> None:
    jobs.shell.simulator.behaviours.set(action_failures="failed_with_200")
    number = min(jobs.shell.do(jobs.shell.simulator.truth, "customer_invoice").keys)
    jobs("wait", jobs.submit("customer_invoice.release", number))
    ended = jobs("wait", jobs.submit("customer_invoice.release", number))  # what is released cannot be once more
    assert ended.returncode == 5
    assert "failed although it was answered with 200" in ended.stderr
    assert "  failed  " in ended.stdout  # what the action says of itself decides


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_follows_jobs_until_it_is_stopped(jobs: Queue, stop: signal.Signals) -> None:
    with jobs.start("run", "--json") as worker:
        own_id = jobs.submit("customer.get", jobs.number)
        assert worker.stdout is not None
        for line in worker.stdout:
            record = json.loads(line)
            assert record["id"] == own_id
            if record["state"] == "succeeded":
                break
        worker.send_signal(stop)
        _, err = worker.communicate(timeout=HANG_SECONDS)
    assert (worker.returncode, err) == (0, "")


def test_a_webhook_ends_the_wait_of_another_process(jobs: Queue) -> None:
    options = ("listen", "--port", "0", "--path", "/visma", "--key-env", "HOOK_KEY", "--header", "X-Visma-Signature")
    hooks = jobs.shell.simulator.webhooks
    jobs.script(run_seconds=1.0)
    with jobs.start(*options, "--json", HOOK_KEY=hooks.key) as listener:
        assert listener.stdout is not None
        url = json.loads(listener.stdout.readline())["url"]
        assert url.endswith("/visma")
        hooks.url = url
        own_id = jobs.submit("customer.get", jobs.number, "--notify", "subscription")
        assert jobs("wait", own_id, "--timeout", str(HANG_SECONDS)).returncode == 0
        (record,) = jobs.json("list")
        assert record["hinted_at"]
        assert record["polls"] <= 2  # one when it was taken over; the next would come after a quarter of an hour
        listener.send_signal(signal.SIGTERM)
        _, err = listener.communicate(timeout=HANG_SECONDS)
    assert (listener.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["submit", "customer.gte", "1"], "Did you mean get"),
        (["submit", "customer.list"], "is a list"),
        (["submit", "customer.get", "1", "--wait", "--to", "x"], "no file to save"),
        (["submit", "customer.get", "1", "--reference", "a,b"], "comma"),
        (["submit", "customer.get", "1", "--notify", "mail"], "subscription"),
        (["submit", "background.get", "1"], "cannot run in the background"),
        (["list", "--state", "done"], "uncertain"),
        (["wait", "nothing"], "no job nothing"),
        (["wait", "x", "--timeout", "0"], "--timeout"),
        (["prune", "--older-than", "long"], "90d"),
        (["settle", "nothing", "--as", "succeeded"], "no job nothing"),
        (["listen", "--port", "0", "--key-env", "NO_SUCH", "--header", "X"], "NO_SUCH"),
        (["listen", "--port", "0", "--key-env", "PATH", "--header", "X", "--path", "hooks"], "begins with a slash"),
        (["listen", "--port", "0", "--key-env", "PATH", "--header", "X Sig:"], "'X Sig:' cannot be"),
        (["list", "--store", "redis://x"], "store"),
    ],
)
def test_wrong_use_is_refused(jobs: Queue, argv: list[str], said: str) -> None:
    before = jobs.shell.simulator.requests.total
    refused(jobs(*argv), 2, said)
    assert jobs.shell.simulator.requests.total == before


def test_the_store_alone_needs_no_sign_in_but_the_company(jobs: Queue) -> None:
    nobody: dict[str, str | None] = {"VISMANET_CLIENT_ID": None, "VISMANET_CLIENT_SECRET": None}
    assert jobs("list", **nobody).returncode == 0
    refused(jobs("list", VISMANET_TENANT_ID=None), 2, "VISMANET_TENANT_ID")
    refused(jobs("watch", **nobody), 2, "VISMANET_CLIENT_ID")


def test_a_store_that_cannot_be_opened(jobs: Queue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert jobs("list", VISMANET_JOB_STORE=str(tmp_path / "file" / "jobs.db")).returncode == 6


def test_a_named_store_wins_over_the_environment_and_that_over_the_profile(jobs: Queue, tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f"[default]\njob_store = '{tmp_path / 'profile.db'}'\n")
    profiles.chmod(0o600)
    store = tmp_path / "named.db"
    for argv, env in (
        (["list", "--store", str(store)], str(jobs.store)),
        (["list"], str(jobs.store)),
        (["list"], None),
    ):
        before = {*tmp_path.iterdir()}
        assert jobs(*argv, VISMANET_PROFILE_FILE=str(profiles), VISMANET_JOB_STORE=env).returncode == 0
        made = {path.name for path in {*tmp_path.iterdir()} - before if not path.name.endswith(("-wal", "-shm"))}
        assert made == {store.name if "--store" in argv else "jobs.sqlite3" if env else "profile.db"}


# --- decoders ------------------------------------------------------------------------------------------------------


def answer(body: bytes = b"", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=200, headers=CIMultiDictProxy(CIMultiDict(named)), body=body)


def decoded(operation_id: str, response: Response) -> Any:
    decode = decoder_of(operation_id)
    assert decode is not None
    return decode(response)


def test_answers_are_decoded_by_their_operation() -> None:
    assert decoded("Customer_GetBycustomerCd", answer(b'{"number": "7"}', ETag='"AA="')).etag == "AA="
    assert decoded("Customer_PutBycustomerCd", answer(ETag='"AA="')) == Updated(etag="AA=")
    made = decoded("Customer_Post", answer(Location="http://x.example/v1/customer/7"))
    assert isinstance(made, Created)
    assert made.id == "7"
    assert decoded("Attribute_DeleteByattributeId", answer()) is None
    assert decoder_of("Customer_GetAll") is None
    assert decoder_of("GET /v1/unknown") is None


def test_a_success_that_says_failed_is_a_failure() -> None:
    with pytest.raises(ActionFailed, match="closed"):
        decoded("CashTransaction_ReleaseByreferenceNbr", answer(b'{"actionResult": "Failed", "errorInfo": "closed"}'))
