"""Variants that all simulators of a process share: with the same seed they are mostly the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["SharedVariants", "Variant"]

_SIZES_MOST: Final = 4  # of the tables referred to, for one name


@frozen
class Variant:
    """What was made, and what it depends on beside its name; it must not be changed."""

    row: dict[str, Any]
    referred: Mapping[str, int]
    """The tables that it refers to, and from how many of their rows one was chosen."""
    attachments: Mapping[str, str]
    """Names of the files that it shows, by id."""


@define(eq=False)
class SharedVariants:
    """Keeps variants by name; one is found again where the tables that it refers to have as many rows.

    Some thread may forget everything while another one looks: it makes its variant again then.
    """

    _most: int
    """So many names are kept; then all are forgotten."""
    _known: dict[Hashable, tuple[Variant, ...]] = field(factory=dict, init=False)

    def find(self, name: Hashable, rows_of: Callable[[str], int]) -> Variant | None:
        """Return a variant that would be made just so again; None: there is none."""
        for variant in self._known.get(name, ()):
            if all(rows_of(table) == rows for table, rows in variant.referred.items()):
                return variant
        return None

    def keep(self, name: Hashable, variant: Variant) -> None:
        """Keep a variant."""
        if len(self._known) >= self._most:
            self.forget()
        self._known[name] = (*self._known.get(name, ())[-_SIZES_MOST + 1 :], variant)

    def forget(self) -> None:
        """Forget all that is kept."""
        self._known.clear()
