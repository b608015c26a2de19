"""Buffer pool for the bodies of pages (no IO).

Pages are large and of similar size, and are received while small objects are allocated beside them. If their memory
went back to the allocator each time, small objects would fragment it, and a long list would need more than a short one.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["BufferPool"]

_SMALLEST_BYTES: Final = 256 * 1024
"""Smaller bodies are not pooled; they do not fragment the heap."""
_MOST: Final = 16
"""Buffers in the pool; for more pages at a time memory is allocated."""


def _references(buffers: list[bytearray], index: int) -> int:
    return sys.getrefcount(buffers[index])


_UNSHARED: Final = _references([bytearray()], 0)
"""The reference count of an unshared list element on this interpreter."""


class BufferPool:
    """Buffers for the bodies of one list, each reused when nothing refers to it any more.

    Whoever still needs a body refers to it, or to a view of it, so that it is not reused: nobody has to release it.
    Not thread-safe; references may be dropped by any thread.

    Examples:
        >>> buffers = BufferPool()
        >>> first = buffers.acquire(1_000_000)
        >>> view, identity = memoryview(first), id(first)
        >>> id(buffers.acquire(1_000_000)) == identity
        False
        >>> del first, view
        >>> id(buffers.acquire(1_000_000)) == identity
        True
    """

    def __init__(self) -> None:
        self._buffers: list[bytearray] = []

    def clear(self) -> None:
        """Drop the pool; buffers still in use are freed by their last user."""
        self._buffers.clear()

    def acquire(self, size: int) -> bytearray:
        """Return a buffer of exactly so many bytes, with arbitrary content."""
        if size < _SMALLEST_BYTES:
            return bytearray(size)
        for index in range(len(self._buffers)):  # a loop over the buffers would hold a reference
            if size > len(self._buffers[index]) // 2 and _references(self._buffers, index) == _UNSHARED:
                return _resized(self._buffers[index], size)
        new = bytearray(size)
        if len(self._buffers) < _MOST:
            self._buffers.append(new)
        return new


def _resized(buffer: bytearray, size: int) -> bytearray:
    missing = size - len(buffer)
    if missing > 0:
        buffer.extend(bytes(missing))
    else:
        del buffer[size:]
    return buffer
