"""Where in a body a value stands: by the names used here, and the API's beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from vismanet_async._codec.fields import Field

__all__ = ["ROOT", "Place"]


class Place(NamedTuple):
    """A field, or an item of a list or mapping, in what is above it. Its text is made only where an error needs it.

    Examples:
        >>> from vismanet_async._codec.fields import fields_of
        >>> from vismanet_async.models import CustomerInvoiceUpdate
        >>> lines = next(field for field in fields_of(CustomerInvoiceUpdate) if field.name == "invoice_lines")
        >>> str(ROOT.field(lines).item(0)), ROOT.named("note").python
        ('invoice_lines[0] (invoiceLines[0])', 'note')
    """

    above: Place | None
    name: str
    json: str

    def field(self, field: Field) -> Place:
        """Return the place of a field in here."""
        return Place(self, f".{field.name}", f".{field.json}")

    def named(self, name: str) -> Place:
        """Return the place of what has one name only."""
        return Place(self, f".{name}", f".{name}")

    def item(self, key: object) -> Place:
        """Return the place of an item in here."""
        return Place(self, f"[{key}]", f"[{key}]")

    @property
    def python(self) -> str:
        """The path by the names used here."""
        return (self.above.python + self.name if self.above else self.name).lstrip(".")

    @property
    def api(self) -> str:
        """The path by the API's names."""
        return (self.above.api + self.json if self.above else self.json).lstrip(".")

    def __str__(self) -> str:
        python, api = self.python, self.api
        return python if python == api else f"{python} ({api})"


ROOT: Final = Place(None, "", "")
"""The body itself."""
