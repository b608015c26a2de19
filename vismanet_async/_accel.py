"""Accelerators: private parts of libraries, used only where they behave as expected.

An accelerator makes something faster and changes no result. It is probed when it is first used. Where the probe fails,
or where `VISMANET_ACCEL=0` is set, the public way is used instead, and one log line says so. What guards a promise is
no accelerator: its absence is an error.
"""

from __future__ import annotations

import logging
import os
from threading import Lock
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VARIABLE", "Accelerator"]

VARIABLE: Final = "VISMANET_ACCEL"
"""The environment variable that turns every accelerator off. It is read when an accelerator is first used."""
_OFF: Final = frozenset({"0", "false", "no", "off"})
_log = logging.getLogger("vismanet_async.accel")


@attrs.define(eq=False)
class Accelerator:
    """A private part of a library and the public way that replaces it.

    Thread-safe. Define one per module, beside the code that uses it, and ask `usable` before each use.

    Args:
        name: what it makes faster, for the log.
        instead: the public way, for the log.
        probe: uses the private part once and returns whether it behaves as expected. What it raises counts as no.
        superfluous: the public way is as fast here, so that the private part is not used, and nothing is said.

    Examples:
        >>> quick = Accelerator("page buffers", instead="new memory for each page", probe=lambda: True)
        >>> quick.usable
        True
        >>> quick.give_up("the count of references is not what it was")
        >>> quick.usable
        False
    """

    name: str
    instead: str = attrs.field(kw_only=True)
    probe: Callable[[], bool] = attrs.field(kw_only=True, repr=False)
    superfluous: bool = attrs.field(default=False, kw_only=True)
    _usable: bool | None = attrs.field(default=None, init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False, repr=False)

    @property
    def usable(self) -> bool:
        """Whether to use it; probed once, then remembered for the life of the process."""
        if self._usable is None:
            with self._lock:
                if self._usable is None:
                    self._usable = self._probed()
        return self._usable

    def give_up(self, reason: str) -> None:
        """Use the public way from here on, because the private part behaved otherwise than expected."""
        with self._lock:
            if self._usable is not False:
                self._usable = False
                self._say(logging.WARNING, reason)

    def _probed(self) -> bool:
        if self.superfluous:
            return False
        if os.environ.get(VARIABLE, "").strip().lower() in _OFF:
            self._say(logging.INFO, f"{VARIABLE} turns it off")
            return False
        try:
            if self.probe():
                return True
            reason = "its library behaves otherwise than expected"
        except Exception as error:  # noqa: BLE001 - whatever a private part raises, the public way still works
            reason = f"its library behaves otherwise than expected ({type(error).__name__}: {error})"
        self._say(logging.WARNING, reason)
        return False

    def _say(self, level: int, reason: str) -> None:
        _log.log(level, "%s not used: %s; instead: %s", self.name, reason, self.instead)
