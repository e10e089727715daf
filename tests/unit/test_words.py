"""What the page says is collected as it stands, and said in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from tools.words import LOCALES, TEMPLATE, collect, sentences, text, updated

LANGUAGES = sorted(LOCALES.glob("*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")


def test_the_template_has_what_the_page_says() -> None:
    assert (LOCALES / TEMPLATE).read_text(encoding="utf-8") == text(collect()), "run: make words"


@pytest.mark.parametrize("file", LANGUAGES, ids=lambda file: file.stem)
def test_a_language_has_the_same_sentences(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == text(updated(file, collect())), "run: make words"


@pytest.mark.parametrize("file", LANGUAGES, ids=lambda file: file.stem)
def test_a_language_says_everything(file: Path) -> None:
    with file.open("rb") as opened:
        catalog = read_po(opened, locale=file.stem)
    assert len(catalog) > 0
    assert [fault for message in catalog if message.id for fault in faults(message)] == []


def forms(sentence: object) -> list[str]:
    """Return the forms of a sentence, of which most have one."""
    return [sentence] if isinstance(sentence, str) else [str(each) for each in sentence or ()]  # type: ignore[attr-defined] # a sequence


def faults(message: Message) -> list[str]:
    """Return what is wrong with a translation."""
    english, said = forms(message.id), forms(message.string)
    wished = [sorted(PLACEHOLDER.findall(each)) for each in (english[0], english[-1])]
    found = []
    if not said or not all(said):
        found.append(f"not translated: {english[0]}")
    elif any(sorted(PLACEHOLDER.findall(each)) not in wished for each in said):
        found.append(f"other placeholders: {said}")
    if message.fuzzy:
        found.append(f"fuzzy: {english[0]}")
    return found


@pytest.mark.parametrize(
    ("english", "said", "fault"),
    [
        ("%(name)s is here", "%(name)s ist da", None),
        ("%(name)s is here", "%(nmae)s ist da", "other placeholders"),
        ("%(name)s is here", "", "not translated"),
        (("a moss", "%(num)d mosses"), ("ein Moos", "%(num)d Moose"), None),
        (("a moss", "%(num)d mosses"), ("ein Moos", ""), "not translated"),
    ],
)
def test_a_fault_is_found(
    english: str | tuple[str, ...], said: str | tuple[str, ...], fault: str | None
) -> None:
    found = faults(Message(english, said))
    assert [each.partition(":")[0] for each in found] == ([fault] if fault else [])


def test_the_sentences_of_a_script() -> None:
    script = """
        import { _, ngettext, format } from "./words.js";
        /** Use `_(text)` for what people see: _("never said"). */
        // and _("nor this")
        export function _(text) { return text; }
        const field = html`<input accept="image/*">`;
        const view = html`<p title=${_("On the paragraph")}>don't ${rows.length
            ? html`<b>${_('It\\'s "nested"')}</b> ${html`<i>${_("Deeper")}</i>`}`
            : format(_("%(name)s is typing…"), { name })}</p>`;
        /* a comment */
        const many = ngettext("%(num)d moss", "%(num)d mosses", count);
        const long = _("One " +
            "sentence",);
        const other = not_("a call") + object._("either");
    """
    assert [sentence for _, sentence in sentences(script)] == [
        "On the paragraph",
        'It\'s "nested"',
        "Deeper",
        "%(name)s is typing…",
        ("%(num)d moss", "%(num)d mosses"),
        "One sentence",
    ]
    assert next(sentences('\n\n_("Third")')) == (3, "Third")


@pytest.mark.parametrize("call", ["_(name)", "_(`Hello`)", '_("Hello " + name)', 'ngettext("One", n)'])
def test_a_sentence_that_nobody_could_translate_is_refused(call: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: .* needs its sentence as a plain string"):
        list(sentences(f"\n{call}"))


def test_the_sentences_of_templates_and_python(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "static" / "js").mkdir(parents=True)
    (tmp_path / "templates" / "page.html").write_text(
        '{{ _("In a template") }}'
        "{% trans count=n %}One\n  thing{% pluralize %}{{ count }}\n things{% endtrans %}"
    )
    (tmp_path / "page.py").write_text('LABEL = N_("In Python")\n')
    (tmp_path / "static" / "js" / "page.js").write_text('_("In a script")')
    found = text(collect(tmp_path))
    for words in (
        '#: templates/page.html\nmsgid "In a template"',
        '#: page.py\nmsgid "In Python"',
        '#: static/js/page.js\nmsgid "In a script"',
        'msgid "One thing"\nmsgid_plural "%(count)s things"',
    ):
        assert words in found
    assert "2026" not in found
