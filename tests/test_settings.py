from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from vismanet_async._settings import ERP_URL, Settings
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def profile(tmp_path: Path) -> Any:
    path = tmp_path / "profiles.toml"

    def write(text: str, *, mode: int = 0o600) -> dict[str, str]:
        path.write_bytes(text.encode("latin-1"))
        path.chmod(mode)
        return {"VISMANET_PROFILE_FILE": str(path)}

    return write


@pytest.fixture(autouse=True)
def no_own_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))


def test_defaults() -> None:
    settings = Settings.load(environ={})
    assert (settings.base_url, settings.token, settings.time_zone) == (ERP_URL, None, None)


def test_given_wins_over_environment_over_profile(profile: Any) -> None:
    environ = profile('[default]\nbase_url="https://p"\ntoken_url="https://p"\nsales_order_url="https://p"')
    environ |= {"VISMANET_TOKEN_URL": " https://e ", "VISMANET_SALES_ORDER_URL": "https://e", "VISMANET_BASE_URL": " "}
    settings = Settings.load(environ=environ, sales_order_url="https://g", token_url=None)
    assert (settings.base_url, settings.token_url, settings.sales_order_url) == ("https://p", "https://e", "https://g")


def test_one_way_to_sign_in_replaces_the_other(profile: Any) -> None:
    environ = profile('[default]\nclient_id="p"\nclient_secret="p"\ntenant_id="p"')
    by_token = Settings.load(environ=environ | {"VISMANET_TOKEN": "e"})
    assert (by_token.token, by_token.client_id, by_token.client_secret) == ("e", None, None)
    assert by_token.tenant_id is None, "whose the token is nobody has said"
    by_client = Settings.load(environ=environ | {"VISMANET_TOKEN": "e"}, client_id="g", client_secret="g")
    assert (by_client.token, by_client.client_id, by_client.tenant_id) == (None, "g", "p")


@pytest.mark.parametrize(
    ("text", "environment", "given", "tenant"),
    [
        ('token="p"\ntenant_id="p"', {"TOKEN": "e"}, None, None),
        ('token="p"\ntenant_id="p"', {"TOKEN": "e", "TENANT_ID": "e"}, None, "e"),
        ('client_id="p"\ntenant_id="p"', {"TOKEN": "e"}, "g", "g"),
        ('client_id="p"\ntenant_id="p"', {"TENANT_ID": "e"}, None, "e"),
        ('token="p"\ntenant_id="p"', {}, "p", "p"),
        ('token="p"', {"TENANT_ID": "e"}, "g", "g"),
        ('tenant_id="p"', {"TOKEN": "e"}, None, "p"),
    ],
)
def test_a_token_is_of_no_company_that_stands_beside_another_way_to_sign_in(
    profile: Any, text: str, environment: dict[str, str], given: str | None, tenant: str | None
) -> None:
    """Its journal and its jobs would be taken for those of that company."""
    environ = profile(f"[default]\n{text}") | {f"VISMANET_{name}": value for name, value in environment.items()}
    assert Settings.load(environ=environ, tenant_id=given).tenant_id == tenant


def test_a_token_is_of_one_company(profile: Any) -> None:
    environ = profile('[default]\ntoken="p"\ntenant_id="company-a"') | {"VISMANET_TENANT_ID": "company-b"}
    with pytest.raises(SettingsError, match=r"of the company company-a.*names company-b"):
        Settings.load(environ=environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('client_idd="x"', "unknown setting 'client_idd'; did you mean 'client_id'?"),
        ('colour="x"', "unknown setting 'colour'; it can have client_id, "),
        ("client_id=5", "'client_id' takes text"),
    ],
)
def test_a_profile_says_what_is_wrong_with_it(profile: Any, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ=profile(f"[default]\n{text}"))
    assert said in str(refused.value)


