"""Formulas in texts: which ones a spreadsheet would run, and how they are made harmless. See `sinks/csv.py`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Formulas"]

_SIGNS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""First characters of formulas, in full width too: spreadsheets set to an East Asian language accept those."""
_UNSEEN: Final = r"\s\x00-\x20\x7f\xa0\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
"""Characters that some programs skip at the beginning of a cell."""
_PASSED_OVER: Final = re.compile(rf'[{_UNSEEN}"\\]')
"""Those and quotes: two of them are an empty text."""
_BEGINS: Final = rf"(?:[{_UNSEEN}]*[{_SIGNS}]|[\t\r\n])"
_FORMULA: Final = re.compile(_BEGINS)
_SIGN_CHARACTERS: Final = _SIGNS.replace("\\", "")
_HINTS: Final = f"\t\r\n{_SIGN_CHARACTERS}"
"""A text without any of them is no formula and has none within."""
_ASCII_HINTS: Final = "".join(filter(str.isascii, _HINTS))
_JSON_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SEPARATORS: Final = ",;\t\r\n"
_SELDOM_CHARACTERS: Final = 64
"""Separators are seldom if there are so many characters for each."""
_PHONE: Final = r"\+(?=[\d ()\xa0]*\d[ \xa0]\d)[\d ()\xa0]+"
"""Two numbers with nothing but a space between them are no formula anywhere, whatever follows them."""
_NO_FORMULA: Final = rf"(?a:[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?|{_PHONE})"
_COMPUTES_NOTHING: Final = re.compile(_NO_FORMULA)
_USUAL_PHONE: Final = r"\+[0-9]+ [0-9][0-9 ]*"
"""Some of the above, found in a quarter of the time."""
_ONE_IS_FORMULA: Final = re.compile(rf'"(?={_BEGINS})(?!(?:{_USUAL_PHONE}| *{_NO_FORMULA} *)(?:"|\Z))')
"""In texts without quotes that have one before each."""


class Formulas:
    """Neutralises formulas, and counts the cells that it changed.

    Args:
        delimiter: of the file.
    """

    def __init__(self, *, delimiter: str) -> None:
        self.row = 0
        """The number of the row whose texts are being looked at."""
        self.rows: list[int] = []
        """A number for each cell that got an apostrophe."""
        self._before = _SEPARATORS.replace(delimiter, "")  # the file quotes its own delimiter
        before = re.escape(self._before)
        passed_over = f"{_PASSED_OVER.pattern}*"
        harmless = rf"(?!{_PHONE}(?:[{re.escape(_SEPARATORS)}]|$))"
        self._sign = re.compile(rf"{passed_over}[{_SIGNS}]").match
        self._in_text = re.compile(rf"([{before}]{passed_over})(?=[{_SIGNS}]){harmless}")
        self._in_json = re.compile(rf"((?:^|[{before}]){passed_over})([{_SIGNS}])")

    def may_be_within(self, file: str) -> bool:
        """Return whether a cell of a separator that is not the file's may begin with a sign, in rows of the file."""
        # finding single characters is many times as fast as searching for one of several, if there are few
        seldom = len(file) // _SELDOM_CHARACTERS
        for number, at in enumerate(_places(file, self._before)):
            if number > seldom:
                return any(self._follows_separator(file, place) for place in _places(file, _SIGN_CHARACTERS))
            if self._sign(file, at + 1):
                return True
        return False

    def _follows_separator(self, file: str, at: int) -> bool:
        """Return whether there is nothing between a place and a separator before it that a program may not skip."""
        while at:
            at -= 1
            if file[at] in self._before:
                return True
            if file[at].isalnum() or not _PASSED_OVER.match(file, at):
                return False
        return False

    def may_change(self, texts: Sequence[str], *, together: str, within: bool) -> bool:
        """Return whether some texts may hold one that is to be neutralised; mostly False where they do not.

        Args:
            texts: any.
            together: the same texts, with anything between them.
            within: whether formulas within them count.
        """
        if not any(map(together.__contains__, _ASCII_HINTS if together.isascii() else _HINTS)):
            return False
        if within:
            return True
        quoted = '"'.join(["", *texts])
        return quoted.count('"') != len(texts) or _ONE_IS_FORMULA.search(quoted) is not None

    def neutral(self, text: str) -> str:
        """Return the text with an apostrophe before it if it is a formula."""
        if text and not text[0].isalnum() and _FORMULA.match(text) and not _COMPUTES_NOTHING.fullmatch(text.strip(" ")):
            self.rows.append(self.row)
            return f"'{text}"
        return text

    def neutral_within(self, text: str) -> str:
        """Return the text with an apostrophe before each formula in it, and before itself if it is one."""
        outer = self.neutral(text)
        found = self._in_text.sub(r"\1'", outer)
        if found != outer and outer == text:  # else it is counted already
            self.rows.append(self.row)
        return found

    def neutral_json(self, text: str) -> str:
        """Return the JSON with the first character of each formula escaped, which means the same."""
        return _JSON_TEXT.sub(lambda found: f'"{self._in_json.sub(_escaped, found[1])}"', text)


def _escaped(found: re.Match[str]) -> str:
    return f"{found[1]}\\u{ord(found[2]):04x}"


def _places(text: str, characters: str) -> Iterator[int]:
    """Yield where any of some characters is in a text."""
    for character in characters:
        at = text.find(character)
        while at >= 0:
            yield at
            at = text.find(character, at + 1)
