"""Names: the API's spelling into Python's, by rule, and both side by side for errors."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["beside", "snake", "words"]

_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def words(name: str) -> list[str]:
    """Split a name of the API into lower case words; digits stay with the word before them.

    Examples:
        >>> words("sendDunningLettersViaEMail"), words("SOLineNbr"), words("addressLine1")
        (['send', 'dunning', 'letters', 'via', 'e', 'mail'], ['so', 'line', 'nbr'], ['address', 'line1'])
    """
    found: list[str] = []
    for part in _WORD.findall(name):
        if part.isdigit() and found:
            found[-1] += part
        else:
            found.append(part.lower())
    return found


def snake(name: str) -> str:
    """Return the snake case of a name of the API.

    Examples:
        >>> snake("lastModifiedDateTime"), snake("POBalance"), snake("accountCD")
        ('last_modified_date_time', 'po_balance', 'account_cd')
    """
    return "_".join(words(name))


def beside(name: str) -> str:
    """Return the name used here, with the API's beside it where they differ.

    Examples:
        >>> beside("lastModifiedDateTime"), beside("status")
        ('last_modified_date_time (lastModifiedDateTime)', 'status')
    """
    python = snake(name)
    return name if python == name else f"{python} ({name})"
