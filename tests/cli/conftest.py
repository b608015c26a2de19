"""A simulator in a thread of its own, and the real command line in front of it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import main
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

ROWS = {"customer": 900, "customer_invoice": 450, "supplier": 120}


class Program(subprocess.Popen[str]):
    """A process that is not waited for when the test has failed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, trace)


@attrs.frozen
class Shell:
    """Runs `vismanet` in its own process, pointed at the simulator."""

    simulator: Simulator
    portal: BlockingPortal
    home: Path

    def environment(self, **changes: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VISMANET_")}
        given = {**self.simulator.environment(), "XDG_CONFIG_HOME": str(self.home), **changes}
        path = os.pathsep.join([str(Path.cwd()), *filter(None, [kept.get("PYTHONPATH")])])
        return {**kept, "PYTHONPATH": path, **{name: value for name, value in given.items() if value is not None}}

    def start(self, *argv: str, env: dict[str, str | None] | None = None) -> Program:
        return Program(
            [sys.executable, "-m", "vismanet_async", *argv],
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *argv: str, env: dict[str, str | None] | None = None) -> subprocess.CompletedProcess[str]:
        with self.start(*argv, env=env) as process:
            out, err = process.communicate(timeout=HANG_SECONDS)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def inside(self, *argv: str, env: dict[str, str | None] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it in this process: as good where no signal and no second run is involved, and quicker."""
        out, err = io.StringIO(), io.StringIO()
        environment = self.environment(**(env or {}))
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(argv)
        return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())

    def do(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something of the simulator in its own thread."""
        return self.portal.call(lambda: function(*args, **kwargs))


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    simulator = Simulator(seed=3, rows=ROWS)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Shell(simulator, portal, tmp_path_factory.mktemp("home"))
