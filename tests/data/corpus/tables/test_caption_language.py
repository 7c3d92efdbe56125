"""Keys and columns with weak names for captions in one language beside captions in the other one."""

import csv
import io

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CHINESE = ["一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"]
ENGLISH = ["a dog runs on the grass", "two cats are asleep", "a girl is dancing"]
WORDS = [["一只", "狗", "在", "草地", "上", "跑"], ["两", "只", "猫", "在", "睡觉"], ["一个", "女孩", "在", "跳舞"]]


def read(write, columns, language):
    entries = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    table = read_corpus(write("x.json", entries), language=language)
    return list(table["caption"]), table.attrs["files"][0]["notes"]


NAMES = {"image": ["a.jpg", "b.jpg", "c.jpg"]}


@pytest.mark.parametrize("weak", ["alt", "title", "label"])
@pytest.mark.parametrize("other", ["refs", "zh_refs", "句意"])
@pytest.mark.parametrize("values", [CHINESE, [[text] for text in CHINESE], [[words] for words in WORDS]])
def test_captions_in_the_language_of_the_model_are_read(write, weak, other, values):
    columns = NAMES | {weak: ENGLISH, other: values}
    captions, notes = read(write, columns, "zh")
    assert captions == CHINESE
    [note] = [text for text in notes if text.startswith("captions read from the key")]
    start = f"captions read from the key {other!r}, since they are in Chinese and {weak!r} is not"
    assert note == f"{start} (caption_column (--caption-column) {weak} reads the other)"
    assert read(write, columns, "en")[0] == ENGLISH
    assert read(write, columns, None)[0] == ENGLISH


def test_english_captions_are_preferred_too(write):
    captions, notes = read(write, NAMES | {"标题": CHINESE, "refs": ENGLISH}, "en")
    assert captions == ENGLISH and any("since they are in English" in note for note in notes)


def test_one_of_two_weak_names_is_in_the_language(write):
    columns = NAMES | {"alt": ENGLISH, "title": CHINESE}
    assert read(write, columns, "zh")[0] == CHINESE
    assert read(write, columns, "en")[0] == ENGLISH
    with pytest.raises(CorpusError, match="2 keys could be the caption"):
        read(write, columns, None)


@pytest.mark.parametrize(
    "columns",
    [
        {"caption": ENGLISH, "refs": CHINESE},
        {"alt": ENGLISH, "shop": ["小王的店", "小李的店", "老张的店"]},
        {"alt": ENGLISH, "project": ["二〇二六年春季图片标注"] * 3},
        {"alt": CHINESE, "refs": ENGLISH},
        {"alt": CHINESE, "refs": CHINESE[::-1]},
    ],
)
def test_better_names_and_other_texts_are_left(write, columns):
    captions, notes = read(write, NAMES | columns, "zh")
    assert captions == next(iter(columns.values()))
    assert not any("since they are in" in note for note in notes)


def test_tables_are_read_likewise(write):
    text = io.StringIO()
    csv.writer(text).writerows([["image", "alt", "refs"], *zip(NAMES["image"], ENGLISH, CHINESE, strict=True)])
    table = read_corpus(write("x.csv", text.getvalue()), language="zh")
    assert list(table["caption"]) == CHINESE
