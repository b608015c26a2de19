from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.hang import HANG_SECONDS
from vismanet_async.simulator import Simulator, list_behaviours, serve
from vismanet_async.simulator.__main__ import main

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


async def test_the_program_prints_where_it_listens_and_stops_on_a_signal() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vismanet_async.simulator", "--rows", "customer=7", "--seed", "3",
        "--behaviour", "empty_list=null",
        stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    form = {"grant_type": "client_credentials"} | {
        name: told[name] for name in ("client_id", "client_secret", "tenant_id")
    }
    async with aiohttp.ClientSession() as session:
        async with session.post(told["token_url"], data=form) as answer:
            token = (await answer.json())["access_token"]
        async with session.get(
            f"{told['base_url']}/v1/customer", headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert len(await answer.json()) == 7
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert told["environment"]["VISMANET_BASE_URL"] == told["base_url"]


@pytest.mark.parametrize("arguments", [["--rows", "custmer=3"], ["--behaviour", "nope=1"], ["--port", "1"]])
def test_wrong_arguments_are_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if arguments == ["--port", "1"] and os.geteuid() == 0:
        arguments = ["--host", "192.0.2.1"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_behaviours_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-behaviours"]) == 0
    shown = capsys.readouterr().out
    for line in list_behaviours():
        assert f"{line.name} = " in shown
        assert line.source.startswith("facts ")
        assert line.text.endswith(".")


async def test_serve_stops_when_told() -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    seen: list[Simulator] = []

    def on_ready(sim: Simulator) -> None:
        seen.append(sim)
        ready.set()

    task = asyncio.create_task(serve(rows={"customer": 5}, churn={"customer": 1}, on_ready=on_ready, stop=stop))
    await ready.wait()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {seen[0].issue_token()}"}) as session:
        for _ in range(3):
            async with session.get(f"{seen[0].base_url}/v1/customer") as answer:
                assert answer.status == 200
    assert len(seen[0].truth("customer")) == 5
    assert seen[0].truth("customer").keys != [f"1000{number}" for number in range(5)]
    stop.set()
    await task
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session, session.get(seen[0].base_url):
            pass


def test_the_simulator_knows_nothing_of_the_sdk() -> None:
    code = (
        "import sys, vismanet_async.simulator, vismanet_async.simulator.pytest_plugin;"
        "import vismanet_async._simulator.simulator;"
        "own = ('vismanet_async.simulator', 'vismanet_async._simulator', 'vismanet_async._lazy');"
        "bad = [n for n in sys.modules if n.startswith('vismanet_async.') and not n.startswith(own)];"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
