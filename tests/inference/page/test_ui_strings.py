"""The texts of pages and warnings: every language says all, and nothing that is never shown."""

import re
import string

import pytest

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError
from caption_tx.inference.attention import health
from caption_tx.inference.page.ui_strings import counted, part, texts


def flat(table, path=()):
    """{path: text} of a table of texts; an entry of a list by its place."""
    if isinstance(table, str):
        return {path: table}
    items = table.items() if isinstance(table, dict) else enumerate(table)
    return {key: text for name, item in items for key, text in flat(item, (*path, name)).items()}


def names_in(text):
    """What is to be filled into a text, and how."""
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def test_all_languages_say_the_same():
    reference = flat(texts("en"))
    assert len(reference) > 50
    for language in LANGUAGES:
        found = flat(texts(language))
        assert found.keys() == reference.keys()
        assert [key for key, text in found.items() if not text.strip()] == []
        # One picture need not be counted.
        few = [key for key in found if key[-1] != "one" and names_in(found[key]) != names_in(reference[key])]
        assert few == []


def test_chinese_is_chinese():
    latin = {key: re.findall("[A-Za-z]+", re.sub(r"\{.*?\}", "", text)) for key, text in flat(texts("zh")).items()}
    assert {key: words for key, words in latin.items() if words} == {
        ("lang",): ["zh", "Hans"],
        ("no_script",): ["JavaScript"],
        ("pool_rollout",): ["rollout"],
        ("keyboard_hint",): ["Esc"],
    }


def test_every_text_is_used():
    template, script = part("report.html.j2"), part("report.js")
    with open(health.__file__, encoding="utf-8") as file:
        warned = file.read()
    table = texts("en")
    composed = {f"pool_{name}" for name in ("mean", "max", "spread", "rollout")} | {"script", "health", "end"}
    assert [key for key in table if f"t.{key}" not in template and key not in composed] == []
    composed = {"play", "pause", "play_of", "pause_of", "brightest_common", "brightest_own"}
    assert [key for key in table["script"] if f"texts.{key}" not in script and key not in composed] == []
    assert [key for key in table["health"] if f'"{key}"' not in warned] == []


def test_counted():
    forms = {"one": "1 word", "many": "{count} words"}
    assert [counted(forms, count) for count in (1, 2)] == ["1 word", "2 words"]


def test_another_language_is_refused():
    with pytest.raises(ConfigError, match="zh or en, got the language 'fr'"):
        texts("fr")
