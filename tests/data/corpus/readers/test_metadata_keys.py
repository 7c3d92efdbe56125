"""JSON-LD, ARB and files of messages: keys that are about the data are no captions."""

import json

import pytest
from corpus_cases import CAT, DOG, ONE, jsonl, notes, rows

from caption_tx.data.corpus.readers.metadata_keys import NOTES
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CONTEXT = {"@version": 1.1, "title": "http://purl.org/title", "caption": "schema:caption", "image": "schema:image"}
KEYS = "keys that begin with @, which are no captions, not read"


def graph(wrap):
    return {"@context": CONTEXT, "@graph": [wrap(name, text) for name, text in ONE]}


def value(text, language="zh"):
    return {"@value": text, "@language": language}


CASES = {
    "Tropy": (
        graph(lambda name, text: {"@type": "Item", "title": text, "photo": [{"@type": "Photo", "filename": name}]}),
        {f"{KEYS} (@context, @type)": 5},
    ),
    "values": (
        graph(lambda name, text: {"image": {"@id": name}, "caption": value(text)}), {f"{KEYS} (@context)": 1},
    ),
    "names in @id": (graph(lambda name, text: {"@id": name, "caption": text}), {f"{KEYS} (@context)": 1}),
    "lists": (
        graph(lambda name, text: {"@id": "#1", "image": name, "caption": {"@list": [text]}}),
        {f"{KEYS} (@context, @id)": 3},
    ),
    "ARB": (
        {"@@locale": "zh", "a.jpg": DOG, "@a.jpg": {"description": "the first caption"}, "b.jpg": CAT},
        {f"{KEYS} (@@locale, @a.jpg)": 2},
    ),
    "messages": (
        {"a.jpg": {"message": DOG, "description": "the first caption"}, "b.jpg": {"message": CAT, "description": "."}},
        {NOTES.format("description"): 2},
    ),
    "structured": (
        {"a.jpg": {"string": DOG, "developer_comment": "x", "fuzzy": True}, "b.jpg": {"string": CAT, "context": "y"}},
        {NOTES.format("developer_comment, context"): 2, "captions marked as not yet reviewed (fuzzy: True), read": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_metadata(write, name):
    content, wanted = CASES[name]
    table = read_corpus(write("x.json", json.dumps(content)))
    assert rows(table) == ONE
    assert wanted.items() <= notes(table).items(), notes(table)


def test_lines(write):
    entries = ({"@context": "https://schema.org", "image": name, "caption": value(text)} for name, text in ONE)
    table = read_corpus(write("x.jsonl", jsonl(*entries)))
    assert rows(table) == ONE and notes(table) == {f"{KEYS} (@context)": 2}


def test_values_in_several_languages_need_a_choice(write):
    file = write(
        "x.json", json.dumps(graph(lambda name, text: {"image": name, "caption": [value(text), value("x", "en")]}))
    )
    with pytest.raises(CorpusError, match=r"caption\.zh .*, caption\.en"):
        read_corpus(file)
    assert rows(read_corpus(file, caption_column=["zh"])) == ONE


def test_attributes_of_xml_may_name_the_image(write):
    content = {"images": {"image": [{"@file": name, "#text": text} for name, text in ONE]}}
    assert rows(read_corpus(write("x.json", json.dumps(content)))) == ONE


@pytest.mark.parametrize(
    ("header", "values", "note"),
    [
        ("fuzzy", ("False", "True"), "(fuzzy: True)"),
        ("needs_review", ("", "1"), "(needs_review: 1)"),
        ("state", ("translated", "needs-editing"), "(state: needs-editing)"),
    ],
)
def test_captions_that_need_a_review_are_read_and_counted(write, header, values, note):
    lines = [f"{name},{text},{mark}\n" for (name, text), mark in zip(ONE, values, strict=True)]
    table = read_corpus(write("x.csv", f"image,caption,{header}\n{''.join(lines)}"))
    assert rows(table) == ONE and notes(table)[f"captions marked as not yet reviewed {note}, read"] == 1
