"""Files that can be misread: the right captions, and a note about what was read differently from how it is written."""

import json

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"
ONE = [("a.jpg", DOG), ("b.jpg", CAT)]
TWO = [("a.jpg", DOG), ("a.jpg", GIRL), ("b.jpg", CAT), ("b.jpg", DOG)]
ENGLISH = [("a.jpg", "a dog runs on the grass"), ("b.jpg", "two cats , asleep")]
WORDS_DOG, WORDS_CAT = ["一只", "狗", "在", "草地", "上", "跑"], ["两只", "猫", "在", "睡觉"]


def jsonl(*entries):
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def rows(table):
    return list(zip(table["image"], table["caption"], strict=True))


def notes(table):
    return table.attrs["files"][0]["notes"]


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
    # Order of columns
    "caption, URL": (
        "x.tsv",
        f"{DOG}\thttps://e.org/x/a.jpg\n{CAT}\thttps://e.org/x/b.jpg?w=1\n",
        [("https://e.org/x/a.jpg", DOG), ("https://e.org/x/b.jpg?w=1", CAT)],
        "column after the caption",
    ),
    "caption, URL with a header": (
        "x.tsv",
        f"caption\turl\n{DOG}\thttp://e.org/a\n{CAT}\thttp://e.org/b\n",
        [("http://e.org/a", DOG), ("http://e.org/b", CAT)],
        None,
    ),
    "caption, name": ("x.txt", f"{DOG}\ta.jpg\n{CAT}\tb.jpg\n", ONE, "column after the caption"),
    "caption, name with commas": ("x.csv", f"{DOG},a.jpg\n{CAT},b.jpg\n", ONE, "column after the caption"),
    "no header": ("x.csv", f"a.jpg,{DOG}\nb.jpg,{CAT}\n", ONE, None),
    "no header, three columns": ("x.tsv", f"0\ta.jpg\t{DOG}\n1\tb.jpg\t{CAT}\n", ONE, "columns not read (1)"),
    "names and spaces": ("x.txt", f"a.jpg {DOG}\nb.jpg {CAT}\n", ONE, "separated by a space, colon, dash"),
    "names and colons": ("x.txt", f"a.jpg: {DOG}\nb.jpg：{CAT}\n", ONE, "separated by a space, colon, dash"),
    # Separators
    "semicolons": ("x.csv", f"image;caption\na.jpg;{DOG}\nb.jpg;{CAT}\n", ONE, "separated by semicolons"),
    "bars": ("x.txt", f"image|caption\na.jpg|{DOG}\nb.jpg|{CAT}\n", ONE, "separated by vertical bars"),
    "Chinese commas": (
        "x.csv",
        "image，caption\na.jpg，一只狗，在跑\nb.jpg，两只猫\n",
        [("a.jpg", "一只狗，在跑"), ("b.jpg", "两只猫")],
        "separated by '，'",
    ),
    "sep line": ("x.csv", f"\ufeffsep=;\nimage;caption\na.jpg;{DOG}\nb.jpg;{CAT}\n", ONE, "separated by semicolons"),
    "sep line, comma": ("x.csv", f"sep=,\nimage,caption\na.jpg,{DOG}\nb.jpg,{CAT}\n", ONE, None),
    "semicolons without a header": ("x.csv", f"a.jpg;{DOG}\nb.jpg;{CAT}\n", ONE, "separated by semicolons"),
    "empty columns": ("x.csv", f"image,caption,,\na.jpg,{DOG},,\nb.jpg,{CAT},,\n", ONE, None),
    "title line": (
        "x.csv",
        f"我的数据,,\nimage,caption,\na.jpg,{DOG},\nb.jpg,{CAT},\n",
        ONE,
        "lines before the header, not read",
    ),
    "commas in the last of three": (
        "x.csv",
        "image,split,caption\na.jpg,train,a man, asleep\nb.jpg,val,a cat\n",
        [("a.jpg", "a man, asleep"), ("b.jpg", "a cat")],
        "captions with unquoted separators",
    ),
    "carets": ("x.csv", f"image^caption\na.jpg^{DOG}\nb.jpg^{CAT}\n", ONE, "columns separated by '^'"),
    "two at signs": ("x.txt", f"a.jpg@@{DOG}\nb.jpg@@{CAT}\n", ONE, "columns separated by '@@'"),
    "two bars, quoted": ("x.csv", f'image||caption\n"a.jpg"||"{DOG}"\nb.jpg||{CAT}\n', ONE, "separated by '||'"),
    "two colons": ("x.txt", f"a.jpg::{DOG}\nb.jpg::{CAT}\n", ONE, "separated by '::'"),
    "control characters": ("x.csv", f"image\x01caption\na.jpg\x01{DOG}\nb.jpg\x01{CAT}\n", ONE, r"separated by '\x01'"),
    "unit separators": ("x.txt", f"a.jpg\x1f{DOG}\nb.jpg\x1f{CAT}\n", ONE, r"separated by '\x1f'"),
    "、": ("x.txt", f"a.jpg、{DOG}\nb.jpg、一只、两只\n", [ONE[0], ("b.jpg", "一只、两只")], "separated by '、'"),
    "tildes": ("x.txt", f"image~caption\na.jpg~{DOG}\nb.jpg~{CAT}\n", ONE, "separated by '~'"),
    "spaces with a header": ("x.txt", f"image   caption\na.jpg   {DOG}\nb.jpg   {CAT}\n", ONE, "by a space, colon"),
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
    # JSON
    "name to captions": ("x.json", {"a.jpg": [DOG, GIRL], "b.jpg": [CAT, DOG]}, TWO, None),
    "name to caption": ("x.json", {"a.jpg": DOG, "b.jpg": CAT}, ONE, None),
    "name to entry": (
        "x.json",
        {"a.jpg": {"caption": DOG, "size": 3}, "b.jpg": {"caption": CAT, "size": 4}},
        ONE,
        "keys not read (size)",
    ),
    "id to entry": (
        "x.json",
        {"17": {"file_name": "a.jpg", "caption": DOG}, "18": {"file_name": "b.jpg", "caption": CAT}},
        ONE,
        None,
    ),
    "lists of one name": ("x.json", [{"a.jpg": DOG}, {"b.jpg": CAT}], ONE, None),
    "lines of one name": ("x.jsonl", jsonl({"a.jpg": DOG}, {"b.jpg": CAT}), ONE, None),
    "below data": (
        "x.json",
        {"version": 1, "data": [{"image": "a.jpg", "caption": DOG}, {"image": "b.jpg", "caption": CAT}]},
        ONE,
        "keys not read (version)",
    ),
    "below annotations": (
        "x.json",
        {"annotations": [{"image": "a.jpg", "caption": DOG}, {"image": "b.jpg", "caption": CAT}]},
        ONE,
        None,
    ),
    "images with captions": (
        "x.json",
        {"images": [{"file_name": "a.jpg", "captions": [DOG, GIRL]}, {"file_name": "b.jpg", "captions": [CAT, DOG]}]},
        TWO,
        None,
    ),
    "splits of names": ("x.json", {"train": {"a.jpg": [DOG]}, "val": {"b.jpg": [CAT]}}, ONE, None),
    "columns": ("x.json", {"image": ["a.jpg", "b.jpg"], "caption": [DOG, CAT]}, ONE, None),
    "columns of pandas": (
        "x.json",
        {"image": {"0": "a.jpg", "1": "b.jpg"}, "caption": {"0": DOG, "1": CAT}},
        ONE,
        None,
    ),
    "split orientation": (
        "x.json",
        {"columns": ["image", "caption"], "index": [0, 1], "data": [["a.jpg", DOG], ["b.jpg", CAT]]},
        ONE,
        None,
    ),
    "lists of pairs": ("x.json", [["a.jpg", DOG], ["b.jpg", CAT]], ONE, "image names read from the key '1'"),
    "LLaVA": (
        "x.json",
        [
            {
                "id": 1,
                "image": "a.jpg",
                "conversations": [{"from": "human", "value": "<image>\n描述"}, {"from": "gpt", "value": DOG}],
            },
            {
                "id": 2,
                "image": "b.jpg",
                "conversations": [
                    {"from": "human", "value": "<image>"},
                    {"from": "gpt", "value": CAT},
                    {"from": "human", "value": "几只?"},
                    {"from": "gpt", "value": "两只"},
                ],
            },
        ],
        ONE,
        "later answers in conversations, not read",
    ),
    "chat messages": (
        "x.jsonl",
        jsonl(
            {
                "images": ["a.jpg"],
                "messages": [{"role": "user", "content": "描述"}, {"role": "assistant", "content": DOG}],
            },
            {
                "images": ["b.jpg"],
                "messages": [{"role": "user", "content": "描述"}, {"role": "assistant", "content": CAT}],
            },
        ),
        ONE,
        "first answer of conversations",
    ),
    "COCO below a key": (
        "x.json",
        {
            "train": {
                "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
                "annotations": [{"image_id": 1, "caption": DOG}, {"image_id": 2, "caption": CAT}],
            }
        },
        ONE,
        None,
    ),
    "numbers below names": (
        "x.json",
        {"a.jpg": {"0": DOG, "1": GIRL}, "b.jpg": {"0": CAT, "1": DOG}},
        TWO,
        None,
    ),
    "names like columns": (
        "x.json",
        {"image_1.jpg": [DOG, GIRL], "caption_1.jpg": [CAT, DOG]},
        [(f"{'image' if name == 'a.jpg' else 'caption'}_1.jpg", text) for name, text in TWO],
        None,
    ),
    "numbers below ids": (
        "x.json",
        {"img_1": {"0": DOG, "1": GIRL}, "img_2": {"0": CAT, "1": DOG}},
        [(f"img_{1 + (name == 'b.jpg')}", text) for name, text in TWO],
        None,
    ),
    "lists of numbers below names": (
        "x.json",
        {"a.jpg": [{"0": DOG}, {"1": GIRL}], "b.jpg": [{"0": CAT}, {"1": DOG}]},
        TWO,
        None,
    ),
    "numbered lists below names": (
        "x.json",
        {"a.jpg": {"1": [DOG], "2": [GIRL]}, "b.jpg": {"1": [CAT, DOG]}},
        TWO,
        None,
    ),
    "numbers below the names of lines": (
        "x.jsonl",
        jsonl({"a.jpg": {"0": DOG, "1": GIRL}}, {"b.jpg": {"0": CAT, "1": DOG}}),
        TWO,
        None,
    ),
    # HTML entities
    "entities": (
        "x.csv",
        "image,caption\na.jpg,a dog &amp; a cat\nb.jpg,two&nbsp;cats &#x26; it&#39;s\n",
        [("a.jpg", "a dog & a cat"), ("b.jpg", "two\u00a0cats & it's")],
        "captions with HTML entities (such as &amp;), decoded",
    ),
    "entities only": (
        "x.csv",
        "image,caption\n"
        + "".join(f"{name},{''.join(f'&#{ord(letter)};' for letter in text)}\n" for name, text in ONE),
        ONE,
        "HTML entities",
    ),
    "entities and semicolons": (
        "x.csv",
        f"image,caption\na.jpg,&#{ord(DOG[0])};{DOG[1:]}; {GIRL}\nb.jpg,&#{ord(CAT[0])};{CAT[1:]};{DOG}\n",
        TWO,
        "several captions, separated by ';'",
    ),
    "captions mapped to names": ("x.json", {DOG: "a.jpg", CAT: "b.jpg"}, ONE, "read the other way round"),
    "separators in names": (
        "x.csv",
        f"image,caption\nhttp://e.org/a,b/1.jpg,{DOG}\nphoto, 2.jpg,{CAT}\n",
        [("http://e.org/a,b/1.jpg", DOG), ("photo, 2.jpg", CAT)],
        "image names with unquoted separators",
    ),
    # Quotes
    "single quotes": (
        "x.csv",
        f"'image','caption','split'\n'a.jpg','{DOG}','train'\n'b.jpg','{CAT}','val'\n",
        ONE,
        "quotes around image names stripped ('..')",
    ),
    "single quotes and apostrophes": (
        "x.csv",
        "image,caption\n'a.jpg','it''s a dog, asleep'\n'b.jpg','two cats'\n",
        [("a.jpg", "it's a dog, asleep"), ("b.jpg", "two cats")],
        "quotes around captions stripped ('..')",
    ),
    "backticks without a header": ("x.tsv", f"`a.jpg`\t`{DOG}`\n`b.jpg`\t`{CAT}`\n", ONE, "stripped (`..`)"),
    "curly quotes": ("x.csv", f"image,caption\n“a.jpg”,“{DOG}”\n“b.jpg”,“{CAT}”\n", ONE, "stripped (“..”)"),
    "quotes of the text": (
        "x.csv",
        "image,caption\na.jpg,“一只”狗和“猫”\nb.jpg,“两只”猫和“狗”\n",
        [("a.jpg", "“一只”狗和“猫”"), ("b.jpg", "“两只”猫和“狗”")],
        None,
    ),
    # Contents decide
    "swapped, csv": (
        "x.csv",
        f"image,caption,split\n{DOG},a.jpg,train\n{CAT},b.jpg,train\n",
        ONE,
        "columns read as their contents say: 'image' holds the captions and 'caption' the image names",
    ),
    "swapped, URLs": (
        "x.tsv",
        f"url\ttext\n{DOG}\thttp://e.org/a.jpg\n{CAT}\thttp://e.org/b.jpg\n",
        [("http://e.org/a.jpg", DOG), ("http://e.org/b.jpg", CAT)],
        "'url' holds the captions",
    ),
    "swapped, English, jsonl": (
        "x.jsonl",
        jsonl({"image": "a dog runs", "caption": "p/a.jpg"}, {"image": "two cats", "caption": "p/b.jpg"}),
        [("p/a.jpg", "a dog runs"), ("p/b.jpg", "two cats")],
        "keys read as their contents say",
    ),
    "paths are no words": (
        "x.csv",
        "image,caption\na.jpg,/home/me/1.jpg\nb.jpg,http://e.org/x/y/2\n",
        [("a.jpg", "/home/me/1.jpg"), ("b.jpg", "http://e.org/x/y/2")],
        "captions that are file names, URLs or ids",
    ),
    "no header, URL last": (
        "x.tsv",
        f"a.jpg\t{DOG}\thttp://e.org/a.jpg\nb.jpg\t{CAT}\thttp://e.org/b.jpg\n",
        ONE,
        "columns not read (3)",
    ),
    "no header, URL first": (
        "x.csv",
        f"http://e.org/1,{DOG},a.jpg\nhttp://e.org/2,{CAT},b.jpg\n",
        ONE,
        "columns not read (1)",
    ),
    "no header, caption first": (
        "x.txt",
        f"{DOG}\ta.jpg\thttp://e.org/a.jpg\n{CAT}\tb.jpg\thttp://e.org/b.jpg\n",
        ONE,
        "columns not read (3)",
    ),
    "no header, annotators": (
        "x.tsv",
        f"a.jpg\t{DOG}\t张三\nb.jpg\t{CAT}呢呢\t欧阳小明\n",
        [("a.jpg", DOG), ("b.jpg", f"{CAT}呢呢")],
        "columns not read (3)",
    ),
    "no header, splits": (
        "x.tsv",
        f"a.jpg\t{DOG}\ttrain\nb.jpg\t{CAT}\tdev\n",
        ONE,
        "splits read from the column '3'",
    ),
    "Flickr and a URL": (
        "x.txt",
        f"a.jpg#0\t{DOG}\thttp://e.org/a\nb.jpg#0\t{CAT}\thttp://e.org/b\n",
        ONE,
        "columns not read (3)",
    ),
    "Flickr and a number": (
        "x.txt",
        f"a.jpg#0\t0.93\t{DOG}\nb.jpg#0\t0.5\t{CAT}\n",
        ONE,
        "columns not read (2)",
    ),
    "yes or no": (
        "x.csv",
        f"image,caption,has_text,text_subset\na.jpg,{DOG},False,train\nb.jpg,{CAT},True,val\n",
        ONE,
        "columns not read (has_text, text_subset)",
    ),
    # Rejected captions
    "reject, jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "reviewStatus": "ACCEPT"},
            {"image": "b.jpg", "caption": CAT, "reviewStatus": "maybe"},
            {"image": "b.jpg", "caption": "坏", "reviewStatus": "REJECT"},
        ),
        ONE,
        "values of 'review_status' that reject nothing, not read (ACCEPT, maybe)",
    ),
    "审核": (
        "x.csv",
        f"图片,描述,审核\na.jpg,{DOG},通过\nb.jpg,{CAT},\nb.jpg,坏,不通过\nb.jpg,坏,废弃\n",
        ONE,
        "captions marked as 不通过, left out",
    ),
    "质检结论": (
        "x.csv",
        f"图片,标注文本,标注员,质检结论\na.jpg,{DOG},李强,合格\nb.jpg,{CAT},王芳,合格\nb.jpg,坏,李强,打回\n",
        ONE,
        "captions marked as 打回, left out",
    ),
    "chosen beside rejected captions and an empty cell": (
        "x.csv",
        f"image,chosen,rejected\na.jpg,{DOG},一只狗在月亮上跳舞\nb.jpg,{CAT},\n",
        ONE,
        "columns not read (rejected)",
    ),
    "Reject of MTurk": (
        "x.csv",
        f"Input.image_url,Answer.caption,AssignmentStatus,Approve,Reject\na.jpg,{DOG},Submitted,x,\n"
        f"b.jpg,{CAT},Submitted,x,\nb.jpg,坏,Submitted,,Not a description of the image\n",
        ONE,
        "captions marked as reject, left out",
    ),
    "discard": (
        "x.csv",
        f"image,caption,discard\na.jpg,{DOG},\nb.jpg,{CAT},\nb.jpg,坏,x\n",
        ONE,
        "captions marked as discard, left out",
    ),
    "status in COCO": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
            "annotations": [
                {"image_id": 1, "caption": DOG, "status": "ok"},
                {"image_id": 2, "caption": CAT, "status": "ok"},
                {"image_id": 2, "caption": "坏", "status": "FAILED"},
            ],
        },
        ONE,
        "captions marked as failed, left out",
    ),
    "是否合格": (
        "x.csv",
        f"图片,描述,是否合格\na.jpg,{DOG},是\nb.jpg,{CAT},是\nb.jpg,坏,否\n",
        ONE,
        "captions marked as not 合格, left out",
    ),
    "rejected, csv": (
        "x.csv",
        f"image,caption,is_rejected\na.jpg,{DOG},False\nb.jpg,{CAT},0\nb.jpg,坏,True\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "precanned, jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "is_precanned": False},
            {"image": "b.jpg", "caption": CAT, "is_precanned": False},
            {"image": "b.jpg", "caption": "坏", "is_precanned": True},
        ),
        ONE,
        "marked as precanned, left out",
    ),
    "status, csv": (
        "x.csv",
        f"image,caption,status\na.jpg,{DOG},ok\nb.jpg,{CAT},ok\nb.jpg,坏,rejected\n",
        ONE,
        "marked as rejected",
    ),
    "not valid, json": (
        "x.json",
        [
            {"image": "a.jpg", "caption": DOG, "valid": 1},
            {"image": "b.jpg", "caption": CAT, "valid": 1},
            {"image": "b.jpg", "caption": "坏", "valid": 0},
        ],
        ONE,
        "marked as not valid",
    ),
    # Names that contain #
    "hash before a tab": (
        "x.txt",
        f"p#0 copy.jpg#0\t{DOG}\np#1.jpg#12\t{CAT}\n",
        [("p#0 copy.jpg", DOG), ("p#1.jpg", CAT)],
        None,
    ),
    "hash after a suffix": (
        "x.txt",
        f"p.jpg#0 copy.jpg#1\t{DOG}\nq#2 copy#0\t{CAT}\n",
        [("p.jpg#0 copy.jpg", DOG), ("q#2 copy", CAT)],
        None,
    ),
    "hash and a tag": ("x.txt", f"p#3 a.jpg#zhc#0 {DOG}\nq#zhm#1\t{CAT}\n", [("p#3 a.jpg", DOG), ("q", CAT)], None),
    "hash without a tab": (
        "x.txt",
        f"p#3 a.jpg#0 {DOG}\nq#2.jpg#1 {CAT} #2 吧\n",
        [("p#3 a.jpg", DOG), ("q#2.jpg", f"{CAT} #2 吧")],
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    name, content, expected, note = CASES[case]
    table = read_corpus(write(name, content))
    assert rows(table) == expected
    found = notes(table)
    assert (any(note in text for text in found)) if note else found == {}, found


ERRORS = {
    "languages in a cell": (
        "x.csv",
        'image,captions\na.jpg,"{""zh"": ""一只狗"", ""en"": ""a dog""}"\n',
        "line 2: the caption is an object with the keys 'zh, en'; write one of them as text",
    ),
    "all rejected": (
        "x.csv",
        f"image,caption,is_rejected\na.jpg,{DOG},1\n",
        "no captions found .*--keep-rejected keeps",
    ),
    "two languages": (
        "x.csv",
        f"image,caption_zh,caption_en\na.jpg,{DOG},a dog runs\n",
        r"x\.csv, line 1: 2 columns could be the caption: .*zh \('一只狗在草地上跑'\), caption_en \('a dog runs'\)"
        r"; choose with --caption-column caption_zh .*--image-column",
    ),
    "a language beside": (
        "x.csv",
        f"image,caption,caption_zh\na.jpg,a dog runs,{DOG}\n",
        "2 columns could be the caption",
    ),
    "two names": ("x.tsv", f"image\tcaption\tdescription\na.jpg\t{DOG}\t{CAT}\n", "2 columns could be the caption"),
    "two keys": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "caption": DOG, "text": CAT}, {"image": "b.jpg", "caption": DOG, "text": CAT}),
        "2 keys could be the caption",
    ),
    "languages below a key": (
        "x.json",
        [{"image": "a.jpg", "caption": {"zh": DOG, "en": "a dog runs"}}],
        r"caption\.zh .*caption\.en",
    ),
    "two texts without a header": (
        "x.tsv",
        f"a.jpg\t{DOG}\t{CAT}\nb.jpg\t{CAT}\t{GIRL}\n",
        "2 columns could be the caption: 2 .*3",
    ),
    "instances": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "bbox": [1], "segmentation": []}],
        },
        r"has annotations of object instances, not captions; .*captions_train2017\.json",
    ),
    "keypoints": (
        "x.json",
        {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "keypoints": [1], "bbox": []}]},
        "has annotations of keypoints, not captions",
    ),
    "results of a detector": (
        "x.json",
        [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}],
        "object instances, not captions",
    ),
    "languages below names": (
        "x.json",
        {"a.jpg": {"zh": [DOG], "en": ["a dog"]}, "b.jpg": {"zh": [CAT], "en": ["two cats"]}},
        r"2 keys could be the caption: zh .*, en .*; choose with --caption-column zh",
    ),
    "other keys": (
        "x.json",
        {"foo": {"bar": [1, 2]}, "baz": "qux"},
        r"found the keys 'foo, baz', with the keys 'bar' below; convert it",
    ),
    "RTF": ("x.txt", "{\\rtf1\\ansi a.jpg\\tab a dog\\par}", "a document in RTF"),
    "competing captions": (
        "x.csv",
        f"image,response_a,response_b,winner\na.jpg,{DOG},{CAT},a\nb.jpg,{CAT},{DOG},b\n",
        "'winner' seems to say which of the columns response_a, response_b",
    ),
    "images before captions": ("x.tsv", f"{'iVBORw0KGgo' * 9}\t{DOG}\t1\n" * 2, "but no captions before them"),
    "an archive": (
        "x.zip",
        b"PK\x03\x04" + bytes(100),
        r"is a zip archive \(unpack it\) or a document of Word .*, not",
    ),
    "an archive of text": (
        "x.csv",
        b"PK\x03\x04\x14\0\0\0\0\0" + f"x.csvimage,caption\na.jpg\t{DOG}\nb.jpg\t{CAT}\n".encode(),
        r"is a zip archive \(unpack it\) or a document",
    ),
    "a tar archive": (
        "x.tar",
        b"a.jpg".ljust(257, b"\0") + b"ustar\0" + f"a.jpg\t{DOG}\nb.jpg\t{CAT}\n".encode(),
        r"is a tar archive \(unpack it with `mkdir folder && tar -xf file\.tar -C folder` and pass the folder\)",
    ),
    "an Arrow stream": (
        "x.arrow",
        b"\xff\xff\xff\xff\xa0\0\0\0" + bytes(200),
        r"is an Arrow file \(save it as Parquet\)",
    ),
    "shortened ids": (
        "x.csv",
        f"image_id,caption\n1.23457E+15,{DOG}\n1.23457E+15,{CAT}\n",
        r"x\.csv, line 2: the ids were shortened by a spreadsheet \(1\.23457E\+15\); export them as text",
    ),
    "data URIs": (
        "x.csv",
        f'image,caption\n"data:image/jpeg;base64,{"Zm9v" * 40}",{DOG}\n',
        "line 2: the image itself is in the file, in base64",
    ),
    "base64": (
        "x.jsonl",
        jsonl({"image": "/9j/" + "Zm9v" * 40, "caption": DOG}),
        "line 1: the image itself is in the file, in base64",
    ),
    "lines of several layouts": ("x.txt", f"a.jpg\t{DOG}\nb.jpg\t{CAT}\t17\n", "; fix the line"),
    "old workbook": (
        "x.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        r"has the format of old Office documents \(.xls, .doc\); save it as CSV UTF-8",
    ),
    "old workbook with another suffix": (
        "x.txt",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "is not a caption file: .*; save it as CSV UTF-8",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_ambiguous_and_foreign_files_say_what_to_do(write, case):
    name, content, message = ERRORS[case]
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(write(name, content))
    assert "--format" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_format_names_the_one_that_fits(write):
    path = write("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{CAT}\n")
    with pytest.raises(CorpusError, match=r"the file looks like format 'csv': leave out --format flickr8k\.$"):
        read_corpus(path, format="flickr8k")


def test_columns_that_the_user_names(write):
    path = write("x.csv", f"编号,英文,中文,文件\n1,a dog runs,{DOG},a.jpg\n2,two cats,{CAT},b.jpg\n")
    table = read_corpus(path, caption_column=["中文"], image_column="文件")
    assert rows(table) == ONE
    assert notes(table) == {"columns not read (编号, 英文)": 2}
    assert rows(read_corpus(f"{path}:caption_column=中文,image_column=文件")) == ONE
    both = read_corpus(path, caption_column=["中文", "英文"])
    assert rows(both) == [("a.jpg", DOG), ("a.jpg", "a dog runs"), ("b.jpg", CAT), ("b.jpg", "two cats")]
    with pytest.raises(
        CorpusError, match=r"x\.csv, line 1: no column is named '法文' \(--caption-column\); the columns are 编号, 英文"
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
    with pytest.raises(CorpusError, match=r"x\.txt has no columns, but --caption-column"):
        read_corpus(flickr, caption_column=["caption"])


def test_rejected_captions_are_kept_on_request(write):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    captions = [(1, DOG, False), (2, CAT, True)]
    annotations = [{"image_id": image, "caption": text, "is_rejected": mark} for image, text, mark in captions]
    path = write("vizwiz.json", {"images": images, "annotations": annotations})
    table = read_corpus(path)
    assert rows(table) == ONE[:1]
    assert notes(table) == {"captions marked as rejected, left out": 1}
    assert [item[1:] for item in table.attrs["skipped"]] == [(2, "marked as rejected")]
    assert rows(read_corpus(path, keep_rejected=True)) == ONE


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
    assert note == "images with .caption and .txt files, which are both read (--text-suffix .caption reads one kind)"
    assert rows(read_corpus(folder, text_suffix="caption")) == ONE
    assert rows(read_corpus(Source(str(folder), text_suffix=".caption"))) == ONE
    for stem in "ab":
        (folder / f"{stem}.caption").rename(folder / f"{stem}.cap")
        (folder / f"{stem}.txt").unlink()
    with pytest.raises(
        CorpusError, match=r"2 images have a \.cap file of the same name; read them with --text-suffix \.cap"
    ):
        read_corpus(folder)
    assert rows(read_corpus(folder, text_suffix=".cap")) == ONE
    write("pics/a.txt", DOG)
    message = (
        r"no image has a \.caps file of the same name \(--text-suffix\); text files beside images: \.cap \(2\), \.txt"
    )
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
