"""Arguments of the wrong type are refused by their names, with an error of the SDK's own, in every public signature."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs
import pytest

from tests.support.clock import VirtualClock
from tests.support.hang import HANG_SECONDS
from vismanet_async import (
    AuthorizationCode,
    ClientCredentials,
    SessionPool,
    Settings,
    StaticToken,
    VismaNet,
    on_or_after,
)
from vismanet_async._api.base import etag_of
from vismanet_async._api.files import Upload
from vismanet_async._arguments import expect, expect_count, expect_seconds, text_of
from vismanet_async._export.companies import Company, companies_of, read_companies
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.formats.parquet import ParquetOptions
from vismanet_async._export.target.manifest import validate
from vismanet_async._webhooks.receiver import WebhookReceiver
from vismanet_async.errors import RequestRefused, SettingsError, VismaNetError
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Odd:
    """Nothing that any signature takes."""

    def __repr__(self) -> str:
        return "secret-value"


PROBES: dict[str, Any] = {
    "an object": Odd(),
    "a class": Odd,
    "a whole number": 5,
    "a negative number": -1,
    "a huge number": 10**400,
    "a number": 2.5,
    "NaN": float("nan"),
    "True": True,
    "text": "text",
    "empty text": "",
    "half a character": "\ud800",
    "bytes": b"bytes",
    "a list of text": ["x"],
    "a list of numbers": [5],
    "a mapping": {"x": 1},
    "a mapping of numbers": {1: 2},
    "an empty set": set(),
    "a function": lambda *_: None,
    "None": None,
}
SECRETS = {"credentials", "client_id", "client_secret", "token", "code", "refresh_token", "key", "storage_options"}
SIGN_IN = ClientCredentials("app", "s3cret", tenant_id="company")
TOKEN = StaticToken("t0ken", tenant_id="company")


@attrs.frozen
class Signature:
    """One public callable: how it is called with one argument replaced, and which arguments it has."""

    call: Callable[..., Any]
    names: tuple[str, ...]
    positional: tuple[str, ...] = ()
    """Those that Python takes by position: an error may call them by what they are."""


def _with(given: dict[str, Any], **usual: Any) -> dict[str, Any]:
    return usual | given


def of(call: Callable[..., Any], names: str, positional: str = "") -> Signature:
    return Signature(call, tuple(names.split()), tuple(positional.split()))


def signatures(visma: VismaNet, folder: Path) -> dict[str, Signature]:
    async def client(credentials: Any = SIGN_IN, **options: Any) -> None:
        async with VismaNet(credentials, **options):
            pass

    def read() -> Any:
        return visma.customer.get("10000")

    def update(*, body: Any = None, if_match: Any = None) -> Any:
        return visma.customer.update("10000", {"name": "x"} if body is None else body, if_match=if_match)

    async def modify(*, change: Any = lambda _: None, attempts: Any = 1) -> Any:
        return await visma.customer.modify("10000", change, attempts=attempts)

    async def job(**options: Any) -> Any:
        return await (await visma.jobs.submit(read())).wait(**options)

    export: dict[str, Any] = {"resources": "customer", "to": folder / "out"}
    request: dict[str, Any] = {"method": "GET", "path": "/v1/customer/10000"}
    return {
        "VismaNet": of(
            client,
            "credentials base_url sales_order_url token_url time_zone concurrency timeout_seconds headers job_store "
            "pool observer clock",
        ),
        "from_settings": of(VismaNet.from_settings, "settings"),
        "from_env": of(VismaNet.from_env, "profile"),
        "company": of(lambda **given: visma.company(**{"tenant_id": "x"} | given), "tenant_id credentials concurrency"),
        "Settings": of(
            Settings, "client_id client_secret tenant_id token base_url token_url sales_order_url time_zone job_store"
        ),
        "Settings.load": of(Settings.load, "environ profile client_id base_url time_zone"),
        "ClientCredentials": of(
            lambda **given: attrs.evolve(SIGN_IN, **given),
            "client_id client_secret tenant_id scopes sales_order_scopes",
        ),
        "StaticToken": of(lambda **given: attrs.evolve(TOKEN, **given), "token tenant_id"),
        "AuthorizationCode": of(
            lambda **given: AuthorizationCode(**{"client_id": "app", "refresh_token": "r"} | given),
            "client_id client_secret redirect_uri code code_verifier refresh_token on_refresh_token identity",
        ),
        "SessionPool": of(SessionPool, "max_connections user_agent"),
        "list_by_name": of(
            lambda **given: visma.list_by_name(**{"name": "customer"} | given),
            "name filters limit page_size",
            "filters",
        ),
        "request": of(lambda **given: visma.request(**request | given), "method path query headers service"),
        "Operation.with_options": of(lambda **given: read().with_options(**given), "timeout_seconds headers"),
        "Listing.with_options": of(
            lambda **given: visma.customer.list().with_options(**given),
            "completeness allow_uncertain ordered limit page_size expected_rows timeout_seconds max_bytes",
        ),
        "update": of(update, "body if_match", "body"),
        "etag_of": of(lambda **given: etag_of(*given.values()), "if_match"),
        "modify": of(modify, "change attempts"),
        "upload": of(lambda file: visma.customer_invoice.add_attachment("1", file), "file"),
        "Upload": of(
            lambda **given: Upload(**{"content": b"x", "name": "a.pdf"} | given), "content name content_type", "content"
        ),
        "save": of(lambda target: visma.attachment.download("1").save(target), "target"),
        "export": of(
            lambda **given: visma.export(**export | given),
            "resources to storage_options spool format completeness allow_uncertain page_size part_bytes "
            "format_options incremental overlap resume",
        ),
        "export_many": of(
            lambda **given: visma.export_many(**{"companies": ["a=b"]} | export | given),
            "companies resources to at_once connections",
        ),
        "CsvOptions": of(CsvOptions, "neutralise_formulas byte_order_mark delimiter decimal_comma header"),
        "ParquetOptions": of(ParquetOptions, "compression row_group_bytes"),
        "Company": of(
            lambda **given: Company(**{"name": "a", "tenant_id": "b"} | given),
            "name tenant_id client_id_env client_secret_env",
        ),
        "companies_of": of(lambda **given: companies_of(*given.values()), "companies"),
        "read_companies": of(read_companies, "path"),
        "validate": of(lambda **given: validate(*given.values()), "to"),
        "submit": of(
            lambda **given: visma.jobs.submit(**{"operation": read()} | given),
            "operation reference notify deadline_seconds document",
        ),
        "submit_many": of(
            lambda **given: visma.jobs.submit_many(**{"operations": [read()]} | given),
            "operations reference notify deadline_seconds at_once",
        ),
        "jobs.get": of(lambda **given: visma.jobs.get(**{"own_id": "x"} | given), "own_id operation"),
        "jobs.from_token": of(visma.jobs.from_token, "token"),
        "jobs.list": of(visma.jobs.list, "states reference limit"),
        "jobs.settle": of(lambda **given: visma.jobs.settle(**{"own_id": "x"} | given), "own_id outcome job_id note"),
        "jobs.prune": of(visma.jobs.prune, "older_than"),
        "jobs.record": of(visma.jobs.record, "own_id"),
        "jobs.kept_result": of(visma.jobs.kept_result, "own_id"),
        "jobs.forget": of(visma.jobs.forget, "own_id"),
        "Job.wait": of(job, "timeout_seconds"),
        "WebhookReceiver": of(
            lambda **given: WebhookReceiver(**_with(given, hints=visma.jobs, key="k", signature_header="h")),
            "hints key signature_header body_limit_bytes sources",
        ),
        "on_or_after": of(lambda **given: on_or_after(*given.values()), "condition"),
    }


NAMES = tuple(signatures(mock.Mock(), Path()))


@pytest.fixture
async def visma(tmp_path: Path) -> AsyncIterator[VismaNet]:
    async with Simulator(seed=1, rows={"customer": 3}) as simulator:
        credentials = ClientCredentials(simulator.client_id, simulator.client_secret, tenant_id=simulator.tenant_id)
        async with VismaNet(
            credentials,
            base_url=simulator.base_url,
            token_url=simulator.token_url,
            job_store=tmp_path / "jobs.sqlite",
            clock=VirtualClock(scopes_move=True),  # so that a wait of some seconds takes none
        ) as client:
            yield client


async def error_of(call: Callable[..., Any], name: str, value: Any) -> Exception | None:
    """Call it, and make the call that it gives; what it takes shall not end with an error of another kind."""
    try:
        given = call(**{name: value})
        if inspect.iscoroutine(given):
            await asyncio.wait_for(given, HANG_SECONDS)
        elif hasattr(given, "close"):
            given.close()
    except Exception as error:  # noqa: BLE001 - which kinds may come is what is tested
        # a wait that was given too little time ends as `asyncio.timeout` does
        return None if isinstance(error, TimeoutError) else error
    return None


@pytest.mark.parametrize("where", NAMES)
async def test_what_a_signature_does_not_take_is_refused(
    where: str, visma: VismaNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, wrong = signatures(visma, tmp_path)[where], []
    for name in one.names:
        for what, value in PROBES.items():
            if name == "change" and isinstance(value, type):
                continue  # a class is a function, too; what it raises is the caller's own
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # what is refused is not sent
                error = await error_of(one.call, name, value)
            about = f"{where}({name}={what}): {type(error).__name__} {ascii(str(error))[:200]}"
            if error is not None and not isinstance(error, VismaNetError):
                wrong.append(f"raw: {about}")
            if isinstance(value, Odd) and (error is None or (name not in str(error) and name not in one.positional)):
                wrong.append(f"not refused by its name: {about}")
            if "secret-value" in str(error) and name in SECRETS:
                wrong.append(f"shows the value: {about}")
    assert not wrong, "\n".join(wrong)


# --- what is likely to be tried --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: VismaNet("t0ken-of-mine"), "credentials takes .*StaticToken.*, not str"),  # type: ignore[arg-type]
        (lambda: VismaNet(StaticToken), "credentials takes .*, not the class StaticToken"),  # type: ignore[arg-type]
        (lambda: VismaNet(TOKEN, timeout_seconds="5"), "timeout_seconds takes seconds, not str"),  # type: ignore[arg-type]
        (lambda: VismaNet(TOKEN, time_zone="Oslo"), "time_zone 'Oslo' is not a known zone"),
        (lambda: VismaNet(TOKEN, time_zone=1), "time_zone takes a name such as Europe/Oslo"),
        (lambda: VismaNet(TOKEN, headers={"X-A": 1}), r"headers\['X-A'\] takes text, not int"),  # type: ignore[dict-item]
        (lambda: VismaNet(TOKEN, pool=5), "pool takes a SessionPool, not int"),  # type: ignore[arg-type]
        (lambda: VismaNet.from_settings({}), "settings takes Settings, not dict"),  # type: ignore[arg-type]
        (lambda: ClientCredentials("a", "b", tenant_id="c", scopes="read write"), "scopes takes a list of scopes"),
    ],
)
def test_a_client_is_not_built_of_the_wrong_things(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        make()
    assert "t0ken-of-mine" not in str(caught.value)


async def test_calls_name_what_is_wrong(visma: VismaNet, tmp_path: Path) -> None:
    for make, said in (
        (lambda: visma.customer.update("1", {"name": "x"}, if_match=123), "if_match takes an ETag"),  # type: ignore[arg-type]
        (lambda: visma.customer.get("1").with_options(timeout_seconds="5"), "timeout_seconds takes"),  # type: ignore[arg-type]
        (lambda: visma.export([visma.customer], to=tmp_path), "resources takes names of resources as texts"),  # type: ignore[list-item]
        (lambda: visma.export("customer", to=tmp_path, spool=5), "spool takes a local directory"),
        (lambda: visma.export("customer", to=tmp_path, overlap=24), "overlap takes a timedelta, not int"),
        (lambda: visma.customer_invoice.add_attachment("1", tmp_path), "file takes a file such as Upload"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RequestRefused, match=said):
            make()
    sent = visma.customer.get("10000").send()
    for wrong in (sent, visma.customer):
        with pytest.raises(RequestRefused, match=r"operation takes a call such as .*, not "):
            _ = await visma.jobs.submit(wrong)  # type: ignore[call-overload]
    sent.close()


async def test_the_obvious_texts_are_taken(visma: VismaNet, tmp_path: Path) -> None:
    assert str(VismaNet(TOKEN, time_zone="Europe/Oslo").time_zone) == "Europe/Oslo"
    plan = visma.export("customer", to=tmp_path, spool=str(tmp_path / "spool"))
    plan.close()
    assert plan.plan.spool == tmp_path / "spool"


# --- the checks themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kinds", "said"),
    [
        (5, (str, type(None)), "x takes text or None, not int; nothing was sent."),
        (True, (int, float), "x takes a whole number or a number, not bool; nothing was sent."),
        (str, (str,), "x takes text, not the class str; nothing was sent."),
        (None, (str, bytes, timedelta), "x takes text, bytes or a timedelta, not None; nothing was sent."),
        ("\ud800", (str,), "x takes text, not half a surrogate pair; nothing was sent."),
    ],
)
def test_what_is_expected_is_said_in_words(value: Any, kinds: tuple[type, ...], said: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        expect("x", value, *kinds)
    assert str(caught.value) == said


def test_what_fits_passes() -> None:
    expect("x", True, bool)
    expect("x", "å", str)
    expect("x", "\udc80", str, Path)
    expect_seconds("x", None)
    expect_seconds("x", 0, zero=True)
    expect_seconds("x", float("inf"))
    expect_count("x", 0, least=0)
    expect_count("x", None, none=True)
    assert text_of(5) == "int"


@pytest.mark.parametrize("value", [0, -1, float("nan"), 10**400, "5", True])
def test_what_is_no_time_to_wait(value: Any) -> None:
    with pytest.raises(RequestRefused, match=r"^x "):
        expect_seconds("x", value)


@pytest.mark.parametrize("value", [0, 2.5, 10**400, "5", True, None])
def test_what_is_no_count(value: Any) -> None:
    with pytest.raises(RequestRefused, match=r"^x ") as caught:
        expect_count("x", value)
    assert len(str(caught.value)) < 100
