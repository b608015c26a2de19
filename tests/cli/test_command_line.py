from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async import errors
from vismanet_async._bulk.journal_rows import JournalBusy
from vismanet_async._cli import exit_codes, main
from vismanet_async._cli.export import filters_by_resource
from vismanet_async._conditions import after, before, on_or_after, on_or_before
from vismanet_async._jobs.store import JobUnknown, StoreNotUsable
from vismanet_async._version import __version__
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._conditions import Condition


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TENANT_ID", "TOKEN", "BASE_URL", "PROFILE", "PROFILE_FILE"):
        monkeypatch.delenv(f"VISMANET_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vismanet: ")
    assert err.count("\n") == 1
    return code, err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["exprot"], "export"),
        (["export", "customer"], "--to"),
        (["export", "--to", "x"], "no resource to export"),
        (["export", "customer", "--to", "x", "--frmat", "csv"], "--format"),
        (["export", "customer", "--to", "x", "--format", "xml"], "jsonl"),
        (["jobs", "submit", "customer.get"], "For example: vismanet jobs submit customer.get CUSTOMER_CD"),
        (["export", "customer", "--to", "x", "--concurrency", "many"], "'many' is not a whole number or auto"),
        (["export", "customer", "--to", "x", "--page-size", "many"], "--page-size: 'many' is not a whole number"),
        (["export", "customer", "--to", "x", "--overlap-hours", "day"], "'day' is not a number"),
        (["export", "customer", "--to", "x", "--overlap-hours", "-2", "--incremental"], "negative (-2 hours)"),
        (["export", "customer", "--to", "x", "--bogus"], "`vismanet export --help`"),
        (["export", "customer", "--to", "x", "--companies", "absent.toml"], "absent.toml cannot be read: No such file"),
        (["export", "--verify"], "only with --status"),
        (["export"], "vismanet export customer --to DIRECTORY"),
        (["simulate", "--rows", "customer"], "--rows 'customer' is not RESOURCE=COUNT"),
        (["simulate", "--churn", "customer=some"], "'some' is not a number of records"),
        (["simulate", "--rows", "custmer=1"], "Did you mean customer"),
        (["simulate", "--rows", "zzzzz=1"], "`vismanet resources` list them"),
        (["simulate", "--behaviour", "x=1"], "--list-behaviours"),
        (["jobs", "foo"], "`vismanet jobs --help`"),
        (["export", "customer", "--to", "x", "--completeness", "sure"], "prove"),
        (["export", "customer", "--to", "x", "--page-size", "0"], "at least 1"),
        (["export", "customer", "customer", "--to", "x"], "twice"),
        (["export", "customer", "--to", "x", "--where", "status"], "NAME=VALUE"),
        (["export", "customer", "--to", "x", "--where", "supplier.status=a"], "supplier is not exported"),
        (["export", "customer", "--to", "x", "--since", "yesterday"], "not a moment"),
        (["export", "customer", "--to", "x", "--since", "2026-01-01T10:00:00Z"], "without zone"),
        (["export", "customer", "--to", "x"], "VISMANET_CLIENT_ID"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, err = refused(argv, capsys)
    assert code == 2
    assert said in err
    assert not (tmp_path / "x").exists()


def test_a_url_that_no_store_belongs_to_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = refused(["export", "customer", "--to", "nowhere://bucket"], capsys)
    assert code == 6
    assert "nowhere" in err


def test_filters_go_to_the_resources_they_are_for() -> None:
    given = filters_by_resource(
        ["customer", "customer_invoice"],
        [
            "status=Open",
            "customer_invoice.customer=a=b>=c",
            "customer_invoice.document_due_date>2026-03-03",
            "customer.name=",
        ],
        since="2026-01-02",
    )
    everywhere = {"status": "Open", "last_modified_date_time": on_or_after("2026-01-02")}
    assert given == {
        "customer": {**everywhere, "name": ""},
        "customer_invoice": {**everywhere, "customer": "a=b>=c", "document_due_date": after("2026-03-03")},
    }


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("document_due_date<=2026-01-01", on_or_before("2026-01-01")),
        ("document_due_date>=2026-01-01", on_or_after("2026-01-01")),
        ("document_due_date>2026-01-01", after("2026-01-01")),
        ("document_due_date<2026-01-01", before("2026-01-01")),
    ],
)
def test_comparisons_are_conditions(text: str, condition: Condition[Any]) -> None:
    ((name, value),) = filters_by_resource(["customer_invoice"], [text])["customer_invoice"].items()
    assert text.startswith(name)
    assert value == condition


def test_a_filter_given_twice_is_refused() -> None:
    with pytest.raises(RequestRefused, match="given twice"):
        filters_by_resource(["customer"], ["status=Open", "customer.status=Closed"])


def all_errors(of: type[VismaNetError] = VismaNetError) -> list[type[VismaNetError]]:
    return [of, *(inner for kind in of.__subclasses__() for inner in all_errors(kind))]


def test_every_error_has_its_exit_code() -> None:
    def code(kind: type[VismaNetError]) -> int:
        error = kind.__new__(kind)
        error.__dict__["sent"] = False
        return exit_codes.exit_code(error)

    def codes(*kinds: type[VismaNetError]) -> set[int]:
        return {code(kind) for top in kinds for kind in all_errors(top)}

    assert codes(errors.SettingsError, errors.RequestRefused) == {2}
    assert codes(errors.TokenRefused, errors.Unauthorized, errors.Forbidden) == {3}
    assert codes(errors.IncompleteListing) == {4}
    assert codes(errors.ServerError, errors.RateLimited, errors.UnexpectedResponse, errors.NotSent) == {5}
    assert {code(kind) for kind in (errors.ExportError, errors.TargetNotWritable, StoreNotUsable)} == {6}
    assert codes(errors.TargetBusy, JournalBusy) == {10}
    assert codes(errors.OutcomeUnknown, errors.JobFailed, errors.JobExpired, errors.JobUncertain) == {7}
    assert code(JobUnknown) == 2


@pytest.mark.parametrize(("sent", "code"), [(True, 7), (False, 5)])
def test_a_deadline_tells_whether_something_may_have_happened(sent: bool, code: int) -> None:
    assert exit_codes.exit_code(errors.DeadlineExceeded("late", sent=sent)) == code


def test_help_and_version_cost_no_client(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "export" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    code = (
        "import sys; from vismanet_async._cli import main; main(['--help']); "
        "sys.exit(' '.join({'aiohttp', 'cattrs', 'rich.progress', 'vismanet_async._client'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_help_starts_quickly() -> None:
    """Within 1.6 times the import of what draws it, in processor time: other tests run beside this one."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def seconds(*argv: str) -> float:
        before = spent()
        subprocess.run([sys.executable, *argv], capture_output=True, timeout=HANG_SECONDS, check=True)
        return spent() - before

    # in turns, so that a machine that is slow for a while is so for both; and often enough to see each undisturbed once
    libraries = shown = float("inf")
    for turn in range(16):
        libraries = min(libraries, seconds("-c", "import cyclopts, cyclopts.validators, rich.console"))
        shown = min(shown, seconds("-m", "vismanet_async", "--help"))
        if turn >= 3 and shown < 1.6 * libraries + 0.05:
            break
    assert shown < 1.6 * libraries + 0.05


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vismanet_async", "export"],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("vismanet: ")
    assert done.stdout == ""
