"""Rows with a key and a value, of which only some keys are captions."""

import json

import pandas as pd
import pytest

from caption_tx.data.corpus.memory import list_captions
from caption_tx.data.corpus.sources import read_sources
from caption_tx.data.corpus.tables.columns import ReadOptions
from caption_tx.errors import CorpusError

PLACES = ["西湖", "断桥边", "雷峰塔旁"]
SENTENCES = ["一只黄狗在草地上奔跑", "两个小孩在海边堆沙堡", "厨师正在切西红柿"]
ENGLISH = ["a dog runs on the grass", "two kids play at a beach", "a chef cuts a tomato"]


def _rows(keys, *columns):
    return [(f"{n}.jpg", key, column[n]) for n in range(3) for key, column in zip(keys, columns, strict=True)]


def _read(path, header, rows, **options):
    path.write_text("".join(",".join(row) + "\n" for row in [header, *rows]), "utf-8")
    [(_, read)] = read_sources([str(path)], None, ReadOptions(**options))
    return read


@pytest.mark.parametrize(
    ("header", "keys", "note"),
    [
        ("image,key,value", ("location", "caption"), "rows of other kinds in the column 'key' not read (location)"),
        ("资源,属性,值", ("拍摄地点", "描述"), "rows of other kinds in the column '属性' not read (拍摄地点)"),
        ("filename,field,text", ("place", "title"), "rows of other kinds in the column 'field' not read (place)"),
        ("image,type,caption", ("place", "caption"), "rows of other kinds in the column 'type' not read (place)"),
    ],
)
def test_only_rows_whose_key_names_a_caption_are_read(tmp_path, header, keys, note):
    rows = _read(tmp_path / "a.csv", header.split(","), _rows(keys, PLACES, SENTENCES))
    assert rows.captions == SENTENCES and rows.notes[note] == 3


def test_entries_and_tables_in_memory_have_keys_too(tmp_path):
    table = pd.DataFrame(_rows(("location", "caption"), PLACES, SENTENCES), columns=["image", "key", "value"])
    path = tmp_path / "a.jsonl"
    records = [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy()]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    array = tmp_path / "a.json"
    array.write_text(json.dumps(records), "utf-8")
    for source, unit in ((str(path), "key"), (str(array), "key"), (list_captions(table)[0], "column")):
        [(_, rows)] = read_sources([source], None)
        assert rows.captions == SENTENCES
        assert rows.notes[f"rows of other kinds in the {unit} 'key' not read (location)"] == 3


@pytest.mark.parametrize("keys", [("place", "remark"), ("caption", "description")])
def test_unclear_keys_are_an_error_that_lists_them(tmp_path, keys):
    header, rows = ("image", "key", "value"), _rows(keys, PLACES, SENTENCES)
    with pytest.raises(CorpusError, match=f"'key' says what each row holds .{', '.join(keys)}.*--caption-column"):
        _read(tmp_path / "a.csv", header, rows)
    assert _read(tmp_path / "a.csv", header, rows, caption_columns=(keys[1],)).captions == SENTENCES


@pytest.mark.parametrize(
    ("header", "keys", "columns"),
    [
        ("image,annotator,caption", ("li", "wang"), (SENTENCES, SENTENCES[::-1])),
        ("image,lang,caption", ("zh", "en"), (SENTENCES, ENGLISH)),
        ("image,style,caption", ("short caption", "humorous"), (SENTENCES, SENTENCES[::-1])),
        ("image,key,caption", ("first", "second"), (SENTENCES, SENTENCES[::-1])),
        ("image,field,text", ("caption_1", "caption_2"), (SENTENCES, SENTENCES[::-1])),
    ],
)
def test_sentences_of_every_kind_are_captions(tmp_path, header, keys, columns):
    rows = _read(tmp_path / "a.csv", header.split(","), _rows(keys, *columns))
    assert len(rows) == 6 and not any("of other kinds" in note for note in rows.notes)
