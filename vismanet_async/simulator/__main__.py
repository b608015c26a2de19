"""`python -m vismanet_async.simulator --port 8080 --rows customer=100000`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from vismanet_async._simulator.behaviours import list_behaviours, parse_behaviour
from vismanet_async._simulator.program import serve


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _latency(text: str) -> float | tuple[float, float]:
    low, dash, high = text.partition("-")
    return (float(low), float(high)) if dash else float(low)


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vismanet_async.simulator", description="A Visma Net company on this machine."
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument("--seed", type=int, default=1, help="decides all data")
    parser.add_argument("--id-seed", type=int, help="decides ids and tokens (default: new ones each time)")
    parser.add_argument("--rows", type=_pair, action="append", default=[], metavar="RESOURCE=COUNT")
    parser.add_argument(
        "--churn",
        type=_pair,
        action="append",
        default=[],
        metavar="RESOURCE=COUNT",
        help="changes after every request",
    )
    parser.add_argument("--latency", type=_latency, default=0.0, metavar="SECONDS[-SECONDS]")
    parser.add_argument("--quota", type=int, default=15_000, help="requests an hour")
    parser.add_argument("--behaviour", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--list-behaviours", action="store_true", help="show the switches and stop")
    chosen = parser.parse_args(arguments)
    if chosen.list_behaviours:
        for line in list_behaviours():
            sys.stdout.write(f"{line.name} = {line.default!r} ({line.choices}) - {line.text} [{line.source}]\n")
        return 0
    try:
        asyncio.run(serve(
            port=chosen.port, host=chosen.host, seed=chosen.seed, id_seed=chosen.id_seed,
            latency=chosen.latency, quota=chosen.quota,
            rows={name: int(count) for name, count in chosen.rows},
            churn={name: int(count) for name, count in chosen.churn},
            behaviours={name: parse_behaviour(name, value) for name, value in chosen.behaviour},
        ))  # fmt: skip
    except (ValueError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
