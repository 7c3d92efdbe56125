"""Files that were joined: headers in the middle, and rows that share a line since a line break is missing."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE

from caption_tx.data.corpus.table import read_corpus

THREE = [*ONE, ("c.jpg", GIRL)]
ADDED = "line breaks that are missing between rows, added (such as in line "
MIDDLE = "headers in the middle of the table"
JSON = [json.dumps({"image": name, "caption": caption}) for name, caption in THREE]
CASES = {
    "name of a file": ("x.txt", f"a.jpg\t{DOG}\nb.jpg\t{CAT}c.jpg\t{GIRL}\n", THREE, f"{ADDED}2, before 'c.jpg"),
    "in CSV": ("x.csv", f"image,caption\na.jpg,{DOG}b.jpg,{CAT}c.jpg,{GIRL}\n", THREE, f"{ADDED}2, before 'b.jpg"),
    "in quotes": (
        "x.csv",
        f'"image","caption"\n"a.jpg","{DOG}"\n"b.jpg","{CAT}""c.jpg","{GIRL}"\n',
        THREE,
        f"{ADDED}3, before '\"c.jpg",
    ),
    "with numbers of captions": ("x.txt", f"a.jpg#0\t{DOG}b.jpg#0\t{CAT}\nc.jpg#0\t{GIRL}\n", THREE, f"{ADDED}1, "),
    "Flickr8k-CN": ("x.txt", f"a.jpg#zhc#0 {DOG}\nb.jpg#zhc#0 {CAT}c.jpg#zhc#0 {GIRL}\n", THREE, f"{ADDED}2, "),
    "ids of another row": (
        "x.txt",
        f"101\t{DOG}\n102\t{CAT}103\t{GIRL}\n103\t{DOG}\n104\t{CAT}\n",
        [("101", DOG), ("102", CAT), ("103", GIRL), ("103", DOG), ("104", CAT)],
        f"{ADDED}2, ",
    ),
    "the header": ("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{CAT}image,caption\nc.jpg,{GIRL}\n", THREE, MIDDLE),
    "another header": ("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{CAT}文件名,描述\nc.jpg,{GIRL}\n", THREE, MIDDLE),
    "a header after pairs": ("x.txt", f"a.jpg\t{DOG}\nb.jpg\t{CAT}\nimage\tcaption\nc.jpg\t{GIRL}\n", THREE, MIDDLE),
    "a header glued to pairs": ("x.txt", f"a.jpg\t{DOG}\nb.jpg\t{CAT}image\tcaption\nc.jpg\t{GIRL}\n", THREE, MIDDLE),
    "JSON Lines": ("x.jsonl", f"{JSON[0]}\n{JSON[1]}{JSON[2]}\n", THREE, "JSON objects that share a line"),
    "a name in a caption": (
        "x.csv",
        f'image,caption\na.jpg,"{DOG}b.jpg,{CAT}"\nb.jpg,see a.jpg, {CAT}\n',
        [("a.jpg", f"{DOG}b.jpg,{CAT}"), ("b.jpg", f"see a.jpg, {CAT}")],
        "captions with unquoted separators",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_joined_files(write, name):
    file, content, expected, note = CASES[name]
    for image in "abc":
        write(f"photos/{image}.jpg", b"\xff")
    photos = write("photos/readme", b"").parent
    read = read_corpus(write(file, content), images=photos)
    assert list(zip(read["image"], read["caption"], strict=True)) == expected
    assert any(text.startswith(note) for text in read.attrs["files"][0]["notes"])


@pytest.mark.parametrize("name", ["x.txt", "x.csv"])
def test_names_that_are_unknown_are_named(write, name):
    rows = ["image,caption", *(f"{at}.jpg,{DOG}{at}" for at in range(10)), f"10.jpg,{CAT}IMG_7.jpg,{GIRL}"]
    text = "\n".join(rows if name == "x.csv" else rows[1:])
    read = read_corpus(write(name, text if name == "x.csv" else text.replace(",", "\t")))
    assert len(read) == 10
    [(_, line, reason)] = read.attrs["skipped"]
    assert (line, reason) == (len(rows) - (name == "x.txt"), "a line break is missing before IMG_7.jpg")
