"""UI strings of the page: all languages are complete, and every string is used."""

import re
import string

import pytest

from caption_tx.config import LANGUAGES, POOL_NAMES
from caption_tx.data.text.vocabulary import end_label
from caption_tx.errors import ConfigError
from caption_tx.inference.page.ui_strings import plural, read_template, ui_strings


def flatten(table, path=()):
    """{path: text} of a nested table; list items have their index in the path."""
    if isinstance(table, str):
        return {path: table}
    items = table.items() if isinstance(table, dict) else enumerate(table)
    return {key: text for name, item in items for key, text in flatten(item, (*path, name)).items()}


def placeholders(text):
    """Names and formats of the placeholders in a text."""
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def test_all_languages_have_the_same_keys_and_placeholders():
    reference = flatten(ui_strings("en"))
    assert len(reference) > 50
    for language in LANGUAGES:
        texts = flatten(ui_strings(language))
        assert texts.keys() == reference.keys()
        assert [key for key, text in texts.items() if not text.strip()] == []
        # A singular form may leave out the count.
        different = [
            key for key in texts if key[-1] != "one" and placeholders(texts[key]) != placeholders(reference[key])
        ]
        assert different == []


def test_chinese_strings_are_chinese():
    latin = {
        key: re.findall("[A-Za-z]+", re.sub(r"\{.*?\}", "", text)) for key, text in flatten(ui_strings("zh")).items()
    }
    assert {key: words for key, words in latin.items() if words} == {
        ("lang",): ["zh", "Hans"],
        ("no_script",): ["JavaScript"],
        ("pool_rollout",): ["rollout"],
        ("keyboard_hint",): ["Esc"],
    }


def test_every_string_is_used():
    template = "".join(map(read_template, ("page.html.j2", "settings.html.j2", "card.html.j2")))
    script = read_template("page.js")
    strings = ui_strings("en")
    computed = {f"pool_{name}" for name in POOL_NAMES} | {"script", "end"}
    computed |= {"accuracy", "accuracy_of", "list_comma", "kinds"}
    assert [key for key in strings if f"t.{key}" not in template and key not in computed] == []
    computed = {"play", "pause", "play_of", "pause_of", "maximum_common", "maximum_own", "sharp", "posterior"}
    assert [key for key in strings["script"] if f"strings.{key}" not in script and key not in computed] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_and_pages_name_the_end_alike(language):
    assert ui_strings(language)["end"] == end_label(language)


def test_plural():
    forms = {"one": "1 word", "many": "{count} words"}
    assert [plural(forms, count) for count in (1, 2)] == ["1 word", "2 words"]


def test_an_unknown_language_is_rejected():
    with pytest.raises(ConfigError, match="zh or en, got 'fr'"):
        ui_strings("fr")
