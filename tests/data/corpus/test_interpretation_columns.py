"""Columns that can be misread: the right captions, and a note about those that are not read."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, jsonl, notes, rows

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CASES = {
    # Several columns of captions
    "numbered": (
        "x.csv",
        f"image,caption,caption_2\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns read (caption, caption_2)",
    ),
    "numbered from 0, tsv": (
        "x.tsv",
        f"file_name\tcaption_0\tcaption_1\na.jpg\t{DOG}\t{GIRL}\nb.jpg\t{CAT}\t{DOG}\n",
        TWO,
        "caption columns read",
    ),
    "numbered, no underscore": (
        "x.csv",
        f"image,caption1,caption2\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns",
    ),
    "repeated": (
        "x.csv",
        f"image,caption,caption\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns read",
    ),
    "renamed by pandas": (
        "x.csv",
        f",image,caption,caption.1\n0,a.jpg,{DOG},{GIRL}\n1,b.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns",
    ),
    "numbered, Chinese": (
        "x.csv",
        f"图片,描述1,描述2\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n",
        TWO,
        "caption columns read",
    ),
    "numbered, jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption1": DOG, "caption2": GIRL}, {"image": "b.jpg", "caption1": CAT, "caption2": DOG}
        ),
        TWO,
        "caption keys read",
    ),
    "numbered, some empty": (
        "x.csv",
        f"image,caption_1,caption_2\na.jpg,{DOG},\nb.jpg,{CAT},\n",
        ONE,
        "caption columns read",
    ),
    "a picture made from the photograph comes first": (
        "x.csv",
        f"thermal_image,rgb_image,caption\nt1.jpg,a.jpg,{DOG}\nt2.jpg,b.jpg,{CAT}\n",
        ONE,
        "columns not read (thermal_image)",
    ),
    "unread columns": (
        "x.csv",
        f"id,image,caption,width\n1,a.jpg,{DOG},640\n2,b.jpg,{CAT},480\n",
        ONE,
        "columns not read (id, width)",
    ),
    "about captions": (
        "x.csv",
        f"image,caption_id,caption,caption_source\na.jpg,1,{DOG},me\nb.jpg,2,{CAT},me\n",
        ONE,
        "columns not read (caption_id, caption_source)",
    ),
    "one language only": (
        "x.csv",
        f"image,caption_zh\na.jpg,{DOG}\nb.jpg,{CAT}\n",
        ONE,
        "captions read from the column 'caption_zh'",
    ),
    "Chinese headers": (
        "x.csv",
        f"图片名称,图片描述\na.jpg,{DOG}\nb.jpg,{CAT}\n",
        ONE,
        "captions read from the column '图片描述'",
    ),
    "unknown headers": ("x.csv", f"名字一,二号\na.jpg,{DOG}\nb.jpg,{CAT}\n", ONE, "columns found by their contents"),
    "numbers beside names": (
        "x.csv",
        f"image,file_name,caption\n1,a.jpg,{DOG}\n2,b.jpg,{CAT}\n",
        ONE,
        "columns not read (image)",
    ),
    "empty second caption": (
        "x.csv",
        f"image,caption,comment\na.jpg,{DOG},\nb.jpg,{CAT},\n",
        ONE,
        "columns not read (comment)",
    ),
    "a title": (
        "x.csv",
        f"image,caption,title\na.jpg,{DOG},狗狗的生活\nb.jpg,{CAT},猫\n",
        ONE,
        "columns not read (title)",
    ),
    "Chinese numbers": (
        "x.csv",
        f"文件;描述一;描述二\na.jpg;{DOG};{GIRL}\nb.jpg;{CAT};{DOG}\n",
        TWO,
        "caption columns read (描述一, 描述二)",
    ),
    "words and tags": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": [["一只", "NN"], ["狗", "n"], ["在草地上跑", "VV"]]},
            {"image": "b.jpg", "caption": [["两只", "CD"], ["猫", "NN"], ["在睡觉", "VV"]]},
        ),
        ONE,
        "part-of-speech tags stripped",
    ),
    "semicolons in a cell": (
        "x.tsv",
        f"image\tcaptions\na.jpg\t{DOG}; {GIRL}\nb.jpg\t{CAT}; {DOG}\n",
        TWO,
        "several captions, separated by ';'",
    ),
    "numbers in a cell": (
        "x.csv",
        f"image,caption\na.jpg,1. {DOG} 2. {GIRL}\nb.jpg,1、{CAT} 2、{DOG}\n",
        TWO,
        "cells with several numbered captions",
    ),
    "two lists": (
        "x.json",
        {"captions": [{"image": "a.jpg", "text": DOG}], "more": [{"image": "b.jpg", "text": CAT}]},
        ONE,
        "keys read (captions, more)",
    ),
    "question and answer": (
        "x.json",
        [{"query": f"<img>{name}</img>描述", "response": text} for name, text in ONE],
        ONE,
        "keys not read (query)",
    ),
    "column without a name": (
        "x.csv",
        f"image,caption,\na.jpg,{DOG},\nb.jpg,{CAT},ok\n",
        ONE,
        "cells in columns without a name, not read",
    ),
    "psql": (
        "x.txt",
        "    name |        caption      | split\n---------+---------------------+------\n"
        f" a.jpg   | {DOG}        +| train\n         | 旁边有树           +|\n         | 和花                |\n"
        f" b.jpg   | {CAT}     | val\n(2 rows)\n",
        [("a.jpg", f"{DOG}\n旁边有树\n和花"), ("b.jpg", CAT)],
        "cells that psql continues on the next line, joined",
    ),
    "Markdown": (
        "x.md",
        f"| image | caption |\n|---|:--|\n| a.jpg | {DOG} |\n| b.jpg | {CAT} |\n",
        ONE,
        "separated by vertical bars",
    ),
    "numbered names": ("x.csv", f"a.jpg#0,{DOG}\nb.jpg#0,{CAT}\n", ONE, "numbers stripped from image names (#0)"),
    "mark of another kind": (
        "x.csv",
        f"image,caption,rejected\na.jpg,{DOG},\nb.jpg,{CAT},\nb.jpg,坏,x\n",
        ONE,
        "captions marked as rejected, left out",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    assert_read(write, *CASES[case])


def test_columns_that_the_user_names(write):
    path = write("x.csv", f"编号,英文,中文,文件\n1,a dog runs,{DOG},a.jpg\n2,two cats,{CAT},b.jpg\n")
    table = read_corpus(path, caption_column=["中文"], image_column="文件")
    assert rows(table) == ONE
    assert notes(table) == {"columns not read (编号, 英文)": 2}
    assert rows(read_corpus(f"{path}:caption_column=中文,image_column=文件")) == ONE
    both = read_corpus(path, caption_column=["中文", "英文"])
    assert rows(both) == [("a.jpg", DOG), ("a.jpg", "a dog runs"), ("b.jpg", CAT), ("b.jpg", "two cats")]
    with pytest.raises(
        CorpusError,
        match=r"x\.csv, line 1: no column is named '法文' \(caption_column, --caption-column\); the columns are 编号",
    ):
        read_corpus(path, caption_column=["法文"])
    lines = write(
        "x.jsonl",
        jsonl({"image": "a.jpg", "caption": "one", "zh": DOG}, {"image": "b.jpg", "caption": "two", "zh": CAT}),
    )
    assert rows(read_corpus(lines, caption_column=["zh"])) == ONE
    numbers = write("x.tsv", f"a.jpg\ta dog runs\t{DOG}\nb.jpg\ttwo cats\t{CAT}\n")
    assert rows(read_corpus(numbers, caption_column=["3"])) == ONE
    nested = {"a.jpg": {"zh": DOG, "en": "a dog runs"}, "b.jpg": {"zh": [CAT], "en": ["two cats"]}}
    assert rows(read_corpus(write("names.json", nested), caption_column=["zh"])) == ONE
    entries = [{"image": name, "caption": value} for name, value in nested.items()]
    assert rows(read_corpus(write("entries.json", entries), caption_column=["zh"])) == ONE
    flickr = write("x.txt", f"a.jpg#0\t{DOG}\n")
    with pytest.raises(CorpusError, match=r"x\.txt has no columns, but caption_column"):
        read_corpus(flickr, caption_column=["caption"])
