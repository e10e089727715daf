"""What people read leads somewhere, leaves nothing out, and names only what there is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from hub.cli import main
from hub.commands.output import DefaultGroup
from hub.core.settings import FIELDS
from tests.services.hub import PROJECT
from tests.services.markdown import anchors, commands, documents, links, rows, section, spans, text

DOCS = PROJECT / "docs"
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
BENCHES = set(
    re.findall(r'"([a-z-]+)": \w+\.measure', (PROJECT / "bench/__main__.py").read_text(encoding="utf-8"))
)
#: Variables that are no settings: where the settings are, what only tests know, and one that is misspelled.
OTHER_VARIABLES = {"HUB_CONFIG_FILE", "HUB_TEST_REQUIRE", "HUB_PROT"}
#: Ports that documents show: the hub's, those that other programs usually have, and one where nobody listens.
PORTS = {"1", "8000", "8001", "8080", "7860", "8188", "11434", "4318", "9461", "9462"}
#: Where a program's name is the hub's own, but what follows is not to be a command.
NO_COMMAND = ("COMMAND", "...", "<command>")
EACH = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: str(path.relative_to(PROJECT)).replace("/", "-")
)


@EACH
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    lost = []
    for link in links(document):
        name, _, anchor = link.partition("#")
        target = (document.parent / unquote(name)).resolve() if name else document
        is_there = target.exists() and (not anchor or (target.suffix == ".md" and anchor in anchors(target)))
        lost += [] if is_there else [link]
    assert lost == []


@EACH
def test_a_document_shows_only_commands_that_there_are(document: Path) -> None:
    assert [fault for words in commands(document) for fault in faults(words)] == []


def faults(words: list[str]) -> Iterator[str]:
    if words[0] == "hub":
        yield from faults_of_hub(words[1:])
        return
    named = words[3:] if words[1:2] == ["-C"] else words[1:]
    target = next((word for word in named if re.fullmatch(r"[a-z][a-z-]*", word)), None)
    if target is not None and target not in TARGETS:
        yield f"make {target}"
    if target == "bench":
        benches = " ".join(named[1:]).removeprefix("args=").strip('"').split("--json")[0].split()
        yield from (f"bench {each}" for each in benches if each not in BENCHES)


def faults_of_hub(words: list[str]) -> Iterator[str]:
    """Yield what the command line does not know of these words."""
    command: click.Command = main
    path = "hub"
    for word in words:
        if word in NO_COMMAND:
            return
        if word.startswith("-") and word != "-":  # which is standard output
            name = word.strip("[]").split("=")[0]
            if name not in options(command):
                yield f"{path} {name}"
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                yield f"{path} {word}"
                return
            command, path = found, f"{path} {word}"


def options(command: click.Command) -> set[str]:
    """Return the options of a command, and of the one that is meant where a group alone is called."""
    context = click.Context(command)
    known = {option for each in command.get_params(context) for option in each.opts}
    if isinstance(command, DefaultGroup):
        meant = command.get_command(context, command._default)
        return known | options(meant) if meant is not None else known
    return known


@EACH
def test_a_document_names_only_settings_that_there_are(document: Path) -> None:
    known = {field.variable for field in FIELDS.values()} | OTHER_VARIABLES
    named = set(re.findall(r"\bHUB_[A-Z0-9_]*[A-Z0-9]\b(?!\.\.\.)", text(document)))
    assert {each for each in named if each.removesuffix("_FILE") not in known} - known == set()


@EACH
def test_a_document_is_about_no_machine_of_ours(document: Path) -> None:
    folders = re.findall(r"(?<![\w.}])/(?:home|root|tmp|work)/[\w-]+", text(document))
    ports = re.findall(r"127\.0\.0\.1:(\d+)", text(document))
    assert (set(folders) - {"/tmp/drill", "/tmp/removed-"}, set(ports) - PORTS) == (set(), set())


def test_the_readme_is_short_and_has_a_picture_and_code() -> None:
    readme = text(PROJECT / "README.md")
    assert 100 <= len(readme.splitlines()) <= 150
    assert "](docs/pictures/" in readme
    assert "```python" in readme


def test_every_document_is_in_the_list_of_documents() -> None:
    listed = {(DOCS / each.partition("#")[0]).resolve() for each in links(DOCS / "README.md")}
    assert {path for path in DOCS.glob("*.md") if path.name != "README.md"} - listed == set()
    assert {PROJECT / each for each in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")} <= listed


def test_every_decision_is_listed_once_with_a_line_of_its_own() -> None:
    listed = re.findall(
        r"^\| \[(\d+)\]\(decisions/(\d{4}-[\w-]+\.md)\) \| (.{20,}) \|$",
        text(DOCS / "architecture.md"),
        re.MULTILINE,
    )
    assert [name for _, name, _ in listed] == sorted(path.name for path in DOCS.glob("decisions/*.md"))
    assert all(int(name[:4]) == int(number) for number, name, _ in listed)
    for _, name, _ in listed:
        assert re.match(rf"# {int(name[:4])}\. ", text(DOCS / "decisions" / name)), name


def test_every_room_is_described() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (each["layers"] for each in settings["tool"]["importlinter"]["contracts"] if "layers" in each)
    rooms = {room.strip() for layer in layers for room in layer.split("|")} - {"hub.__main__"}
    described = "".join(row[0] for row in rows(section(text(DOCS / "architecture.md"), "Rooms")))
    assert {room for room in rooms if not re.search(rf"src/{room.replace('.', '/')}\b", described)} == set()
    assert {
        each.name for each in (PROJECT / "src/hub/domain").iterdir() if (each / "__init__.py").exists()
    } <= {span for row in rows(section(text(DOCS / "architecture.md"), "Rooms")) for span in spans(row[1])}
