"""The `vismanet` command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code (`vismanet_async._cli.exit_codes`).

    Args:
        argv: the arguments without the program's name; None takes those of the process.
    """
    try:
        # whoever only imports the package must not pay for the command line
        from vismanet_async._cli.app import run  # noqa: PLC0415

        return run(argv)
    except KeyboardInterrupt:  # before or after the time in which `run` answers it
        return 130
