"""What the service is like in one round: its habits and its faults, drawn from the round's seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from vismanet_async.simulator import Simulator

__all__ = ["draw_behaviours", "draw_faults"]

_HABITS: Final[dict[str, tuple[Any, ...]]] = {
    "reset_header": ("seconds", "epoch"),
    "lower_case_limit_headers": (False, True),
    "retry_after_on_429": (True, False),
    "empty_list": ("[]", "", "null", '""'),
    "list_order": ("number", "newest_first", "last_modified", "unstable"),
    "list_metadata": (True, False),
    "nested_metadata": (True, False),
    "greater_includes_equal": (False, True),
    "time_zone": ("Europe/Oslo", "Europe/Helsinki", "-11:00"),
    "error_shape": ("erp", "capital", "ipp", "text", "html", "empty"),
    "etag_style": ("quoted", "bare", "weak"),
    "wrapped_reads": (False, True),
    "time_style": ("naive", "offset", "z"),
    "fraction_digits": (-1, 0, 3, 7),
    "empty_text_for_null": (False, True),
    "unknown_fields": (False, True),
    "unknown_enum_values": (False, True),
    "validation_status": (400, 500),
    "location_host": ("as_called", "api_host", "legacy_http"),
    "action_failures": ("http_400", "failed_with_200"),
    "action_status": (200, 201),
    "attachment_download": ("bytes", "base64", "json"),
    "queued_status": ("Queued", "", "Waiting"),
    "background_accepted": ("current", "older"),
    "background_times": ("offset", "z"),
    "state_host": ("as_called", "api_host", "integration_host", "foreign"),
    "compress": (True, False),
    "utf8_bom": (False, True),
    "page_size_limit": (0, 9, 17),
    "token_lifetime_seconds": (3600.0, 90.0),
}
"""The first choice is the usual one."""

_UNUSUAL_SHARE: Final = 0.2


def draw_behaviours(random: Random) -> dict[str, Any]:
    """Turn some of the habits to something unusual."""
    return {name: random.choice(choices[1:]) for name, choices in _HABITS.items() if random.random() < _UNUSUAL_SHARE}


_LISTS: Final = "/v1/[ci][ua]*"
"""Bodies that are JSON: a file that is cut short and looks whole cannot be told from a whole one."""

_FAULTS: Final[tuple[Callable[[Random], dict[str, Any]], ...]] = (
    lambda random: {"kind": "latency", "seconds": random.choice((2, 30, 90))},
    lambda random: {"kind": "reset_before"},
    lambda random: {"kind": "reset_after"},
    lambda random: {"kind": "lost_202", "probability": 0.1},
    lambda random: {"kind": "cut_headers"},
    lambda random: {"kind": "cut_body", "share": random.random()},
    lambda random: {"kind": "short_body", "share": random.uniform(0.2, 0.9), "path": _LISTS, "method": "GET"},
    lambda random: {"kind": "slow_body", "seconds": random.choice((1, 20))},
    lambda random: {"kind": "wrong_type", "path": _LISTS},
    lambda random: {"kind": "html", "status": random.choice((502, 503, 504))},
    lambda random: {"kind": "status", "status": random.choice((408, 500, 502, 503, 504))},
    lambda random: {"kind": "status", "status": random.choice((500, 502, 504)), "executed": True},
    lambda random: {"kind": "status", "status": 429, "retry_after": random.choice((1, 20, 400))},
    lambda random: {"kind": "expire_tokens", "probability": 0.01},
    lambda random: {"kind": "clock_jump", "seconds": random.choice((60, 900)), "times": 1},
    lambda random: {"kind": "reset_after", "path": "/connect/token", "probability": 0.2},
    lambda random: {"kind": "status", "status": 503, "path": "/connect/token", "probability": 0.2},
)


def draw_faults(random: Random, simulator: Simulator) -> list[str]:
    """Put a few faults into the simulator's script; return their names."""
    for make in random.sample(_FAULTS, random.randint(1, 6)):
        fault = {"probability": random.choice((0.01, 0.03, 0.08)), **make(random)}
        simulator.faults.add(fault.pop("kind"), **fault)
    return [fault.name for fault in simulator.faults]
