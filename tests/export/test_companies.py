from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vismanet_async._export.companies import Company, companies_of, read_companies
from vismanet_async.errors import RequestRefused, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
[[company]]
name = "fjord"
tenant_id = "1111"

[[company]]
tenant_id = "2222"
client_id_env = "BERG_ID"
client_secret_env = "BERG_SECRET"
"""
CSV = "\ufeffname,tenant_id,client_id_env,client_secret_env\r\nfjord,1111,,\r\n,2222,BERG_ID,BERG_SECRET\r\n"
BOTH = (
    Company(name="fjord", tenant_id="1111"),
    Company(name="2222", tenant_id="2222", client_id_env="BERG_ID", client_secret_env="BERG_SECRET"),
)


@pytest.mark.parametrize(("name", "text"), [("list.toml", TOML), ("list.csv", CSV)])
def test_a_file_names_companies(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8", newline="")
    assert read_companies(tmp_path / name) == BOTH


def test_companies_in_words() -> None:
    assert companies_of(["fjord=1111", BOTH[1]]) == BOTH
    assert companies_of({"fjord": "1111"}) == companies_of("fjord=1111") == BOTH[:1]


def test_credentials_of_its_own_come_from_the_environment() -> None:
    assert BOTH[0].credentials(environ={}) is None
    own = BOTH[1].credentials(environ={"BERG_ID": "isv", "BERG_SECRET": "hush"})
    assert own is not None
    assert (own.client_id, own.tenant_id) == ("isv", "2222")
    with pytest.raises(SettingsError, match="BERG_SECRET is not set"):
        BOTH[1].credentials(environ={"BERG_ID": "isv"})


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\\b", "con?", "end.", "x" * 200, "new\nline"])
def test_what_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(RequestRefused, match="folder"):
        Company(name=name, tenant_id="1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[company]]\nname = 'x'", "no tenant_id"),
        ("[[company]]\ntenant_id = '1'\nclient_secret = 'hush'", "Secrets have no place"),
        ("[[company]]\ntenant_id = '1'\ncolour = 'red'", "colour"),
        ("[[company]]\ntenant_id = 1", "no table of texts"),
        ("[[company]]\ntenant_id = '1'\nclient_id_env = 'A'", "only one of"),
        ("[[company]]\ntenant_id = '1'\n[[company]]\ntenant_id = '1'", "two companies"),
        ("[[company]]\ntenant_id = '1'\nname='A'\n[[company]]\ntenant_id = '2'\nname='a'", "two companies"),
        ("company = []", "no company"),
        ("other = 1", "something else"),
        ("= =", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(RequestRefused, match=said) as refused:
        read_companies(tmp_path / "list.toml")
    assert "hush" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="cannot be read"):
        read_companies(tmp_path / "none.toml")
