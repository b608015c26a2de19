"""Small tables of HTML, as notebooks show values. All text is escaped."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["html_table"]

_MOST_ROWS: Final = 60
_MOST_CHARACTERS: Final = 120
_CELL: Final = Markup("<td>{}</td>")
_HEAD: Final = Markup("<th>{}</th>")


def html_table(title: str, rows: Iterable[tuple[object, ...]], *, head: tuple[str, ...] = ()) -> str:
    """Return a table with a title; of many rows the first 60, of a long text its first 120 characters.

    Examples:
        >>> html_table("a < b", [("name", "<b>")])
        '<table><caption>a &lt; b</caption><tbody><tr><td>name</td><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    rows = iter(rows)
    shown = [_row(row, _CELL) for row in islice(rows, _MOST_ROWS)]
    left = sum(1 for _ in rows)
    if left:
        shown.append(_row((f"and {left:,} more",), _CELL))
    top = Markup("<thead>{}</thead>").format(_row(head, _HEAD)) if head else Markup()
    table = Markup("<table><caption>{}</caption>{}<tbody>{}</tbody></table>")
    return str(table.format(title, top, Markup().join(shown)))


def _row(cells: Iterable[object], cell: Markup) -> Markup:
    return Markup("<tr>{}</tr>").format(Markup().join(cell.format(_short(each)) for each in cells))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
