"""Files that can be misread: the right captions, and a note about what was read differently from how it is written."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, jsonl, notes, rows

from caption_tx.config import Source
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ENGLISH = [("a.jpg", "a dog runs on the grass"), ("b.jpg", "two cats , asleep")]
WORDS_DOG, WORDS_CAT = ["一只", "狗", "在", "草地", "上", "跑"], ["两只", "猫", "在", "睡觉"]


CASES = {
    # Lists of words
    "words, jsonl": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "caption": WORDS_DOG}, {"image": "b.jpg", "caption": WORDS_CAT}),
        ONE,
        "captions joined from lists of words",
    ),
    "words, json list": (
        "x.json",
        [{"image_id": "a.jpg", "caption": WORDS_DOG}, {"image_id": "b.jpg", "caption": WORDS_CAT}],
        ONE,
        "captions joined from lists of words",
    ),
    "words, nested": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "captions": [WORDS_DOG, ["一个", "女孩", "在", "跳舞"]]},
            {"image": "b.jpg", "captions": [WORDS_CAT, WORDS_DOG]},
        ),
        TWO,
        "captions joined from lists",
    ),
    "words, English": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "tokens": ["a", "dog", "runs", "on", "the", "grass"]},
            {"image": "b.jpg", "tokens": ["two", "cats", ",", "asleep"]},
        ),
        ENGLISH,
        "captions joined",
    ),
    "words in a cell": (
        "x.csv",
        f'image,caption\na.jpg,"{WORDS_DOG}"\nb.jpg,"{WORDS_CAT}"\n',
        ONE,
        "captions joined from lists",
    ),
    "words, slashes": (
        "x.csv",
        f"image,caption\na.jpg,{'/'.join(WORDS_DOG)}\nb.jpg,{'/ '.join(WORDS_CAT)}\n",
        ONE,
        "captions joined from words separated by '/'",
    ),
    "words, bars": (
        "x.tsv",
        f"image\tcaption\na.jpg\t{'|'.join(WORDS_DOG)}\nb.jpg\t{'|'.join(WORDS_CAT)}\n",
        ONE,
        "captions joined from words separated by '|'",
    ),
    "captions, not words": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "caption": [DOG, GIRL]}, {"image": "b.jpg", "caption": [CAT, DOG]}),
        TWO,
        None,
    ),
    # Lists in cells
    "JSON in a cell": (
        "x.csv",
        f'image,captions\na.jpg,"[""{DOG}"", ""{GIRL}""]"\nb.jpg,"[""{CAT}"", ""{DOG}""]"\n',
        TWO,
        "lists written as text read as captions",
    ),
    "Python in a cell": (
        "x.csv",
        f"image,captions\na.jpg,\"['{DOG}', '{GIRL}']\"\nb.jpg,\"('{CAT}', '{DOG}')\"\n",
        TWO,
        "lists written",
    ),
    "NumPy in a cell": (
        "x.csv",
        f"image,captions\na.jpg,\"['{DOG}'\n '{GIRL}']\"\nb.jpg,\"array(['{CAT}', '{DOG}'], dtype=object)\"\n",
        TWO,
        "lists written",
    ),
    "R and Scala in a cell": (
        "x.csv",
        f'image,captions\na.jpg,"c(""{DOG}"", ""{GIRL}"")"\nb.jpg,"List(""{CAT}"", ""{DOG}"")"\n',
        TWO,
        "lists written",
    ),
    "JSON in jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": json.dumps([DOG, GIRL])},
            {"image": "b.jpg", "caption": json.dumps([CAT, DOG])},
        ),
        TWO,
        "lists written",
    ),
    "a list in pairs": ("x.txt", f'a.jpg\t["{DOG}", "{GIRL}"]\nb.jpg\t["{CAT}", "{DOG}"]\n', TWO, "lists written"),
    "joined by &&": (
        "x.csv",
        f"image,caption\na.jpg,{DOG}&&{GIRL}\nb.jpg,{CAT}&&{DOG}\n",
        TWO,
        "several captions, separated by '&&'",
    ),
    "lines in a cell": (
        "x.csv",
        f'image,caption\na.jpg,"{DOG}\n{GIRL}"\nb.jpg,"{CAT}\n{DOG}"\n',
        TWO,
        "separated by line breaks",
    ),
    "brackets are no list": (
        "x.csv",
        "image,caption\na.jpg,[a dog] runs\nb.jpg,(two cats)\n",
        [("a.jpg", "[a dog] runs"), ("b.jpg", "(two cats)")],
        None,
    ),
    # Rows with more columns than others
    "more captions in some rows": (
        "x.txt",
        f"a.jpg\t{DOG}\t{GIRL}\nb.jpg\t{CAT}\nb.jpg\t{DOG}\n",
        TWO,
        "rows with more captions in further columns, which are read",
    ),
    "more captions in some rows, with a header": (
        "x.tsv",
        f"image\tcaption\na.jpg\t{DOG}\t{GIRL}\nb.jpg\t{CAT}\nb.jpg\t{DOG}\n",
        TWO,
        "rows with more captions in further columns, which are read",
    ),
    "numbered sentences": (
        "x.csv",
        f"image,sent1,sent2\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns read (sent1, sent2)",
    ),
    "numbered letters": (
        "x.csv",
        f"image,s_1,s_2\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns read (s_1, s_2)",
    ),
    # Cells
    "merged cells": (
        "x.csv",
        f"id,image,caption\n1,a.jpg,{DOG}\n,,{GIRL}\n2,b.jpg,{CAT}\n,,{DOG}\n",
        TWO,
        "rows without an image name, read as captions of the image above",
    ),
    "merged cells below a rejected caption": (
        "x.csv",
        f"image,caption,rejected\na.jpg,{DOG},\nb.jpg,坏,1\n,{CAT},\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "chosen and rejected": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "chosen": DOG, "rejected": CAT},
            {"image": "b.jpg", "chosen": CAT, "rejected": DOG},
        ),
        ONE,
        "keys not read (rejected)",
    ),
    "invisible characters": (
        "x.csv",
        f"image,caption\na.jpg,\u200b{DOG}\u200b\nb.jpg,\ufeff{CAT[:2]}\u2060{CAT[2:]}\n",
        ONE,
        "captions with invisible characters, which are removed",
    ),
    "several names in a cell": (
        "x.csv",
        f"image,caption\na.jpg|c.jpg,{DOG}\nb.jpg,{CAT}\n",
        [("a.jpg|c.jpg", DOG), ONE[1]],
        "image names that look like several names, kept as one",
    ),
    "numbers as names": (
        "x.csv",
        f"image,caption\n1.jpg,{DOG}\n2.jpg,{CAT}\n3.jpg,{GIRL}\n",
        [("1.jpg", DOG), ("2.jpg", CAT), ("3.jpg", GIRL)],
        None,
    ),
    "a numbered list": (
        "x.txt",
        f"1. a.jpg {DOG}\n2. b.jpg {CAT}\n",
        [("1. a.jpg", DOG), ("2. b.jpg", CAT)],
        "image names that begin with the numbers of a list (such as '1. '), kept",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    assert_read(write, *CASES[case])


def test_workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for cells in (
        ["我的图片"],
        [],
        ["image", "caption_1", "caption_2", "n"],
        ["a.jpg", DOG, GIRL, 1],
        [],
        ["b.jpg", CAT, DOG, 2.0],
    ):
        sheet.append(cells)
    book.create_sheet("其他").append(["more"])
    second = book.create_sheet("第二批")
    second.append(["image", "caption"])
    second.append(["c.jpg", CAT])
    book.create_sheet("说明", 0).append(["我的数据"])
    book.save(tmp_path / "x.xlsx")
    table = read_corpus(tmp_path / "x.xlsx")
    assert rows(table) == TWO
    assert list(table["line"]) == [4, 4, 6, 6]
    assert notes(table) == {
        "caption columns read (caption_1, caption_2)": 2,
        "columns not read (n)": 1,
        "rows before the header, not read": 1,
        "sheets with captions too, not read (第二批)": 1,
        "sheets not read (说明, 其他)": 2,
    }
    (tmp_path / "x.txt").write_bytes((tmp_path / "x.xlsx").read_bytes())
    assert rows(read_corpus(tmp_path / "x.txt")) == TWO
    (tmp_path / "y.xlsx").write_bytes((tmp_path / "x.xlsx").read_bytes()[:-200])
    with pytest.raises(CorpusError, match=r"y\.xlsx.* is not an .xlsx workbook that can be read"):
        read_corpus(tmp_path / "y.xlsx", format=None)


def test_workbook_without_openpyxl(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    openpyxl.Workbook().save(tmp_path / "x.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(CorpusError, match=r'pip install "caption_tx\[excel\]" to read it, or save it as CSV UTF-8'):
        read_corpus(tmp_path / "x.xlsx")


def test_text_files_of_two_suffixes(write, tmp_path):
    for stem, sentence in (("a", DOG), ("b", CAT)):
        write(f"pics/{stem}.jpg", b"\xff")
        write(f"pics/{stem}.txt", "1girl, solo, long hair")
        write(f"pics/{stem}.caption", sentence)
    folder = tmp_path / "pics"
    table = read_corpus(folder)
    assert len(table) == 4
    [note] = notes(table)
    expected = "images with .caption and .txt files, which are both read (text_suffix (--text-suffix) .caption reads"
    assert note.startswith(expected)
    assert rows(read_corpus(folder, text_suffix="caption")) == ONE
    assert rows(read_corpus(Source(str(folder), text_suffix=".caption"))) == ONE
    for stem in "ab":
        (folder / f"{stem}.caption").rename(folder / f"{stem}.cap")
        (folder / f"{stem}.txt").unlink()
    with pytest.raises(
        CorpusError,
        match=r"2 images have a \.cap file of the same name; read them with text_suffix \(--text-suffix\) \.cap",
    ):
        read_corpus(folder)
    assert rows(read_corpus(folder, text_suffix=".cap")) == ONE
    write("pics/a.txt", DOG)
    message = r"no image has a \.caps file .*\(text_suffix, --text-suffix\); .* beside images: \.cap \(2\), \.txt"
    with pytest.raises(CorpusError, match=message):
        read_corpus(folder, text_suffix="caps")


def test_folders_with_several_or_foreign_files(write, tmp_path):
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": DOG}]}
    write("coco/captions_val2017.json", coco)
    write("coco/instances_val2017.json", coco | {"annotations": [{"image_id": 1, "bbox": [], "segmentation": []}]})
    write("coco/package.json", {"name": "x", "version": "1"})
    assert rows(read_corpus(tmp_path / "coco")) == ONE[:1]
    write("coco/more.json", {"a.jpg": [DOG]})
    with pytest.raises(CorpusError, match=r"several caption files \(captions_val2017\.json, more\.json\)"):
        read_corpus(tmp_path / "coco")
    (tmp_path / "coco" / "more.json").unlink()
    write("coco/captions_train2017.json", coco)
    message = r"several caption files \(captions_train2017\.json, captions_val2017\.json\); pass the one"
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path / "coco")
    (tmp_path / "coco" / "captions_train2017.json").unlink()
    (tmp_path / "coco" / "captions_val2017.json").unlink()
    with pytest.raises(CorpusError, match=r"instances_val2017\.json has annotations of objects, not captions"):
        read_corpus(tmp_path / "coco")
    write("none/readme.md", "x")
    with pytest.raises(
        CorpusError, match=r"No caption file was recognized in .*none; .*usual layouts: .*assets/docs/data\.md"
    ) as caught:
        read_corpus(tmp_path / "none")
    assert len(str(caught.value)) < 450
