"""Cells with several captions are split if the column is written alike; others are kept and counted."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, TWO

from caption_tx.data.corpus.table import read_corpus

ENGLISH = [("a.jpg", "a dog runs"), ("a.jpg", "it is brown"), ("b.jpg", "two cats"), ("b.jpg", "they sleep")]
SEVERAL = "cells with several"


def read(write, cells):
    names = "abcdefgh"
    lines = [f"{names[at]}.jpg\t{cell}\n" for at, cell in enumerate(cells)]
    table = read_corpus(write("x.tsv", "image\tcaption\n" + "".join(lines)))
    return list(zip(table["image"], table["caption"], strict=True)), table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    "cells",
    [
        (f"(1) {DOG} (2) {GIRL}", f"(1) {CAT} (2) {DOG}"),
        (f"（1）{DOG}（2）{GIRL}", f"（1）{CAT}（2）{DOG}"),
        (f"【1】{DOG}【2】{GIRL}", f"[1] {CAT} [2] {DOG}"),
        (f"1. {DOG} 2. {GIRL}", f"1. {CAT} 2. {DOG}"),
        (f"1.{DOG}2.{GIRL}", f"1、{CAT}2、{DOG}"),
        (f"0: {DOG}; 1: {GIRL}", f"0: {CAT}; 1: {DOG}"),
        (f"①{DOG}②{GIRL}", f"①{CAT} ②{DOG}"),
        (f"❶{DOG}❷{GIRL}", f"❶{CAT}❷{DOG}"),
        (f"1\ufe0f\u20e3{DOG}2\ufe0f\u20e3{GIRL}", f"1\ufe0f\u20e3{CAT}2\ufe0f\u20e3{DOG}"),
        (f"一、{DOG}二、{GIRL}", f"一、{CAT}二、{DOG}"),
        (f"第一句：{DOG} 第二句：{GIRL}", f"第一句：{CAT}第二句：{DOG}"),
        (f"描述1：{DOG} 描述2：{GIRL}", f"描述1：{CAT}描述2：{DOG}"),
        (f"{DOG} / {GIRL}", f"{CAT} / {DOG}"),
        (f"{DOG}/{GIRL}", f"{CAT}/{DOG}"),
        (f"{DOG}<br>{GIRL}", f"{CAT}<br/>{DOG}"),
        (f"<p>{DOG}</p><p>{GIRL}</p>", f"<p>{CAT}</p><p>{DOG}</p>"),
        (f"{DOG}\\n{GIRL}", f"{CAT}\\n{DOG}"),
        (f"[{DOG}, {GIRL}]", f"[{CAT}，{DOG}]"),
        (f"{{{DOG}; {GIRL}}}", f"{{{CAT}；{DOG}}}"),
        (f"[“{DOG}”, “{GIRL}”]", f"[“{CAT}”，“{DOG}”]"),
        (f"“{DOG}”，“{GIRL}”", f"“{CAT}”、“{DOG}”"),
        (f"「{DOG}」「{GIRL}」", f"「{CAT}」 「{DOG}」"),
        (f"{DOG}@@{GIRL}", f"{CAT}@@{DOG}"),
        (f"• {DOG} • {GIRL}", f"• {CAT} • {DOG}"),
        (f"{DOG}；{GIRL}", f"{CAT}；{DOG}"),
        (f"{DOG} - {GIRL}", f"{CAT} - {DOG}"),
        (f"{DOG}->{GIRL}", f"{CAT}->{DOG}"),
        (f"{DOG}、{GIRL}", f"{CAT}、{DOG}"),
        (f"[{DOG}] [{GIRL}]", f"[{CAT}] [{DOG}]"),
        (f"描述一：{DOG}描述二：{GIRL}", f"描述一：{CAT} 描述二：{DOG}"),
        (f"{DOG}\u3000{GIRL}", f"{CAT}\u3000{DOG}"),
    ],
)
def test_cells_are_split(write, cells):
    rows, notes = read(write, cells)
    assert rows == TWO
    assert any(SEVERAL in note for note in notes)


@pytest.mark.parametrize(
    "cells",
    [
        ("A. a dog runs B. it is brown", "A. two cats B. they sleep"),
        ("(a) a dog runs (b) it is brown", "(a) two cats (b) they sleep"),
        ("#1 a dog runs #2 it is brown", "#1 two cats #2 they sleep"),
        ("Caption 1: a dog runs Caption 2: it is brown", "Caption 1: two cats Caption 2: they sleep"),
        ("i. a dog runs ii. it is brown", "I. two cats II. they sleep"),
        ("a dog runs // it is brown", "two cats // they sleep"),
        ("a dog runs<SEP>it is brown", "two cats<SEP>they sleep"),
    ],
)
def test_english_cells_are_split(write, cells):
    rows, notes = read(write, cells)
    assert rows == ENGLISH
    assert any(SEVERAL in note for note in notes)


def test_cells_with_one_caption_stand_beside_cells_with_several(write):
    rows, notes = read(write, [f"{DOG}||{GIRL}", f"{CAT}||{DOG}", CAT])
    assert rows == [*TWO, ("c.jpg", CAT)]
    assert notes == {"cells with several captions, separated by '||'": 3}


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        (f"{DOG}||{GIRL}", "separated by '||', kept as one"),
        (f"{DOG}|{GIRL}", "separated by '|', kept as one"),
        (f"1. {DOG} 2. {GIRL}", "numbered, kept as one"),
        (f"①{DOG}②{GIRL}", "numbered, kept as one"),
    ],
)
def test_single_cells_that_look_like_several_are_counted(write, cell, note):
    rows, notes = read(write, [cell, CAT, GIRL, DOG])
    assert rows[0] == ("a.jpg", cell)
    assert notes == {f"captions that look like several, {note}": 1}


@pytest.mark.parametrize(
    "cells",
    [
        ("a dog (brown)", "a cat / a kitten", "two men; one ball", "1 dog", "1. street"),
        ("a man, 2) sits", "10:30 on a clock", "1.5 liters", "at 3/4"),
        ("“一只”狗和“猫”", "“两只”猫和“狗”"),
        ("红色/蓝色的车", "一只猫", "两只狗"),
        ("第一个人在跑", "第一名", "第二个人在跳", "一、二、三只狗"),
        ("A man and a dog", "A. Smith", "a cat"),
        ("photo 1", "a cat", "room 2", "two dogs"),
        ("a photo 1", "a photo 2", "a room 3"),
        ("a black - white dog", "a T - shirt"),
        ("the sign says (50%)", "a cat", "a dog"),
        (f"{DOG}，{GIRL}。", f"{CAT}，{DOG}。"),
        ("桌上有苹果、香蕉", "红、黄、蓝", "一只狗、一只猫在跑"),
        ("I. M. Pei built it", "a dog in a van", "x. y"),
    ],
)
def test_ordinary_captions_stay(write, cells):
    rows, notes = read(write, cells)
    assert [caption for _, caption in rows] == list(cells)
    assert notes == {}


def test_numbers_of_single_captions_are_stripped(write):
    rows, notes = read(write, [f"1. {DOG}", f"2. {GIRL}", f"1. {CAT}"])
    assert [caption for _, caption in rows] == [DOG, GIRL, CAT]
    assert notes == {"numbers stripped from the start of captions (such as '1.')": 3}


def test_words_in_brackets_are_joined(write):
    rows, notes = read(write, ["[一只, 狗, 在, 草地, 上]", "[两只, 猫, 在, 睡觉]"])
    assert rows == [("a.jpg", "一只狗在草地上"), ("b.jpg", "两只猫在睡觉")]
    assert "captions joined from words separated by ','" in notes


def test_lists_of_words_beside_lists_of_captions(write):
    words = ["一只", "狗", "在", "草地", "上", "跑"]
    entries = [("a.jpg", words), ("b.jpg", [CAT, GIRL]), ("c.jpg", GIRL)]
    lines = [json.dumps({"image": name, "caption": value}, ensure_ascii=False) for name, value in entries]
    table = read_corpus(write("x.jsonl", "\n".join(lines)))
    assert list(table["caption"]) == [DOG, CAT, GIRL, GIRL]
    assert table.attrs["files"][0]["notes"] == {
        "captions joined from lists of words": 1,
        "lists of captions beside lists of words": 1,
    }
    # A single such list among many could be captions of a word each.
    lines += [json.dumps({"image": f"{at}.jpg", "caption": [CAT, DOG]}, ensure_ascii=False) for at in range(40)]
    table = read_corpus(write("x.jsonl", "\n".join(lines)))
    assert list(table["caption"][:6]) == words
    assert table.attrs["files"][0]["notes"] == {"lists that look like the words of one caption, read as captions": 1}


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ((f"<start> {DOG} <end>", f"<start> {CAT} <end>"), "markers such as <start> and <end>, stripped"),
        ((f"[CLS]{DOG}[SEP][PAD]", f"<s>{CAT}</s>"), "markers"),
        ((f"startseq {DOG} endseq", CAT), "markers"),
        ((f"<|startoftext|>{DOG}<|endoftext|>", CAT), "markers"),
        ((f"{DOG}|0", f"{CAT}|1"), "number at one end"),
        ((f"{DOG} | 0.93", f"{CAT} | 0.5"), "number at one end"),
        ((f"{DOG} (0.93)", f"{CAT} (0.5)"), "number at one end"),
        ((f"{DOG} 0.93", f"{CAT} 0.5"), "number at one end"),
        ((f"{DOG}（置信度：0.93）", f"{CAT}（置信度：93%）"), "number at one end"),
        ((f"{DOG}#0", f"{CAT}#1"), "number at one end"),
        ((f"{DOG}(1)", f"{CAT}(2)"), "number at one end"),
        ((f"0.93|{DOG}", f"0.5|{CAT}"), "number at one end"),
        ((f"('{DOG}', 0.93)", f"('{CAT}', 0.5)"), "scores of captions, not read"),
    ],
)
def test_markers_and_scores_are_stripped(write, cells, note):
    rows, notes = read(write, cells)
    assert rows == [("a.jpg", DOG), ("b.jpg", CAT)]
    assert any(note in text for text in notes), notes


@pytest.mark.parametrize(
    "end",
    [
        "......{n}", "………………{n}", " …… {n}", " . . . . . . .{n}", "....... {n}", "……（{n}）", "......第{n}页",
        "......p. {n}", "····{n}", "____{n}", "———{n}", "." * 90 + "{n}", "…{n}",
    ],
)  # fmt: skip
def test_dots_and_page_numbers_of_lists_of_figures_are_stripped(write, end):
    cells = [f"{DOG}{end.format(n=3)}", f"{CAT}{end.format(n='iv')}", f"{GIRL}{end.format(n=128)}"]
    rows, notes = read(write, cells)
    assert [caption for _, caption in rows] == [DOG, CAT, GIRL]
    [(note, count)] = notes.items()
    assert note.startswith("captions that end in dots and a page number (such as '") and count == 3


def test_dots_and_numbers_of_few_captions_stay(write):
    cells = [f"{DOG}......3", CAT, GIRL, f"{DOG}……"]
    assert [caption for _, caption in read(write, cells)[0]] == cells


def test_scores_of_single_captions_stay_and_are_counted(write):
    rows, notes = read(write, [f"{DOG}|0", CAT, GIRL])
    assert rows[0] == ("a.jpg", f"{DOG}|0")
    assert notes == {"captions that end in a number (such as '|0'), kept": 1}


def test_missing_values_in_json_and_in_names(write):
    lines = [
        '{"image": "a.jpg", "caption": NaN}',
        *(json.dumps({"image": f"{n}.jpg", "caption": DOG}) for n in range(20)),
    ]
    lines.append(json.dumps({"image": "nan", "caption": CAT}))
    table = read_corpus(write("x.jsonl", "\n".join(lines)))
    assert len(table) == 20
    assert [item[1:] for item in table.attrs["skipped"]] == [(1, "no caption"), (22, "no image name")]


def test_real_corpora_are_read_as_they_are_written(shared):
    data = shared / "data"
    for name in ("flickr8kzhc.caption.txt", "flickr8kenc.caption.txt"):
        table = read_corpus(data / "flickr8k" / name)
        assert len(table) == 35_000
        assert table.attrs["files"][0]["notes"] == {}
        assert table.attrs["skipped"] == []
    table = read_corpus(data / "ai_challenger" / "caption_validation_annotations.json")
    wide = "captions with full-width letters or digits (Ｔ), which only text.nfkc (--nfkc) reads as ordinary"
    assert (len(table), table.attrs["files"][0]["notes"]) == (1500, {"keys not read (url)": 1, wide: 1})
