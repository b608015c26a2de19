"""The tests leave the user's own files alone, whoever runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import OWN_HOME
from tests.support.hang import HANG_SECONDS
from tests.support.home import users_folders
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async._export.target.remote import default_spool
from vismanet_async._jobs.sql.engine import default_path
from vismanet_async._settings import Settings, profile_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asks the system for its folders, not the environment")
SHOWN = "from tests.support.home import users_folders; print(*sorted(users_folders()), sep='\\n')"


def test_what_is_the_users_is_not_in_sight() -> None:
    location = parse_location("memory://bucket/folder")
    assert isinstance(location, RemotePath)
    used = {default_path().parent, profile_file(os.environ).parent, default_spool(location), *users_folders()}
    assert [folder for folder in used if not folder.is_relative_to(OWN_HOME.folder)] == []
    assert not used & OWN_HOME.of_the_user
    assert Settings.load() == Settings(), "no profile, and no variable of the user's"


def test_nor_in_that_of_programs_that_tests_start() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SHOWN], capture_output=True, text=True, check=True, timeout=HANG_SECONDS
    ).stdout
    assert {Path(line) for line in shown.splitlines()} == users_folders()


_SEEN: set[Path] = set()


@pytest.mark.parametrize("test", ["one", "other"])
def test_each_test_has_a_store_of_its_own(test: str) -> None:
    assert test
    assert default_path() not in _SEEN
    _SEEN.add(default_path())
