"""Data inside scripts of JavaScript and Python, and tables of Google's APIs."""

import json

import pytest
from corpus_cases import DOG, GIRL, ONE, notes, rows

from caption_tx.data.corpus.file_text.scripts import JSON5, SCRIPT
from caption_tx.data.corpus.readers.google_tables import TABLE, VALUES
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

LIST = json.dumps([{"image": name, "caption": text} for name, text in ONE], ensure_ascii=False)
NAMES = json.dumps(dict(ONE), ensure_ascii=False)
CELLS = [{"c": [{"v": name}, {"v": text}, None]} for name, text in ONE]
COLS = [{"id": "A", "label": "image"}, {"id": "B", "label": "caption"}, {"id": "C", "label": "mood"}]
RESPONSE = json.dumps({"version": "0.6", "status": "ok", "table": {"cols": COLS, "rows": CELLS}})

CASES = {
    "JSONP": f"callback({LIST});",
    "JSONP with a guard": f"/**/cb && cb({LIST});",
    "var": f"// captions\nvar data = {LIST};\n",
    "const": f"'use strict';\nexport const captions: Caption[] = {LIST} as const;",
    "window": f"window.app['captions'] = {NAMES}",
    "module": f"module.exports = {NAMES};",
    "default": f"export default {LIST}\n",
    "function": f"(function () {{\n  window.data = {LIST};\n}})();",
    "arrow": f"(() => {{ data = {LIST} }})()",
    "prefix": f")]}}',\n{LIST}",
    "loop": f"while(1);{LIST}",
    "literals": (
        f"var data = [\n  {{image: 'a.jpg', caption: '{DOG}',}}, // one\n"
        f"  {{image: \"b.jpg\", caption: `{ONE[1][1]}`}},\n];"
    ),
    "variables": f"var train = {{'a.jpg': '{DOG}'}};\nvar more = {{'b.jpg': '{ONE[1][1]}'}};\n",
    "Python": f"captions = {dict(ONE)}\n",
    "Python with comments": f"# captions\ncaptions = [\n    {ONE[0]},  # one\n    {ONE[1]},\n]\nprint(captions)\n",
    "Python with other values": f"captions = {ONE}  # a list\nversion = 3\nname = 'x'\nrejected = []\n",
    "empty items before others": (
        "cb({table: {cols: [{label: 'image'}, {label: 'n'}, {label: 'caption'}], rows: [{c: [{v: 'a.jpg'},, "
        f"{{v: '{DOG}'}}]}}, {{c: [{{v: 'b.jpg'}},, {{v: '{ONE[1][1]}'}}]}}]}}}});"
    ),
    "empty items": (
        "cb({table: {cols: [{label: 'image'}, {label: 'caption'}], rows: [{c: [{v: 'a.jpg'}, "
        f"{{v: '{DOG}'}},,]}}, {{c: [{{v: 'b.jpg'}}, {{v: '{ONE[1][1]}'}}]}}]}}}});"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("suffix", ["js", "json", "txt"])
def test_script(write, name, suffix):
    table = read_corpus(write(f"x.{suffix}", CASES[name]))
    assert rows(table) == ONE
    assert any(SCRIPT in note for note in notes(table))


def test_the_rest_of_a_script_is_reported(write):
    table = read_corpus(write("x.js", f"var data = {LIST};\nshow(data);\n"))
    assert f"{SCRIPT} (after it 'show(data);')" in notes(table) and rows(table) == ONE


def test_the_start_of_a_python_script_is_reported(write):
    table = read_corpus(write("x.py", CASES["Python with other values"]))
    assert notes(table)[f"{SCRIPT} ('captions =')"] == 1  # of four variables


def test_texts_of_scripts(write):
    text = r"""x = {"a.jpg": "it's // no \"comment\"", 'b.jpg': 'it\'s "so" \x41\u4e00', "c.jpg": `two
lines: {a: 1}`}"""
    captions = ['it\'s // no "comment"', 'it\'s "so" A一', "two\nlines: {a: 1}"]
    assert list(read_corpus(write("x.js", text))["caption"]) == captions


def test_a_script_without_plain_data_is_rejected(write):
    with pytest.raises(CorpusError, match=r"is a script \('var data ='.*save the data alone as a JSON file"):
        read_corpus(write("x.js", "var data = [make('a.jpg', 'a dog'), make('b.jpg', 'a cat')];"))


def test_json5(write):
    table = read_corpus(write("x.json", f"[{{image: 'a.jpg', caption: '{DOG}'}}]"))
    assert rows(table) == ONE[:1] and JSON5 in notes(table)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (f"/*O_o*/\ngoogle.visualization.Query.setResponse({RESPONSE});", TABLE),
        (RESPONSE, TABLE),
        (json.dumps({"cols": COLS, "rows": CELLS}), TABLE),
        (
            json.dumps({"cols": [{"id": "A"}, {"id": "B"}], "rows": [{"c": [{"v": "图片"}, {"v": "描述"}]}, *CELLS]}),
            TABLE,
        ),
        (json.dumps({"range": "A1:B3", "majorDimension": "ROWS", "values": [["image", "caption"], *ONE]}), VALUES),
    ],
)
def test_google_tables(write, content, note):
    table = read_corpus(write("x.json", content))
    assert rows(table) == ONE and note in notes(table)


def test_google_tables_with_two_captions_and_numbers(write):
    cols = [{"label": "id"}, {"label": "caption"}, {"label": "caption"}]
    cells = [{"c": [{"v": 7.0, "f": "7"}, {"v": DOG}, {"v": GIRL}]}]
    table = read_corpus(write("x.json", json.dumps({"table": {"cols": cols, "rows": cells}})))
    assert rows(table) == [("7", DOG), ("7", GIRL)]


def test_lines_of_names_and_lists_are_no_scripts(write):
    table = read_corpus(write("x.txt", "a.jpg = ['a dog runs', 'it runs']\nb.jpg = ['a cat sits', 'it sits']\n"))
    assert len(table) == 4 and not any(SCRIPT in note for note in notes(table))
