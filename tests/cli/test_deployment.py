"""The files of docs/deployment: real commands, real settings, and what systemd and Kubernetes want of them."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import exit_codes
from vismanet_async._cli.app import app
from vismanet_async._cli.logs import read_talk
from vismanet_async._export.target.manifest import validate
from vismanet_async._settings import SETTINGS_IN_FILES, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Shell

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/deployment"
FILES = sorted(FOLDER.iterdir())
PAGES = {
    "Containerfile": "containers",
    "kubernetes.yaml": "containers",
    "crontab": "cron",
    "vismanet-export.service": "systemd",
    "vismanet-export.timer": "systemd",
    "vismanet-jobs.service": "systemd",
}
UNITS = [path for path in FILES if path.suffix in {".service", ".timer"}]


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8")))


def pods() -> Iterator[dict[str, Any]]:
    for one in documents():
        if one["kind"] == "CronJob":
            yield one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif one["kind"] == "Deployment":
            yield one["spec"]["template"]["spec"]


def unit(path: Path) -> configparser.ConfigParser:
    # a key may be there several times: the later ones count here
    found = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    found.optionxform = str  # type: ignore[assignment,method-assign]  # as it is written
    found.read_string(path.read_text("utf-8"))
    return found


def jobs_of_cron() -> list[str]:
    """The commands, without times and user."""
    lines = (FOLDER / "crontab").read_text("utf-8").splitlines()
    return [line.split(maxsplit=6)[6] for line in lines if re.match(r"[\d*]", line)]


def commands() -> Iterator[tuple[str, list[str]]]:
    for line in jobs_of_cron():
        yield "crontab", shlex.split(line.partition("||")[0])
    for path in UNITS:
        if path.suffix == ".service":
            yield path.name, shlex.split(unit(path)["Service"]["ExecStart"])
    for pod in pods():
        yield "kubernetes.yaml", ["vismanet", *map(str, pod["containers"][0]["args"])]


def test_each_file_is_on_its_page_as_it_is() -> None:
    assert {path.name for path in FILES} == PAGES.keys()
    for path in FILES:
        page = (ROOT / f"docs/how-to/{PAGES[path.name]}.md").read_text("utf-8")
        assert f"\n{path.read_text('utf-8')}```" in page, f"{path.name} has changed, its page has not"
        assert f"../deployment/{path.name})" in page


@pytest.mark.parametrize(("name", "words"), list(commands()))
def test_the_commands_are_real(name: str, words: list[str]) -> None:
    assert Path(words[0]).name == "vismanet", name
    _, others = read_talk(words[1:])
    app.parse_args(others, print_error=False, exit_on_error=False)


def test_the_settings_are_real() -> None:
    known = {field.name for field in attrs.fields(Settings)} | SETTINGS_IN_FILES.keys() | {"profile", "profile_file"}
    for path in FILES:
        named = {name.lower() for name in re.findall(r"\bVISMANET_([A-Z_]+)", path.read_text("utf-8"))}
        assert named <= known, path.name
    for one in documents():
        # a setting and the file that has it are never given both
        given = set(one.get("data", {}))
        assert not {f"{name}_FILE" for name in given} & given


def test_the_crontab_is_one() -> None:
    lines = [line for line in (FOLDER / "crontab").read_text("utf-8").splitlines() if line and line[0] != "#"]
    for line in lines:
        if re.match(r"[A-Z_]+=", line):
            continue
        *fields, user, command = line.split(maxsplit=6)
        assert len(fields) == 5
        assert all(re.fullmatch(r"\*|\d+", field) for field in fields)
        assert user == "vismanet"
        assert "%" not in command
    assert f"[ $? -eq {exit_codes.BUSY} ]" in jobs_of_cron()[0]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_units_are_units(path: Path) -> None:
    found = unit(path)
    assert set(found.sections()) <= {"Unit", "Service", "Timer", "Install"}
    if path.suffix == ".timer":
        assert found["Timer"]["OnCalendar"]
        assert path.with_suffix(".service").exists()
        return
    service = found["Service"]
    assert service["NoNewPrivileges"] == "yes"
    named = {"SuccessExitStatus", "RestartPreventExitStatus"} & service.keys()
    codes = {int(code) for key in named for code in service[key].split()}
    assert codes <= exit_codes.MEANINGS.keys()
    assert not re.search(r"CLIENT_SECRET=|TOKEN=", path.read_text("utf-8"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text("utf-8").replace("/opt/vismanet/bin/vismanet", "/bin/true")
        (tmp_path / path.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / path.name for path in UNITS)],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


REQUIRED = {
    "Secret": ("v1", ("stringData",)),
    "ConfigMap": ("v1", ("data",)),
    "PersistentVolumeClaim": ("v1", ("spec.accessModes", "spec.resources.requests.storage")),
    "CronJob": ("batch/v1", ("spec.schedule", "spec.jobTemplate.spec.template.spec.containers")),
    "Deployment": ("apps/v1", ("spec.selector.matchLabels", "spec.template.spec.containers")),
}


@pytest.mark.parametrize("document", documents(), ids=lambda one: one["kind"])
def test_kubernetes_has_what_it_requires(document: dict[str, Any]) -> None:
    version, fields = REQUIRED[document["kind"]]
    assert document["apiVersion"] == version
    assert re.fullmatch(r"[a-z0-9-]+", document["metadata"]["name"])
    for field in fields:
        value: Any = document
        for name in field.split("."):
            value = value[name]
        assert value
    if document["kind"] == "Deployment":
        assert document["spec"]["selector"]["matchLabels"] == document["spec"]["template"]["metadata"]["labels"]
    if document["kind"] == "CronJob":
        job = document["spec"]["jobTemplate"]["spec"]
        assert job["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy wants that"
        [rule] = job["podFailurePolicy"]["rules"]
        assert rule["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
        assert set(rule["onExitCodes"]["values"]) == {exit_codes.WRONG_USE, exit_codes.NOT_SIGNED_IN}


def test_pods_find_what_they_name_and_need_no_root() -> None:
    there = {(one["kind"], one["metadata"]["name"]): one for one in documents()}
    files = there["Secret", "vismanet"]["stringData"]
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            assert "secret" not in volume or ("Secret", volume["secret"]["secretName"]) in there
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or ("PersistentVolumeClaim", claim["claimName"]) in there
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes.keys()
            settings = dict(there["ConfigMap", container["envFrom"][0]["configMapRef"]["name"]]["data"])
            settings |= {one["name"]: one["value"] for one in container.get("env", [])}
            for name, value in settings.items():
                if name.endswith("_FILE"):
                    assert Path(value).parent == Path(mounts["secret"])
                    assert Path(value).name in files


def test_the_image_has_no_root_and_no_secret() -> None:
    text = (FOLDER / "Containerfile").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["docker.io/library/python:3.13-slim"] * 2
    assert "Programming Language :: Python :: 3.13" in project["classifiers"]
    [extras] = re.findall(r"vismanet-async\[([^]]*)\]", text)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001:10001"]
    assert text.index("USER ") < text.index("ENTRYPOINT")
    [entry] = re.findall(r'^ENTRYPOINT \["(\S+)"\]$', text, re.MULTILINE)
    assert entry in project["scripts"]
    assert not re.search(r"SECRET|TOKEN", text)


def test_the_cron_job_does_what_it_says(shell: Shell, tmp_path: Path) -> None:
    """Its arguments, with the secret in a file, as in the cluster."""
    secret = tmp_path / "client_secret"
    secret.write_text(f"{shell.simulator.client_secret}\n", "utf-8")
    pod = next(pods())
    words = [str(word).replace("/data", str(tmp_path)) for word in pod["containers"][0]["args"]]
    done = shell.inside(*words, env={"VISMANET_CLIENT_SECRET": None, "VISMANET_CLIENT_SECRET_FILE": str(secret)})
    assert done.returncode == 0, done.stderr
    assert validate(tmp_path / "export").resources["customer"].rows == 900
