"""Arguments of public functions: one of the wrong type is refused by its name, before anything is done with it.

A value is never shown, because it may be a secret in the wrong place; its type is.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from vismanet_async._names import snake
from vismanet_async.errors import RequestRefused, TargetNotWritable, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import attrs

__all__ = [
    "expect",
    "expect_count",
    "expect_parts",
    "expect_seconds",
    "expect_share",
    "is_url",
    "named_keywords",
    "not_among",
    "refuse_irregular",
    "refuse_unknown",
    "text_of",
    "text_pairs",
    "typed",
]

P = ParamSpec("P")
R = TypeVar("R")

_WORDS: Final[Mapping[type, str]] = {
    str: "text",
    bytes: "bytes",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    type(None): "None",
    timedelta: "a timedelta",
    Mapping: "a mapping",
    Sequence: "a list",
    Iterable: "a list",
    os.PathLike: "a path",
}
_KINDS: Final = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE)
_MOST: Final = 2**63 - 1
"""What every clock, file and store can count to."""


def expect(
    name: str, value: object, *kinds: type, words: str = "", error: type[VismaNetError] = RequestRefused
) -> None:
    """Refuse an argument that is of none of the types.

    Args:
        name: what the caller knows it by.
        value: the argument. True and False are numbers to Python, and none here.
        kinds: the types.
        words: what it takes; made of the types if empty.
        error: what to raise.

    Raises:
        VismaNetError: `error`, which names the argument and what it takes.

    Examples:
        >>> expect("profile", 5, str, type(None))
        Traceback (most recent call last):
        vismanet_async.errors.RequestRefused: profile takes text or None, not int; nothing was sent.
    """
    fits = isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)
    if fits and (not isinstance(value, str) or value.isascii()):
        return
    # the name of a file may be bytes that are no UTF-8
    encode = os.fsencode if any(issubclass(kind, os.PathLike) for kind in kinds) else str.encode
    if not fits or not _whole(value, encode):  # type: ignore[arg-type]  # what fits is text here
        raise error(f"{name} takes {words or _listed(kinds)}, not {text_of(value)}; nothing was sent.")


def expect_seconds(
    name: str, value: object, *, none: bool = True, zero: bool = False, error: type[VismaNetError] = RequestRefused
) -> None:
    """Refuse what is no time to wait: seconds above 0, or 0 or None where `zero` or `none` say so."""
    if value is None and none:
        return
    expect(name, value, int, float, words=f"seconds{', or None' if none else ''}", error=error)
    if not (value > 0 or (zero and value == 0)):  # type: ignore[operator]  # nor is NaN
        raise error(f"{name} must be greater than 0, not {value}; nothing was sent.")
    if not value <= _MOST and value != float("inf"):  # type: ignore[operator]
        raise error(f"{name} is more seconds than there will be; nothing was sent.")


def expect_count(
    name: str,
    value: object,
    *,
    least: int = 1,
    most: int = _MOST,
    none: bool = False,
    error: type[VismaNetError] = RequestRefused,
) -> None:
    """Refuse what is no whole number from `least` up, to `most` at most, or None if `none` says so."""
    if value is None and none:
        return
    expect(name, value, int, error=error)
    if not least <= value <= most:  # type: ignore[operator]
        shown = value if -_MOST <= value <= _MOST else "a number of so many digits"  # type: ignore[operator]
        bounds = f"at least {least}" if most == _MOST else f"from {least} to {most}"
        raise error(f"{name} must be {bounds}, not {shown}; nothing was sent.")


def expect_share(name: str, value: object, *, none: bool = False, error: type[VismaNetError] = RequestRefused) -> None:
    """Refuse what is no part of a whole: above 0 and at most 1, or None if `none` says so."""
    if value is None and none:
        return
    expect(name, value, int, float, error=error)
    if not 0 < value <= 1:  # type: ignore[operator]  # nor is NaN
        raise error(f"{name} is a part of a whole, above 0 and at most 1, not {value}; nothing was sent.")


def expect_parts(
    name: str, value: object, parts: Sequence[str], words: str, *, error: type[VismaNetError] = RequestRefused
) -> None:
    """Refuse what lacks a part of a protocol, such as a class given instead of an object of it."""
    if isinstance(value, type) or not all(hasattr(value, part) for part in parts):
        raise error(f"{name} takes {words}, not {text_of(value)}; nothing was sent.")


def text_pairs(
    name: str, value: Mapping[str, str] | None, *, error: type[VismaNetError] = RequestRefused
) -> Mapping[str, str]:
    """Return a mapping of texts to texts, empty for None; refuse what is none, by the name of its part."""
    if value is None:
        return {}
    expect(name, value, Mapping, words="a mapping of texts, or None", error=error)
    for key, each in value.items():
        expect(f"a name in {name}", key, str, error=error)
        expect(f"{name}[{key!r}]", each, str, error=error)
    return value


def typed(*kinds: type, words: str = "") -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Return a validator of attrs that does what `expect` does."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        expect(attribute.name, value, *kinds, words=words)

    return check


def not_among(value: str, known: Sequence[str]) -> str:
    """Return what to say of a text that is no value of an enumeration, with the nearest ones."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a wrong value

    folded = {each.casefold(): each for each in known}
    near = [folded[each] for each in get_close_matches(value.casefold(), folded, n=3)]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the catalog has {', '.join(known)}."
    return f"has no value {value!r}: {hint} A value that is newer than the catalog is Other({value!r})"


