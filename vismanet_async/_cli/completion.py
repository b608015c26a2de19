"""`vismanet --install-completion`: teach the shell the commands, their options and choices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts.completion import detect_shell
from cyclopts.completion.detect import ShellDetectionError

from vismanet_async._cli.exit_codes import DONE
from vismanet_async._cli.streams import tell
from vismanet_async.errors import SettingsError, TargetNotWritable

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["Shell", "run_install_completion"]

Shell = Literal["bash", "zsh", "fish"]


def run_install_completion(app: App, *, shell: Shell | None, output: Path | None) -> int:
    """Write the script for a shell, and have the shell load it; with `output` only write it there.

    Raises:
        SettingsError: which shell runs cannot be found out, or it is none that we know.
        TargetNotWritable: a file cannot be written.
    """
    chosen: str | None = shell
    try:
        chosen = chosen or detect_shell()
    except ShellDetectionError:
        chosen = None
    if chosen not in {"bash", "zsh", "fish"}:
        raise SettingsError(f"{chosen or 'this shell'} is not known: say --shell bash, zsh or fish.")
    try:
        path = app.install_completion(shell=chosen, output=output, add_to_startup=output is None)  # type: ignore[arg-type]  # one of the three
    except OSError as error:
        place = error.filename or output or Path.home()
        raise TargetNotWritable(f"{place} cannot be written: {error.strerror or error}.") from error
    said = f"Completion for {chosen} is in {path}.{'' if output else ' Open a new shell to use it.'}"
    tell(said, done=said)
    return DONE
