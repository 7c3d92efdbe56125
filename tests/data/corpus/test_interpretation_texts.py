"""Separators, JSON, entities and quotes that can be misread: the right captions, and a note."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, jsonl

CASES = {
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
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    assert_read(write, *CASES[case])
