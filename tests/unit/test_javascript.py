"""The page's JavaScript: its own tests run in Node, and what it is built on is locked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from hub.web.pages.assets import FOLDER, assets
from tests.services.hub import PROJECT
from tests.services.programs import program


def test_the_tests_in_javascript() -> None:
    files = sorted((PROJECT / "tests" / "javascript").glob("*.test.js"))
    assert files
    command = [program("node"), "--test", "--test-reporter=spec", *map(str, files)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_scripts_together_are_small() -> None:
    """In bytes as they are sent, with the words of one language."""
    names = [name for name in assets().names if name.endswith(".js")]
    sizes = {name: len(found.compressed or b"") for name in names if (found := assets().find(name))}
    words = [sizes.pop(name) for name in names if name.startswith("words/")]
    assert len(sizes) > 20
    assert sum(sizes.values()) + max(words) <= 60_000, sizes


def test_only_comments_and_indents_are_left_out_of_scripts(tmp_path: Path) -> None:
    """The compiler makes the same of what is sent as of what is written."""
    written, sent = tmp_path / "written", tmp_path / "sent"
    for file in (FOLDER / "js").rglob("*.js"):
        name = file.relative_to(FOLDER)
        found = assets().find(name.as_posix())
        assert found is not None
        for folder, content in ((written, file.read_bytes()), (sent, found.content)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    first, second = compiled(written), compiled(sent)
    assert len(first) > 20
    assert first == second


def compiled(folder: Path) -> dict[str, str]:
    """Return what TypeScript's compiler writes for scripts, without comments."""
    (compiler,) = (PROJECT / "node_modules" / "@typescript").glob("typescript-*/lib/tsc")
    out = folder.with_suffix(".out")
    settings = {
        "allowJs": True,
        "noCheck": True,
        "removeComments": True,
        "target": "ES2024",
        "module": "Preserve",
        "outDir": str(out),
        "rootDir": str(folder),
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": settings, "include": ["js/**/*"]}))
    subprocess.run([compiler, "--project", folder], check=True, timeout=60)
    return {str(file.relative_to(out)): unindented(file) for file in out.rglob("*.js")}


def unindented(file: Path) -> str:
    """Return a file's text without what its lines begin with."""
    return "\n".join(line.lstrip() for line in file.read_text(encoding="utf-8").splitlines())


def test_the_lock_is_of_the_package_and_names_no_address() -> None:
    package = json.loads((PROJECT / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for kind in ("dependencies", "devDependencies"):
        assert locked[""][kind] == package[kind], "run: make lock"
    assert [name for name, each in locked.items() if "resolved" in each] == []
    assert [name for name, each in locked.items() if name and "integrity" not in each] == []
