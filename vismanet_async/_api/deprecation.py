"""Methods whose operation Visma has ended, or will end: a warning where they are called."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["deprecated"]

P = ParamSpec("P")
T = TypeVar("T")


def deprecated(message: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that warns of each call (PEP 702; type checkers are told of the one in typing_extensions)."""

    def decorate(call: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(call)
        def warned(*args: P.args, **kwargs: P.kwargs) -> T:
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return call(*args, **kwargs)

        warned.__deprecated__ = message  # type: ignore[attr-defined]  # where PEP 702 has tools look
        return warned

    return decorate
