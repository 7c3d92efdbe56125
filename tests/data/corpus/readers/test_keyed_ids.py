"""JSON exports of databases whose objects are keyed by ids."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"
BY_ID = {
    "a,jpg": {"-NUq00xZk0aB": {"text": DOG, "uid": "kX2aPq"}, "-NUq00xZk1aB": {"text": CAT, "uid": "m81LLs"}},
    "b,jpg": {
        "-NUq01xZk0aB": {"text": GIRL, "uid": "kX2aPq"},
        "-NUq01xZk1aB": {"text": DOG, "deleted": True},
    },
}
ROWS = [("a.jpg", DOG), ("a.jpg", CAT), ("b.jpg", GIRL)]
DOTTED = "image names found after ignoring signs that stand for the dot (of 2 missing)"
RECORDS = [
    {"file": "a.jpg", "captions": {"-Na1": {"text": DOG}, "-Na2": {"text": CAT}}},
    {"file": "b.jpg", "captions": {"-Nb1": {"text": GIRL}}},
]
CASES = {
    "Firebase": (
        {"captions": BY_ID, "users": {"kX2aPq": {"name": "小李"}, "m81LLs": {"name": "小王"}}},
        {
            "captions in objects by id": 3,
            "captions marked as deleted, left out": 1,
            "keys not read (users)": 1,
            DOTTED: 2,
        },
    ),
    "at the root": (BY_ID, {"captions in objects by id": 3, "captions marked as deleted, left out": 1, DOTTED: 2}),
    "other signs": (
        {"a_jpg": BY_ID["a,jpg"], "b%2Ejpg": {"-NUq01xZk0aB": {"text": GIRL}}},
        {
            "captions in objects by id": 3,
            "image names found after ignoring signs that stand for the dot (of 2 missing)": 1,
            "image names found after ignoring percent signs (of 2 missing)": 1,
        },
    ),
    "below records": ({"images": {"-Nid1": RECORDS[0], "-Nid2": RECORDS[1]}}, {"captions in objects by id": 3}),
    "below a list": (RECORDS, {"captions in objects by id": 3}),
    "numbers": (
        {"a.jpg": {"0": {"text": DOG}, "1": {"text": CAT}}, "b.jpg": {"0": {"text": GIRL}}},
        {"captions in objects by id": 3},
    ),
    "splits are no ids": (
        {"train": {"a.jpg": {"text": DOG}, "b.jpg": {"text": GIRL}}, "val": {"c.jpg": {"text": CAT}}},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_keys_that_are_ids(write, name):
    document, notes = CASES[name]
    photos = write("photos/a.jpg", b"\xff").parent
    for image in "bc":
        write(f"photos/{image}.jpg", b"\xff")
    read = read_corpus(write("x.json", document), images=photos)
    rows = ROWS if notes else [("a.jpg", DOG), ("b.jpg", GIRL), ("c.jpg", CAT)]
    assert list(zip(read["image"], read["caption"], strict=True)) == rows
    assert read.attrs["files"][0]["notes"] == notes


def test_the_key_of_the_caption_can_be_named(write):
    document = {"a.jpg": {"-N1": {"text": DOG, "caption": CAT}}, "b.jpg": {"-N2": {"text": GIRL, "caption": CAT}}}
    path = write("x.json", {"data": document})
    with pytest.raises(CorpusError, match="2 keys could be the caption: text, caption; choose with caption_column"):
        read_corpus(path)
    assert list(read_corpus(path, caption_column=("text",))["caption"]) == [DOG, GIRL]
