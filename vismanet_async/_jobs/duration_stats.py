"""Statistics of run times and arrivals by operation, and the weight of all jobs by them. Pure: times are arguments."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Arrivals", "PollDemand", "RunTimes"]

_PRIOR_SECONDS: Final = 120.0
"""Prior for an unknown operation: one end in two minutes. Weighs as much as one observed job."""
_LEARNED_FROM: Final = 10
_FADES_AT: Final = 400
_QUIET_SHARE: Final = 0.05
_POWER: Final = 0.65
"""Gaps in proportion to hazard ** -0.5 are best for many polls a job, steeper ones for few (tried for 2 to 4 polls)."""
_STEP: Final = 1.25
_BINS: Final = 52
"""Ages from 1 second to a day, each bin a quarter longer than the one before."""


class RunTimes:
    """How long jobs of one operation run: ends and seconds at risk for each age.

    Jobs still running count as well (seconds at risk without an end); finished jobs alone would make
    every operation look quick, because quick jobs finish first. Old observations lose weight.
    """

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._ends = [0.0] * _BINS
        self._at_risk = [0.0] * _BINS
        self.know(seconds)

    def know(self, seconds: Iterable[float]) -> None:
        """Record run times that were learned earlier."""
        for value in seconds:
            self.ran(0.0, value)
            self.ended(value)

    def ran(self, since: float, until: float) -> None:
        """Record that a job was running between these ages."""
        for index in range(_bin(since), _bin(until) + 1):
            low, high = _edges(index)
            self._at_risk[index] += max(0.0, min(until, high) - max(since, low))

    def ended(self, age: float) -> None:
        """Record that a job ended at this age."""
        self._ends[_bin(age)] += 1
        if sum(self._ends) > _FADES_AT:
            self._ends = [value / 2 for value in self._ends]
            self._at_risk = [value / 2 for value in self._at_risk]

    def hazard(self, age: float) -> float:
        """Estimate the chance per second that a job of this age ends now."""
        return self._hazard(_bin(age))

    def _hazard(self, index: int) -> float:
        return (self._ends[index] + 1.0) / (self._at_risk[index] + _PRIOR_SECONDS)

    def weight(self, age: float) -> float:
        """Return the weight of a job of this age when polls are shared out."""
        return math.pow(self.hazard(age), _POWER)

    def life(self) -> float:
        """Estimate the weight that a job has in all, from its beginning to its end: an integral over its age."""
        alive, total = 1.0, 0.0
        for index in range(_BINS):
            low, high = _edges(index)
            hazard = self._hazard(index)
            survive = math.exp(-hazard * (high - low))
            total += alive * (1 - survive) / hazard * math.pow(hazard, _POWER)
            alive *= survive
        return total

    def stretch(self, age: float, effort: float) -> float:
        """Return the wait at this age over which the integral of the weight is the effort."""
        at = age
        for index in range(_bin(age), _BINS):
            _, high = _edges(index)
            weight = math.pow(self._hazard(index), _POWER)
            if (high - at) * weight >= effort:
                return at + effort / weight - age
            effort -= (high - at) * weight
            at = high
        return math.inf

    def quiet_seconds(self, otherwise: float) -> float:
        """Return the age before which polls are pointless: 5 % have ended, or `otherwise` if longer or unknown."""
        if sum(self._ends) < _LEARNED_FROM:
            return otherwise
        ended = 0.0
        for index in range(_BINS):
            low, high = _edges(index)
            if not self._ends[index] or not self._at_risk[index]:
                continue
            share = self._ends[index] / self._at_risk[index] * (high - low)
            if ended + share >= _QUIET_SHARE:
                return max(otherwise, low + (high - low) * (_QUIET_SHARE - ended) / share)
            ended += share
        return otherwise


def _bin(age: float) -> int:
    return min(_BINS - 1, int(math.log(age, _STEP)) + 1) if age > 1 else 0


def _edges(index: int) -> tuple[float, float]:
    return (_STEP ** (index - 1) if index else 0.0, _STEP**index if index < _BINS - 1 else math.inf)


_SLICE_SECONDS: Final = 15.0
_SLICES: Final = 60
_SLICES_AT_LEAST: Final = 20
_SLICES_LEFT_OUT: Final = 4


class Arrivals:
    """How many jobs a second begin, by the last 5 to 15 minutes without the busiest one.

    Many that come at once do not foretell as many more: measured on 2026-11-30 in virtual time, a minute in which
    1,000 jobs began was noticed twice as late when its busiest 15 seconds alone were left out. Without any forecast,
    jobs that begin evenly over an hour are noticed up to 4 % later.
    """

    def __init__(self) -> None:
        self._slices: Counter[int] = Counter()

    def add(self, when: float) -> None:
        """Record that a job began."""
        self._slices[int(when // _SLICE_SECONDS)] += 1

    def per_second(self, now: float) -> float:
        """Estimate how many begin."""
        current = int(now // _SLICE_SECONDS)
        for index in [index for index in self._slices if index < current - _SLICES]:
            del self._slices[index]
        first = min(self._slices, default=current)
        begun = sorted(self._slices[index] for index in range(first, current))[:-_SLICES_LEFT_OUT]
        return sum(begun) / ((max(current - first, _SLICES_AT_LEAST) - _SLICES_LEFT_OUT) * _SLICE_SECONDS)


_FORECAST_SECONDS: Final = 5.0
"""How long a forecast is reused."""


class PollDemand:
    """The weight of all jobs among which scarce polls are shared out: of those that are open, and of those to come."""

    def __init__(self) -> None:
        self.run_times: defaultdict[str, RunTimes] = defaultdict(RunTimes)
        self.arrivals: defaultdict[str, Arrivals] = defaultdict(Arrivals)
        """Both by operation."""
        self._weights: dict[str, float] = {}
        self._open = 0.0
        self._forecast = 0.0
        self._forecast_until = -math.inf

    def weigh(self, key: str, weight: float) -> None:
        """Set the weight of a job; 0 for one that has ended, or that takes no share."""
        self._open += weight - self._weights.pop(key, 0.0)
        if weight:
            self._weights[key] = weight
        if not self._weights:
            self._open = 0.0  # what rounding has left

    def total(self, now: float) -> float:
        """Return the weight of the jobs that are open, or that will be at the recent arrival rate if that is more."""
        if now >= self._forecast_until:
            flows = ((self.run_times[name], each.per_second(now)) for name, each in self.arrivals.items())
            self._forecast = sum(flow * run_times.life() for run_times, flow in flows if flow)
            self._forecast_until = now + _FORECAST_SECONDS
        return max(self._open, self._forecast)
