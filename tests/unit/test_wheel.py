"""What a built wheel has: all that the page is made of, also what git ignores."""

from __future__ import annotations

from hatchling.builders.wheel import WheelBuilder

from tests.services.hub import PROJECT

PAGES = PROJECT / "src" / "hub" / "web" / "pages"


def test_the_whole_page_is_in_the_wheel() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(PROJECT)).recurse_included_files()}
    files = [path for path in PAGES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    needed = {
        path.relative_to(PROJECT / "src").as_posix() for path in files if not path.name.endswith(".d.ts")
    }
    assert needed - packed == set()
    for name in ("templates/layout.html", "static/css/base.css", "static/js/page.js", "locales/de.po"):
        assert f"hub/web/pages/{name}" in packed
    for name in ("lit-html/lit-html.js", "lit-html/LICENSE", "marked/marked.js", "marked/LICENSE"):
        assert f"hub/web/pages/static/vendor/{name}" in packed, "fetch it: python tools/fetch_javascript.py"
    assert [name for name in packed if name.endswith(".d.ts")] == []
