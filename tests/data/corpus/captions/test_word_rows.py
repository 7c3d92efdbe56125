"""Tables with a word per row, or a word in each of several columns, read as sentences."""

import json

import pandas as pd
import pytest

from caption_tx.data.checks.single_words import single_word_warning
from caption_tx.data.corpus.memory import list_captions
from caption_tx.data.corpus.sources import read_sources
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.tables.columns import ReadOptions

ENGLISH = [
    "a brown dog runs on the grass",
    "two children play at the beach",
    "a chef cuts a tomato",
    "an old man sits on a bench in a park",
]
CHINESE = ["一只 黄狗 在 草地 上 奔跑", "两个 小孩 在 海边 堆 沙堡", "厨师 正在 切 西红柿", "一位 老人 坐在 长椅 上"]
LABELS = ["dog", "cat", "bus", "tree", "sofa", "road", "ball", "car"]


def _joined(sentences):
    return [text if text.isascii() else text.replace(" ", "") for text in sentences]


def _words(sentences, columns=("image", "sent_id", "pos", "word"), start=1):
    """Two sentences per image, with a row per word."""
    rows = [
        (f"{number // 2}.jpg", number % 2 + 1, place, word)
        for number, text in enumerate(sentences)
        for place, word in enumerate(text.split(), start)
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _wide(sentences, names, image="image"):
    """A word per column; the columns after the end of a sentence are empty."""
    lists = [text.split() for text in sentences]
    width = max(map(len, lists))
    rows = [[f"{n}.jpg", *words, *[""] * (width - len(words))] for n, words in enumerate(lists)]
    return pd.DataFrame(rows, columns=[image, *(names.format(place) for place in range(1, width + 1))])


def _read(source, **options):
    [(_, rows)] = read_sources([source if not hasattr(source, "suffix") else str(source)], None, ReadOptions(**options))
    return rows


def _save(table, path):
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_json(path, orient="records", lines=path.suffix == ".jsonl", force_ascii=False)
    return path


KINDS = [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl", ".json"]


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("sentences", [ENGLISH, CHINESE])
def test_a_word_per_row(tmp_path, suffix, sentences):
    rows = _read(_save(_words(sentences), tmp_path / f"a{suffix}"))
    unit = "key" if "json" in suffix else "column"
    assert rows.captions == _joined(sentences) and rows.images == ["0.jpg", "0.jpg", "1.jpg", "1.jpg"]
    assert dict(rows.notes) == {
        f"captions joined from the words in the {unit} 'word' in the order of 'pos', by 'sent_id'": 4
    }


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize(("sentences", "names"), [(ENGLISH, "token_{}"), (CHINESE, "词{}"), (CHINESE, "第{}个词")])
def test_a_word_per_column(tmp_path, suffix, sentences, names):
    table = _wide(sentences, names)
    rows = _read(_save(table, tmp_path / f"a{suffix}"))
    assert rows.captions == _joined(sentences)
    [(note, count)] = rows.notes.items()
    assert count == 4 and note.startswith(f"captions joined from the words in the numbered {_unit(suffix)}")
    assert names.format(1) in note and table.columns[-1] in note


def _unit(suffix):
    return "keys" if "json" in suffix else "columns"


@pytest.mark.parametrize(
    "names",
    [
        ("图片", "句号", "序号", "词"),
        ("image", "sentence_no", "word_index", "text"),
        ("image", "句子id", "词序", "词"),
        ("image", "cap", "n", "caption"),
    ],
)
def test_names_of_columns_with_a_word_per_row(tmp_path, names):
    for start in (0, 1):
        path = _save(_words(CHINESE, names, start), tmp_path / "a.csv")
        assert _read(path).captions == _joined(CHINESE)
        assert _read(path, caption_columns=(names[-1],)).captions == _joined(CHINESE)


def test_the_order_restarts_where_nothing_else_divides_sentences(tmp_path):
    table = _words(ENGLISH).drop(columns="sent_id")
    assert _read(_save(table, tmp_path / "a.csv")).captions == ENGLISH
    assert _read(list_captions(table)[0]).captions == ENGLISH
    table.to_csv(tmp_path / "b.csv", index=False, header=False)
    assert _read(tmp_path / "b.csv").captions == ENGLISH


def test_shuffled_rows_are_ordered(tmp_path):
    rows = _read(_save(_words(ENGLISH).sample(frac=1, random_state=1), tmp_path / "a.csv"))
    assert sorted(rows.captions) == sorted(ENGLISH)


def test_other_columns_of_words_are_named_and_splits_are_read(tmp_path):
    table = _words(ENGLISH).assign(lemma=lambda found: found["word"], upos="X", label="O")
    table["split"] = ["train" if image == "0.jpg" else "test" for image in table["image"]]
    rows = _read(_save(table, tmp_path / "a.csv"))
    assert rows.captions == ENGLISH and rows.splits == ["train", "train", "test", "test"]
    assert rows.notes["columns not read (lemma, upos, label)"] == 3


def test_merged_cells_and_words_that_stand_for_no_caption(tmp_path):
    table = _words([*CHINESE[:3], "桌上 无 人 在"]).astype(object)
    for name in ("sent_id", "image"):
        table.loc[table[["image", "sent_id"]].duplicated(), name] = None
    rows = _read(_save(table, tmp_path / "a.xlsx"))
    assert rows.captions == [*_joined(CHINESE[:3]), "桌上无人在"] and not rows.skipped


def test_a_row_without_a_place_follows_the_one_above(tmp_path):
    table = _words(ENGLISH * 3).astype(object)
    table.loc[[3, len(table) - 2], "pos"] = None
    assert _read(_save(table, tmp_path / "a.csv")).captions == ENGLISH * 3


def test_keys_of_words_below_names_and_beside_longer_entries(tmp_path):
    entries = {
        f"{n}.jpg": {f"word{at}": word for at, word in enumerate(text.split())} for n, text in enumerate(ENGLISH)
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(entries), "utf-8")
    assert _read(path).captions == ENGLISH
    lines = [{"image": name, **words} for name, words in entries.items()]
    path = tmp_path / "b.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    rows = _read(path)
    assert rows.captions == ENGLISH and list(rows.notes.values()) == [4]


def test_columns_of_words_in_any_order_and_empty_ones(tmp_path):
    table = _wide(CHINESE, "w{}").assign(w9="", w8="")
    assert _read(_save(table[["image", *sorted(table.columns[1:], reverse=True)]], tmp_path / "a.csv")).captions == (
        _joined(CHINESE)
    )
    _wide(ENGLISH, "{}").to_csv(tmp_path / "b.csv", index=False, header=False)
    assert _read(tmp_path / "b.csv").captions == ENGLISH
    assert _read(_save(_wide(ENGLISH, "caption_{}"), tmp_path / "c.csv")).captions == ENGLISH


def test_a_later_row_of_sentences_keeps_them_apart(tmp_path):
    last = pd.DataFrame([{"image": "99.jpg", "w1": "a dog runs", "w2": "it is a dog"}])
    table = pd.concat([_wide(ENGLISH * 20, "w{}"), last]).fillna("")
    assert _read(_save(table, tmp_path / "a.csv")).captions == [*ENGLISH * 20, "a dog runs", "it is a dog"]


@pytest.mark.parametrize(
    "names", ["tag{}", "keyword_{}", "标签{}", "关键词{}", "category{}", "word{}", "caption_{}", "描述{}", "col{}"]
)
def test_labels_in_columns_are_not_joined(tmp_path, names):
    lists = [" ".join(LABELS[n % 5 : n % 5 + 4]) for n in range(8)]
    path = _save(_wide(lists, names), tmp_path / "a.csv")
    table = read_corpus(path)
    assert len(table) == 32 and "are a single word" in single_word_warning(table)


@pytest.mark.parametrize("names", [("label", "rank"), ("tag", "pos"), ("word", "idx"), ("name", "n"), ("caption", "n")])
def test_labels_in_rows_are_not_joined(tmp_path, names):
    lists = [" ".join(LABELS[n % 5 : n % 5 + 4]) for n in range(8)]
    path = _save(_words(lists, ("image", "sent_id", names[1], names[0])), tmp_path / "a.csv")
    table = read_corpus(path)
    assert len(table) == 32 and f"not read: sent_id, {names[1]})" in single_word_warning(table)


def test_words_that_turn_out_to_form_no_sentences_are_captions(tmp_path):
    labels = pd.DataFrame(
        [(f"{n}.jpg", 1, 1, label) for n in range(90) for label in LABELS], columns=_words([]).columns
    )
    rows = _read(_save(pd.concat([_words(ENGLISH * 2), labels]), tmp_path / "a.csv"))
    assert len(rows) == 90 * len(LABELS) + sum(len(text.split()) for text in ENGLISH * 2)
    assert any("which form no sentences, read as captions" in note for note in rows.notes)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("image,n,caption", ["a dog", "a dog runs", "the dog is on grass"]),
        ("图片,序号,描述", ["一只狗在跑", "小狗在草地", "草地上有狗"]),
        ("image,s1,s2,s3", None),
        ("image,caption_1,caption_2,caption_3", None),
    ],
)
def test_numbered_captions_stay_captions(tmp_path, header, cells):
    path = tmp_path / "a.csv"
    lines = [f"{n}.jpg,{at},{text}" for n in range(4) for at, text in enumerate(cells or [])]
    lines = lines or [f"{n}.jpg,a dog runs {n},the dog is on grass {n},a dog {n}" for n in range(4)]
    path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
    assert len(_read(path)) == 12


@pytest.mark.parametrize("name", ["caption", "title", "标题", "sentence"])
def test_words_beside_captions_are_not_read(tmp_path, name):
    for table in (_wide(ENGLISH, "word{}"), _words(ENGLISH).rename(columns={"sent_id": "sid"})):
        table[name] = [f"a dog number {row} runs on grass" for row in range(len(table))]
        rows = _read(_save(table, tmp_path / "a.csv"))
        assert rows.captions == table[name].tolist()


def test_no_column_of_a_numbered_series_is_left_out(tmp_path):
    rows = [(f"{n}.jpg", LABELS[n % 5], LABELS[n % 4], "grass") for n in range(8)]
    path = _save(pd.DataFrame(rows, columns=["image", "thing1", "thing2", "thing3"]), tmp_path / "a.csv")
    assert len(_read(path)) == 24
