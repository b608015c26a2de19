"""Memory of pages that is used again (no IO).

Pages are large and of much the same size, and come while small things come and go beside them. Given back to the
allocator and asked for again, their memory is cut up by those, and a long walk takes more than a short one.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["BufferPool"]

_SMALLEST_BYTES: Final = 256 * 1024
"""What is smaller does no harm."""
_MOST: Final = 16
"""Buffers kept; more pages at a time are the allocator's."""


def _references(buffers: list[bytearray], index: int) -> int:
    return sys.getrefcount(buffers[index])


_UNSHARED: Final = _references([bytearray()], 0)
"""What is counted, on this interpreter, where nobody else refers to it."""


class BufferPool:
    """Buffers for the bodies of one walk, each filled anew once nobody refers to it any more.

    Whatever still needs a body refers to it, or to a view of it, and so keeps it as it is: nobody has to say when he is
    done. Not thread-safe; bodies may be let go of by any thread.

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
        """Give the memory back, now or when whoever has it is done."""
        self._buffers.clear()

    def acquire(self, size: int) -> bytearray:
        """Give a buffer of exactly so many bytes; what it holds is to be overwritten."""
        if size < _SMALLEST_BYTES:
            return bytearray(size)
        for index in range(len(self._buffers)):  # a loop over the buffers themselves would refer to them
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
