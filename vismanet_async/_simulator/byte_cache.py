"""A cache bounded by the bytes of what it holds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["ByteCache"]


class ByteCache:
    """Keeps what was used last, up to so many bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[object, tuple[Any, int]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: object) -> Any:
        """Return what was put under the key, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: object, value: object, size_bytes: int) -> None:
        """Keep a value, dropping the oldest ones if it gets too much."""
        previous = self._entries.pop(key, None)
        if previous is not None:
            self.size_bytes -= previous[1]
        self._entries[key] = (value, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit and len(self._entries) > 1:
            self.size_bytes -= self._entries.popitem(last=False)[1][1]
