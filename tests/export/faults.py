"""Calls that fail when they are told to: of the file system, and of a store."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
from random import Random
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.export.twins import normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vismanet_async._export.target.locations import RemotePath

MOST: Final = os.environ.get("VISMANET_FAULTS", "")
"""How many pairs of failures are tried, or `all` of them (`make faults`); else as many as a test has time for."""
_CHANGES: Final = ("replace", "rename", "link", "unlink", "mkdir", "rmdir", "fsync", "open", "scandir")


@attrs.define
class Faults:
    """Counts calls; those with these numbers fail, before they do anything or after it."""

    at: tuple[int, ...] = ()
    after: bool = False
    error: Callable[[], Exception] = lambda: OSError(errno.EIO, "Input/output error")
    calls: int = 0
    seen: list[str] | None = None
    """The calls to a store, where they are to be compared."""

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that counts, and may fail."""

        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            fails = self.calls in self.at
            if fails and not self.after:
                raise self.error()
            result = real(*args, **more)
            if fails:
                if hasattr(result, "close"):
                    result.close()
                elif real.__name__ == "open":
                    os.close(result)
                raise self.error()
            return result

        return call


@contextlib.contextmanager
def failing_disk(faults: Faults) -> Iterator[None]:
    """Have every call that opens, changes, lists or syncs something on the disk counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # a power cut is not what is tried here
        for name in _CHANGES:
            patch.setattr(os, name, faults.around(getattr(os, name)))
        patch.setattr(io, "open", faults.around(io.open))
        yield


class _Store:
    """A store whose calls are counted, and written down."""

    def __init__(self, store: Any, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in {"invalidate_cache", "split_path"} or not callable(found):
            return found
        counted, seen = self._faults.around(found), self._faults.seen
        return counted if seen is None else _noted(name, counted, seen)


def _noted(name: str, call: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **more: Any) -> Any:
        outcome: Any = None
        try:
            outcome = call(*args, **more)
        except Exception as error:
            outcome = error
            raise
        finally:
            seen.append(normal(name, args, more, outcome))
        return outcome

    return noted


@contextlib.contextmanager
def failing_store(faults: Faults) -> Iterator[None]:
    """Have every call to a store counted."""
    from vismanet_async._export.target.locations import RemotePath

    real = RemotePath._store

    def counted(self: RemotePath) -> tuple[Any, str]:
        store, path = real(self)
        return _Store(store, faults), path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemotePath, "_store", counted)
        yield


def moments(
    calls: int, *, pairs: int, singles: int | None = None, most_pairs: int | None = None
) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Give which calls fail, and whether after their effect: each alone, both ways, and pairs of them.

    A second failure lies within as many calls again: those of cleaning up, and of starting again.

    Args:
        calls: made where nothing fails.
        pairs: how many of them there are, by a seed, where nobody asks for more.
        singles: the same of those alone; None: all.
        most_pairs: the most pairs that are tried where all are asked for; None: all.
    """
    chance = Random("faults")
    alone = [((one,), after) for one in range(1, calls + 1) for after in (False, True)]
    both = itertools.product(range(1, calls + 1), range(1, calls + 1), (False, True))
    paired = [((first, first + gap), after) for first, gap, after in both]
    if MOST:
        singles, pairs = None, len(paired) if MOST == "all" else int(MOST)
    yield from alone if singles is None else chance.sample(alone, min(singles, len(alone)))
    yield from chance.sample(paired, min(pairs, len(paired), len(paired) if most_pairs is None else most_pairs))


def contents(root: Path) -> set[bytes]:
    """What lies in all files below a directory."""
    return {path.read_bytes() for path in root.rglob("*") if path.is_file()}
