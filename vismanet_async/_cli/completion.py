"""`vismanet --install-completion`: completion of commands, their options and choices on Tab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cyclopts.completion import detect_shell
from cyclopts.completion.detect import ShellDetectionError

from vismanet_async._cli.completion_names import with_names
from vismanet_async._cli.exit_codes import DONE
from vismanet_async._cli.streams import tell
from vismanet_async.errors import SettingsError, TargetNotWritable

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["Shell", "run_install_completion"]

Shell = Literal["bash", "zsh", "fish"]


_STARTUP: Final = {"bash": ".bashrc", "zsh": ".zshrc"}
"""What is edited so that the shell loads the script; fish looks for it by itself."""


def run_install_completion(app: App, *, shell: Shell | None, output: Path | None) -> int:
    """Write the script for a shell, and have the shell load it; with `output` only write it there.

    Says which files were written.

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
    startup = Path.home() / _STARTUP.get(chosen, "")
    try:
        before = _content(startup)
        path = app.install_completion(shell=chosen, output=output, add_to_startup=output is None)  # type: ignore[arg-type]  # one of the three
        path.write_text(with_names(path.read_text("utf-8"), chosen), "utf-8")
        edited = _content(startup) != before
    except OSError as error:
        place = error.filename or output or Path.home()
        raise TargetNotWritable(f"{place} cannot be written: {error.strerror or error}.") from error
    said = f"Completion for {chosen} is in {path}."
    if edited:
        said += f" {startup} was edited: it loads that file now."
    elif output is None and chosen in _STARTUP:
        said += f" {startup} was not edited."
    if output is None:
        said += " Open a new shell to use it; install it again after an upgrade."
    tell(said, done=said)
    return DONE


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
