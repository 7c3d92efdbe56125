"""Review marks in exported files: rejected captions are left out, and a note."""

import pytest
from corpus_cases import CAT, DOG, ONE, assert_read, jsonl

ENGLISH = [("a.jpg", "a dog on the grass"), ("b.jpg", "two cats")]


CASES = {
    "Prodigy": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "answer": "accept"},
            {"image": "c.jpg", "caption": CAT, "answer": "reject"},
            {"image": "d.jpg", "caption": CAT, "answer": "ignore"},
            {"image": "b.jpg", "caption": CAT, "answer": "accept"},
        ),
        ONE,
        "captions marked as ignore, left out",
    ),
    "MTurk": (
        "x.csv",
        f"AssignmentStatus,Input.image_url,Answer.caption\nApproved,a.jpg,{DOG}\nRejected,c.jpg,{CAT}\n"
        f"Submitted,b.jpg,{CAT}\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "Toloka": (
        "x.tsv",
        f"INPUT:image\tOUTPUT:caption\tASSIGNMENT:status\na.jpg\t{DOG}\tAPPROVED\nc.jpg\t{CAT}\tREJECTED\n"
        f"b.jpg\t{CAT}\tAPPROVED\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "rejected captions of an image": (
        "x.json",
        [
            {"image": "a.jpg", "captions": [{"text": DOG, "rejected": False}, {"text": CAT, "rejected": True}]},
            {"image": "b.jpg", "captions": [{"text": CAT, "rejected": False}]},
            {"image": "c.jpg", "captions": [{"text": CAT, "rejected": True}]},
        ],
        ONE,
        "captions marked as rejected, left out",
    ),
    "a review in an object": (
        "x.jsonl",
        jsonl(
            *({"image": name, "caption": text, "review": {"result": "approved", "by": "li"}} for name, text in ONE),
            {"image": "c.jpg", "caption": DOG, "review": {"result": "rejected", "by": "li"}},
        ),
        ONE,
        "captions marked as rejected, left out",
    ),
    "a mark in an object": (
        "x.jsonl",
        jsonl(
            *({"image": name, "caption": text, "meta": {"is_good": True}} for name, text in ONE),
            {"image": "c.jpg", "caption": DOG, "meta": {"is_good": False}},
        ),
        ONE,
        "captions marked as not good, left out",
    ),
    "answers that are captions": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "answer": "a dog on the grass"}, {"image": "b.jpg", "answer": "two cats"}),
        ENGLISH,
        "captions read from the key 'answer'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    assert_read(write, *CASES[name])
