"""Captions published as words become sentences; ordinary captions do not change."""

import pytest

from caption_tx.data.corpus.captions.pre_segmented import join_words
from caption_tx.data.corpus.table import read_corpus


def notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["一", "只", "狗"], "一只狗"),
        (["a", "dog"], "a dog"),
        (["穿", "NIKE", "shoes", "的"], "穿NIKE shoes的"),
        ([], ""),
    ],
)
def test_join_words(words, sentence):
    assert join_words(words) == sentence


def test_stripped_tags_are_counted(write, samples):
    assert notes(read_corpus(write("seg.x.caption.txt", samples["flickr8k, segmented"][1]))) == {
        "part-of-speech tags stripped": 3
    }


def test_words_without_tags_are_joined(write):
    # Machine translations of Flickr30k-CN: two spaces replace a comma.
    text = "1#zhb#0 两 个 年轻 人  他们 在 院子 里\n1#zhb#1 一 只 狗 和 iPhone 6\n2#zhb#0 狗 跑\n"
    table = read_corpus(write("seg.x.caption.txt", text))
    assert list(table.caption) == ["两个年轻人，他们在院子里", "一只狗和iPhone 6", "狗跑"]
    assert notes(table) == {"pre-segmented captions joined": 3}


@pytest.mark.parametrize(
    "captions",
    [
        ["and/or", "10:30", "men/women"],
        ["the clock shows 10:30", "a/b c/d e/f", "women and men"],
        ["一个人 在跑步", "他们在院子里", "两只狗"],
        ["yes:no", "一只狗在跑"],
        ["a dog runs", "two cats sleep on a bed", "three men"],
        ["http://x.com/a b/c"],
        ["两个年轻的男人 他们在院子里聊天", "下雨的街道上 撑着雨伞的行人 停着的汽车"],
    ],
)
def test_ordinary_captions_do_not_change(write, captions):
    table = read_corpus(write("x.txt", "".join(f"a.jpg#{index}\t{text}\n" for index, text in enumerate(captions))))
    assert list(table.caption) == captions
    assert notes(table) == {}


def test_few_captions_without_tags_are_kept(write):
    lines = [f"{index}.jpg#zhb#0 一:m 只:q 狗:n" for index in range(30)]
    lines[3] = "3.jpg#zhb#0 一只猫 10:30"
    lines[4] = "4.jpg#zhb#0 一:m 只:q 大:a 的:u 狗:n 在:p 家:n 里:f 睡:v 着 了:y"
    table = read_corpus(write("x.txt", "\n".join(lines)))
    assert list(table.caption[2:6]) == ["一只狗", "一只猫 10:30", "一只大的狗在家里睡着了", "一只狗"]
    assert notes(table) == {"part-of-speech tags stripped": 29}


CHINESE = [
    ["两只", "猫", "在", "沙发", "上", "睡觉"],
    ["女孩", "背", "着", "Hello Kitty", "的", "包"],
    ["老人", "在", "长椅", "上", "看", "iPhone 15"],
    ["一个男孩", "在", "公园", "里", "放风筝"],
]
JOINED = ["两只猫在沙发上睡觉", "女孩背着Hello Kitty的包", "老人在长椅上看iPhone 15", "一个男孩在公园里放风筝"]
ENGLISH = [
    ["a", "man", "eats", "a", "hot dog", "in", "the", "park"],
    ["two", "cats", "on", "a", "sofa"],
    ["a", "woman", "with", "ice cream"],
]
ENGLISH_JOINED = ["a man eats a hot dog in the park", "two cats on a sofa", "a woman with ice cream"]


def word_lists(write, lists, kind):
    if kind == "a list of lists":
        return write("x.json", [{"image": f"{at}.jpg", "refs": [words]} for at, words in enumerate(lists)])
    if kind == "a list":
        return write("x.json", [{"image": f"{at}.jpg", "caption": words} for at, words in enumerate(lists)])
    if kind == "text":
        cells = (f'{at}.jpg\t"{words}"' for at, words in enumerate(lists))
        return write("x.tsv", "\n".join(["image\tcaption", *cells]))
    if kind == "columns":
        rows = ["\t".join([f"{at}.jpg", *words, *[""] * (8 - len(words))]) for at, words in enumerate(lists)]
        return write("x.tsv", "\n".join(["\t".join(["image", *(f"w{at}" for at in range(1, 9))]), *rows]))
    rows = [f"{at}.jpg\t{place}\t{word}" for at, words in enumerate(lists) for place, word in enumerate(words)]
    return write("x.tsv", "\n".join(["image\tposition\tword", *rows]))


@pytest.mark.parametrize("kind", ["a list of lists", "a list", "text", "columns", "rows"])
@pytest.mark.parametrize(("lists", "joined"), [(CHINESE, JOINED), (ENGLISH, ENGLISH_JOINED)])
def test_a_few_words_with_spaces_do_not_stop_the_joining(write, kind, lists, joined):
    assert list(read_corpus(word_lists(write, lists, kind))["caption"]) == joined


@pytest.mark.parametrize(
    "captions",
    [
        ["a dog", "two cats on a sofa", "dog", "a red car"],
        ["狗在草地上跑", "两只猫", "沙发上的一只猫", "黑色 iPhone 手机", "猫"],
        ["cat", "dog", "tree", "red car", "house"],
        ["一只狗在草地上跑", "a dog runs", "两只猫在沙发上睡觉", "cats asleep"],
    ],
)
def test_lists_of_captions_with_spaces_stay_captions(write, captions):
    entries = [{"image": f"{at}.jpg", "captions": captions} for at in range(3)]
    assert list(read_corpus(write("x.json", entries))["caption"]) == captions * 3