def test_profiles_by_name(profile: Any) -> None:
    environ = profile('[default]\ntoken="d"\n[other]\ntoken="o"\ntime_zone="Europe/Oslo"')
    assert Settings.load(environ=environ).token == "d"
    assert Settings.load(environ=environ, profile="other").time_zone == ZoneInfo("Europe/Oslo")
    assert Settings.load(environ=environ | {"VISMANET_PROFILE": "other"}).token == "o"
    with pytest.raises(SettingsError, match="no profile 'third'; it has default, other"):
        Settings.load(environ=environ, profile="third")
    assert Settings.load(environ=profile("")).token is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[default", "not TOML"),
        ("[default]\nclient_secert='x'", "client_secert"),
        ("[default]\ntoken=7", "token"),
        ("default='x'", "no profile 'default'"),
        ("token='\xff'", "cannot be read"),
        ("#" * 65_537, r"^the profile file \S+ is larger than"),
    ],
)
def test_profiles_that_cannot_be_used(profile: Any, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.load(environ=profile(text))


def test_a_byte_order_mark_before_a_profile_is_no_part_of_it(profile: Any) -> None:
    assert Settings.load(environ=profile("\xef\xbb\xbf[default]\ntoken='t'")).token is not None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_profile_that_others_can_reach_is_refused(profile: Any, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = profile("[default]\ntoken='t'", mode=mode)
    with pytest.raises(SettingsError, match=r"^the profile file .* holds secrets .* chmod 600 [^ ]*[^.]\.$"):
        Settings.load(environ=environ)
    monkeypatch.setattr(sys, "platform", "win32")
    assert Settings.load(environ=environ).token == "t"


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no profile file"):
        Settings.load(environ={}, profile="x")
    with pytest.raises(SettingsError, match="no profile file"):
        Settings.load(environ={"VISMANET_PROFILE_FILE": str(tmp_path / "x")})
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(environ={"VISMANET_PROFILE_FILE": str(tmp_path)})


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "Europe"])
def test_zones_that_are_not(zone: str) -> None:
    with pytest.raises(SettingsError, match="not a known zone"):
        Settings(time_zone=zone)


def test_how_much_of_the_quota_polls_may_use(profile: Any) -> None:
    for environ in (
        {"VISMANET_POLL_SHARE": " 0.9 "},
        profile("[default]\npoll_share=0.9"),
        profile("[default]\npoll_share='0.9'"),
    ):
        assert Settings.load(environ=environ).poll_share == 0.9
    assert Settings.load(environ=environ | {"VISMANET_POLL_SHARE": "1"}).poll_share == 1
    assert Settings(poll_share=0.25).poll_share == 0.25
    for wrong in ("0", "1.5", "nan", "half"):
        with pytest.raises(SettingsError, match="poll_share"):
            Settings.load(environ={"VISMANET_POLL_SHARE": wrong})
    for wrong in ("0", "true", "[1]"):
        with pytest.raises(SettingsError, match="poll_share"):
            Settings.load(environ=profile(f"[default]\npoll_share={wrong}"))


def test_unknown_settings() -> None:
    with pytest.raises(SettingsError, match="no setting 'tennant_id'; there are client_id"):
        Settings.load(environ={}, tennant_id="x")


def test_the_store_of_jobs_shows_no_password() -> None:
    settings = Settings.load(environ={"VISMANET_JOB_STORE": "postgresql://jobs:s3cret@db/jobs"})
    assert settings.job_store == "postgresql://jobs:s3cret@db/jobs"
    assert "s3cret" not in repr(settings)


def test_a_secret_may_stand_in_a_file(profile: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xef\xbb\xbfs3cr3t\n")
    in_profile = profile(f"[default]\nclient_id='me'\ntenant_id='t'\nclient_secret_file='{secret.as_posix()}'")
    for environ in ({"VISMANET_CLIENT_SECRET_FILE": str(secret)}, in_profile):
        settings = Settings.load(environ=environ)
        assert settings.client_secret == "s3cr3t"
        assert "s3cr3t" not in repr(settings)
    # a nearer layer wins, however it tells
    assert Settings.load(environ=in_profile | {"VISMANET_CLIENT_SECRET": "other"}).client_secret == "other"
    assert Settings.load(environ={"VISMANET_CLIENT_SECRET_FILE": str(secret)}, token="t").client_secret is None
    assert Settings.load(environ={"VISMANET_TOKEN_FILE": str(secret)} | in_profile).client_id is None


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"\xff\xfe s3cr3t", b"x" * 70_000])
def test_a_file_without_a_secret_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"client_secret_file .*(does not hold one line|it is not text)") as caught:
        Settings.load(environ={"VISMANET_CLIENT_SECRET_FILE": str(path)})
    assert "s3cr3t" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"token_file .* cannot be read: .*No such file"):
        Settings.load(environ={"VISMANET_TOKEN_FILE": str(tmp_path / "none")})


def test_a_secret_is_told_in_one_way_alone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    with pytest.raises(SettingsError, match="token and token_file are both set"):
        Settings.load(environ={"VISMANET_TOKEN": "t", "VISMANET_TOKEN_FILE": str(tmp_path / "token")})


def test_a_profile_file_at_home_and_one_of_no_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "x.toml"
    file.write_text('[default]\ntenant_id = "t1"\n')
    file.chmod(0o600)
    assert Settings.load(environ={"VISMANET_PROFILE_FILE": "~/x.toml"}).tenant_id == "t1"
    with pytest.raises(SettingsError, match="profile file"):
        Settings.load(environ={"VISMANET_PROFILE_FILE": "a\0b"})