def refuse_unknown(
    given: Iterable[str],
    known: Iterable[str],
    *,
    where: str,
    elsewhere: Mapping[str, str] | None = None,
    error: type[VismaNetError | TypeError] = TypeError,
) -> None:
    """Refuse a keyword argument that a call does not have, with the nearest ones.

    Args:
        given: the names that were given.
        known: those that there are.
        where: what was called, such as `customer.list`.
        elsewhere: what to do instead, by names that other libraries have.
        error: what to raise; a TypeError is what Python raises for it.

    Examples:
        >>> refuse_unknown(["statuss"], ["status"], where="customer.list")
        Traceback (most recent call last):
        TypeError: customer.list has no argument 'statuss': did you mean status? Nothing was sent.
    """
    known = tuple(known)
    for name in given:
        if name not in known:
            raise error(f"{where} has no argument {name!r}: {_instead(name, known, elsewhere or {})} Nothing was sent.")


def _instead(name: str, known: Sequence[str], elsewhere: Mapping[str, str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a wrong name

    if name in elsewhere:
        return elsewhere[name]
    python = snake(name)
    near = [python] if python in known else get_close_matches(python, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}."


def named_keywords(*, elsewhere: Mapping[str, str], where: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of a method that refuses unknown keyword arguments as `refuse_unknown` does.

    Python itself names the nearest from 3.13 on, and never what other libraries call it.

    Args:
        elsewhere: as `refuse_unknown` takes it.
        where: what was called; by default the resource and the method.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        code = method.__code__
        names = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
        known = frozenset(names)

        @functools.wraps(method)
        def checked(*args: P.args, **keywords: P.kwargs) -> R:
            if not known.issuperset(keywords):
                called = f"{snake(type(args[0]).__name__.removesuffix('Resource'))}.{method.__name__}"
                known_names = [name for name in names if name != "self"]
                refuse_unknown(keywords, known_names, where=where or called, elsewhere=elsewhere)
            return method(*args, **keywords)

        return checked

    return decorate


def text_of(value: object) -> str:
    """Describe an argument without its value."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "half a surrogate pair" if isinstance(value, str) and not _whole(value) else type(value).__name__


def _whole(text: str, encode: Callable[[str], bytes] = str.encode) -> bool:
    try:
        encode(text)
    except UnicodeEncodeError:
        return False
    return True


def _listed(kinds: tuple[type, ...]) -> str:
    words = [_WORDS.get(kind, kind.__name__) for kind in kinds]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def is_url(address: str | os.PathLike[str]) -> bool:
    """Return whether an address is a URL, also one that a `Path` has taken for the name of a file.

    That name would be one below the current folder: another file in each.

    Examples:
        >>> is_url("sqlite:////srv/a.db"), is_url("sqlite:/srv/a.db"), is_url("C:/a.db"), is_url("a:b.db")
        (True, True, False, False)
    """
    return _URL.match(os.fspath(address)) is not None


def refuse_irregular(path: Path) -> None:
    """Raise if a path is something else than a regular file: a link, a pipe, a device, a directory.

    Raises:
        TargetNotWritable: it is.
        RequestRefused: the system knows no such paths.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise RequestRefused(f"{str(path)!a} is no path: {error}; nothing was sent.") from None
    if not stat.S_ISREG(mode):
        raise TargetNotWritable(
            f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')} and would be replaced; nothing was sent. "
            "Choose another path."
        )
