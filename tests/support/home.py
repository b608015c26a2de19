"""A home folder of the tests' own: nothing that a test does reads or writes the files, settings or jobs of the user."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

import attrs
import platformdirs

from vismanet_async._settings import SETTINGS_IN_FILES, Settings

__all__ = ["CACHE_VARIABLE", "OwnHome", "users_folders"]

CACHE_VARIABLE: Final = "VISMANET_TEST_CACHE"
"""Where programs that tests have installed are kept from one run to the next: the one folder of the user's."""
_FOLDERS: Final = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA")
_SETTINGS: Final = (*(field.name for field in attrs.fields(Settings)), *SETTINGS_IN_FILES, "profile", "profile_file")


def users_folders() -> frozenset[Path]:
    """Return the folders in which the environment has the package look for what is the user's."""
    state, config, cache = (
        platformdirs.user_state_dir("vismanet-async", appauthor=False),
        platformdirs.user_config_dir("vismanet", appauthor=False),
        platformdirs.user_cache_dir("vismanet-async", appauthor=False),
    )
    return frozenset({Path.home(), Path(state), Path(config), Path(cache)})


class OwnHome:
    """The folder of one process of the suite; each test has a part of it."""

    def __init__(self) -> None:
        self.of_the_user = users_folders()
        os.environ.setdefault(CACHE_VARIABLE, str(Path(platformdirs.user_cache_dir()) / "vismanet-tests"))
        for name in _SETTINGS:
            os.environ.pop(f"VISMANET_{name.upper()}", None)
        self.folder = Path(tempfile.mkdtemp(prefix="vismanet-home-"))
        self._numbers = count()
        for name in ("HOME", "USERPROFILE"):
            os.environ[name] = str(self.folder)
        self.renew()

    def renew(self) -> None:
        """Give the next test folders of its own, which whoever needs one makes."""
        part = self.folder / str(next(self._numbers))
        for name in _FOLDERS:
            os.environ[name] = str(part / name.lower())

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
