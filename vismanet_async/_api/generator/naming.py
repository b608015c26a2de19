"""Names: the API's spelling into Python's, by rule."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

from vismanet_async._names import snake, words

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["class_name", "docstring_name", "method_name", "plural", "safe", "singular", "snake", "split_in", "words"]

# what a model or a resource method must not be called
_TAKEN = {"extra", "raw_json", "etag", "attempts"}


def safe(name: str) -> str:
    """Keep a name clear of Python's keywords and of what every record has already."""
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def class_name(name: str, known: Container[str]) -> str:
    """Return the class name for a DTO: `CustomerDto` -> `Customer`, `AddressInContactDto` -> `ContactAddress`.

    Args:
        name: the DTO.
        known: all DTOs; what follows `In` must be one of them.

    Examples:
        >>> class_name("CustomerBalanceV2dto", ()), class_name("VatZoneInCustomerDto", {"CustomerDto"})
        ('CustomerBalanceV2', 'CustomerVatZone')
        >>> class_name("v3.NewSalesOrderCommand", ()), class_name("v3.PatchSalesOrderLineDto", ())
        ('NewOrder', 'OrderLinePatch')
        >>> class_name("v3.SalesOrderTaxDto", ()), class_name("v3.AddressDto", ())
        ('OrderTax', 'OrderAddress')
    """
    if name.startswith("v3."):
        return _order_name(name.removeprefix("v3."))
    inner, outer = split_in(name, known)
    return f"{_bare(outer)}{_bare(inner)}" if outer else _bare(name)


def split_in(name: str, known: Container[str]) -> tuple[str, str]:
    """Split `MainAddressInCustomerDto` into `MainAddress` and `CustomerDto`; the second is empty for other names."""
    for match in re.finditer("In(?=[A-Z])", name):
        inner, outer = name[: match.start()], name[match.end() :]
        if inner and outer in known:
            return inner, outer
    return name, ""


def _order_name(name: str) -> str:
    """Return the class name for a DTO of the Sales Order service; the ERP's own orders are `SalesOrder`."""
    bare = re.sub(r"(Dto|Command)$", "", name).replace("SalesOrder", "Order")
    bare = bare if "Order" in bare else f"Order{bare}"
    return f"{bare.removeprefix('Patch')}Patch" if bare.startswith("Patch") else bare


def _bare(name: str) -> str:
    bare = re.sub(r"(Dto|dto)$", "", re.sub(r"^Dto(?=[A-Z])", "", name))
    return re.sub(r"LinesUpdate$", "LineUpdate", bare)  # one of them is one line


def plural(word: str) -> str:
    """Return the plural of a snake case name.

    Examples:
        >>> plural("invoice"), plural("customer_class"), plural("balance"), plural("salespersons"), plural("currency")
        ('invoices', 'customer_classes', 'balances', 'salespersons', 'currencies')
    """
    if word.endswith(("ss", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("s"):
        return word
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def singular(word: str) -> str:
    """Return the singular of a snake case name: one of `cross_references` is a `cross_reference`."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def method_name(name: str) -> str:
    """Keep a method clear of keywords; builtins are fine as attributes."""
    return f"{name}_" if keyword.iskeyword(name) else name


def docstring_name(name: str) -> str:
    """Return the words of a class name for a sentence: `CustomerInvoice` -> `customer invoice`."""
    return " ".join(words(name))
