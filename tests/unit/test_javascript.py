"""The page's JavaScript: its own tests run in Node, and what it is built on is locked."""

from __future__ import annotations

import gzip
import json
import subprocess

from tests.services.hub import PROJECT
from tests.services.programs import program


def test_the_tests_in_javascript() -> None:
    files = sorted((PROJECT / "tests" / "javascript").glob("*.test.js"))
    assert files
    command = [program("node"), "--test", "--test-reporter=spec", *map(str, files)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_scripts_together_are_small() -> None:
    folder = PROJECT / "src" / "hub" / "web" / "pages" / "static"
    sizes = {file: len(gzip.compress(file.read_bytes(), 9)) for file in folder.rglob("*.js")}
    assert sum(sizes.values()) <= 60_000, sizes


def test_the_lock_is_of_the_package_and_names_no_address() -> None:
    package = json.loads((PROJECT / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for kind in ("dependencies", "devDependencies"):
        assert locked[""][kind] == package[kind], "run: make lock"
    assert [name for name, each in locked.items() if "resolved" in each] == []
    assert [name for name, each in locked.items() if name and "integrity" not in each] == []
