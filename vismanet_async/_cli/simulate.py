"""`vismanet simulate`: a Visma Net company on this machine until it is interrupted."""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from vismanet_async._cli.exit_codes import DONE
from vismanet_async.errors import SettingsError
from vismanet_async.simulator import list_behaviours, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vismanet_async.simulator import Simulator

__all__ = ["run_simulate", "show_behaviours"]


def run_simulate(
    *,
    port: int,
    seed: int,
    rows: Sequence[str],
    churn: Sequence[str],
    latency: float,
    quota: int,
    behaviours: Sequence[str],
    as_json: bool,
) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: the port is taken, or a resource or a behaviour is not known.
    """
    run = partial(
        serve,
        port=port,
        seed=seed,
        rows=_counts("--rows", rows),
        churn=_counts("--churn", churn),
        latency=latency,
        quota=quota,
        behaviours={name: _value(text) for name, text in _pairs("--behaviour", behaviours)},
        on_ready=None if as_json else _announce,
    )
    try:
        anyio.run(run)
    except (OSError, ValueError, KeyError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        raise SettingsError(f"the simulator cannot be started: {text}") from error
    return DONE


def show_behaviours() -> int:
    """Print the switches of the simulator."""
    for one in list_behaviours():
        print(f"{one.name}={json.dumps(one.default)}\n    {one.text} ({one.choices}; {one.source})")
    return DONE


def _announce(simulator: Simulator) -> None:
    print(f"A Visma Net company at {simulator.base_url}, until Ctrl-C. In another terminal:\n")
    for name, value in simulator.environment().items():
        print(f'$env:{name} = "{value}"' if sys.platform == "win32" else f"export {name}={shlex.quote(value)}")
    print("vismanet export customer customer_invoice --to exported")
    sys.stdout.flush()


def _pairs(option: str, texts: Sequence[str], shape: str = "NAME=VALUE") -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(f"{option} {text!r} is not {shape}.")
        yield name, value


def _counts(option: str, texts: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, text in _pairs(option, texts, "RESOURCE=COUNT"):
        if not text.isdecimal():
            raise SettingsError(f"{option} {name}={text}: {text!r} is not a number of records.")
        counts[name] = int(text)
    return counts


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # plain text needs no quotes
        return text
