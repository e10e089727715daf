"""The files in deploy/, read as those read them who use them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from tests.services.hub import PROJECT

DEPLOY = PROJECT / "deploy"
#: Where the units expect the hub's environment.
HUB = "/opt/companion-hub/bin/hub"

Table = dict[str, object]
_DEFAULTED = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")


def read_yaml(path: Path) -> Table:
    """Return a YAML file's mapping, merge keys done."""
    read: Table = YAML(typ="safe").load(path)
    return read


def table(of: object, *path: str) -> Table:
    """Return a mapping inside a mapping."""
    for name in path:
        assert isinstance(of, dict)
        of = of[name]
    assert isinstance(of, dict)
    return of


def env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file of NAME=value lines."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


def compose_environment(service: str, secrets: Path) -> dict[str, str]:
    """Return what the hub in this service of compose.yaml sees, its secrets lying in ``secrets``."""
    given = env_file(DEPLOY / "docker" / "example.env")
    services = table(read_yaml(DEPLOY / "docker" / "compose.yaml"), "services")
    environment = table(services, service, "environment")
    filled = {
        name: _DEFAULTED.sub(lambda found: given[found[1]], str(text)) for name, text in environment.items()
    }
    return {name: text.replace("/run/secrets", str(secrets)) for name, text in filled.items()}


def make_secrets(folder: Path) -> str:
    """Run make-secrets.sh; return what it says."""
    command = ["sh", str(DEPLOY / "docker" / "make-secrets.sh"), str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def units(*kinds: str) -> list[Path]:
    """Return the systemd units of these kinds."""
    return sorted(path for kind in kinds for path in (DEPLOY / "systemd").glob(f"*.{kind}"))


def lines_of(unit: Path, key: str) -> list[str]:
    """Return the values that a unit gives to a key."""
    text = unit.read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def unit_environment(unit: Path, *, state: Path, credentials: Path) -> dict[str, str]:
    """Return what the service's process sees, with these folders for its state and its credentials."""
    words = " ".join(lines_of(unit, "Environment")).replace("%S", str(state)).replace("%d", str(credentials))
    environment = dict(word.split("=", 1) for word in words.split())
    for file in lines_of(unit, "EnvironmentFile"):
        sample = DEPLOY / "systemd" / Path(file.removeprefix("-")).name
        if sample.exists() or not file.startswith("-"):
            environment |= env_file(sample)
    return environment
