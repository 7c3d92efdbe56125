"""Words for missing captions are left out and counted; captions with more than them, and rare doubtful ones, stay."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus

DOG, CAT = "一只狗在草地上跑", "两只猫在睡觉"


def notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    "word",
    [
        "nan",
        "NaN",
        "NULL",
        "#N/A",
        "None",
        "无",
        "暂无",
        "\\N",
        "<NA>",
        "Loading...",
        "(跳过)",
        "（空）",
        "(未填)",
        "[skipped]",
        "Skipped",
        "(no response)",
        "No answer",
        "【不详】",
        "<unknown>",
        "( NULL )",
        "#VALUE!",
    ],
)
def test_words_for_a_missing_caption_are_left_out(write, word):
    table = read_corpus(write("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{word}\nc.jpg,{CAT}\n"))
    assert list(table["caption"]) == [DOG, CAT]
    assert [item[1:] for item in table.attrs["skipped"]] == [(3, f"no caption ({word!r})")]
    assert list(table.attrs["files"][0]["notes"].values()) == [1]


@pytest.mark.parametrize(
    "caption", ["跳过", "skip", "不详", "(a dog)", "（两只狗）", "一只狗(跳过)", "#狗#", "unknown"]
)
def test_other_captions_stay(write, caption):
    table = read_corpus(write("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{caption}\nc.jpg,{CAT}\n"))
    assert list(table["caption"]) == [DOG, caption, CAT]


def test_doubtful_words_of_several_rows_are_left_out(write):
    cells = [DOG, "跳过", CAT, "不详", "跳过", f"{DOG}叫", f"{CAT}喵", "跳过", f"{DOG}了"]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *(f"{n}.jpg,{c}" for n, c in enumerate(cells))])))
    assert list(table["caption"]) == [cell for cell in cells if cell != "跳过"]
    note = "captions that are a word for a missing one, which several rows have (跳过), left out"
    assert notes(table) == {note: 3}
    assert (3, "no caption ('跳过')") in [item[1:] for item in table.attrs["skipped"]]


def test_words_of_most_rows_stay(write):
    cells = ["跳过", "跳过", "跳过", DOG]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *(f"{n}.jpg,{c}" for n, c in enumerate(cells))])))
    assert list(table["caption"]) == cells


def test_the_words_of_lists_are_still_joined(write):
    rows = [{"image": f"{n}.jpg", "caption": ["一只", "狗", "在", f"街{n}"]} for n in range(4)]
    rows += [{"image": f"{n}.jpg", "caption": ["图片", "里", "有", "狗"]} for n in range(4, 8)]
    table = read_corpus(write("x.jsonl", "\n".join(map(json.dumps, rows))))
    assert list(table["caption"])[3:5] == ["一只狗在街3", "图片里有狗"]


@pytest.mark.parametrize("cell", ["########", "###", "＃＃＃＃"])
def test_cells_of_a_narrow_column_are_left_out(write, cell):
    table = read_corpus(write("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{cell}\nc.jpg,{CAT}\n"))
    assert list(table["caption"]) == [DOG, CAT]
    note = "captions of ####, saved from a column that was too narrow, left out; widen it and save again"
    assert notes(table) == {note: 1}


MISSING = ["无", "空", "none", "empty", "-", "n/a", "/", "~", "同上", '"', "same", "^"]


@pytest.mark.parametrize("word", MISSING)
@pytest.mark.parametrize("words", [["湖面", "上", "*", "风"], ["a", "man", "and", "*", "else"]])
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json"])
def test_such_words_within_lists_of_words_stay(write, name, words, word):
    lists = [["一只", "狗", "在", "跑"] if words[-1] == "风" else ["a", "dog", "runs", "here"]] * 3
    lists.append([word if item == "*" else item for item in words])
    if name == "x.csv":
        cells = [json.dumps(items, ensure_ascii=False).replace('"', '""') for items in lists]
        text = "\n".join(["image,caption", *(f'{at}.jpg,"{cell}"' for at, cell in enumerate(cells))])
    else:
        entries = [{"image": f"{at}.jpg", "caption": items} for at, items in enumerate(lists)]
        text = json.dumps(entries) if name == "x.json" else "\n".join(map(json.dumps, entries))
    table = read_corpus(write(name, text))
    caption = list(table["caption"])[-1]
    assert caption.replace(" ", "") == "".join(words).replace("*", word)
    assert len(table) == 4 and not table.attrs["skipped"]
    assert not any("left out" in note for note in notes(table))


@pytest.mark.parametrize("word", ["无", "none", "-", "同上"])
def test_such_items_of_lists_of_captions_are_left_out(write, word):
    lists = [[DOG, CAT, word], [DOG, word, word], ["狗在跑", "猫在睡", word], ["狗", word, word]]
    entries = [{"image": f"{at}.jpg", "caption": items} for at, items in enumerate(lists)]
    table = read_corpus(write("x.jsonl", "\n".join(map(json.dumps, entries))))
    assert list(table["caption"]) == [DOG, CAT, DOG, "狗在跑", "猫在睡", "狗"]
    assert sum(count for note, count in notes(table).items() if "left out" in note) == 6
    assert len(table.attrs["skipped"]) == 6


@pytest.mark.parametrize("word", ["无", "none"])
def test_lists_of_nothing_but_such_words_are_left_out(write, word):
    lists = [["一只", "狗", "在", "跑"], [word], [word, word, word], ["两只", "猫", "在", "睡觉"]]
    entries = [{"image": f"{at}.jpg", "caption": items} for at, items in enumerate(lists)]
    table = read_corpus(write("x.jsonl", "\n".join(map(json.dumps, entries))))
    assert list(table["caption"]) == ["一只狗在跑", "两只猫在睡觉"]
