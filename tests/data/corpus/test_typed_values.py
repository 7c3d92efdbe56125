"""Exports of databases whose values name their types."""

import pytest
from corpus_cases import jsonl

from caption_tx.data.corpus.table import read_corpus


def pairs(read):
    return list(zip(read["image"], read["caption"], strict=True))


def note(database, count):
    return {f"values with the types of {database}, read without the types": count}


def dynamo(image, *captions, **others):
    texts = [{"M": {"text": {"S": text}, "rejected": {"BOOL": rejected}}} for text, rejected in captions]
    return {"file": {"S": image}, "captions": {"L": texts}, **others}


def test_dynamodb(write):
    items = [dynamo("a.jpg", ("a red dog", False), ("x y", True)), dynamo("b.jpg", ("a red cat", False))]
    expected = [("a.jpg", "a red dog"), ("b.jpg", "a red cat")]
    marked = {"captions marked as rejected, left out": 1}
    for source in (jsonl(*({"Item": item} for item in items)), {"Items": items, "Count": 2}):
        read = read_corpus(write("d.json", source))
        assert pairs(read) == expected
        assert read.attrs["files"][0]["notes"].items() >= (note("DynamoDB", 4) | marked).items()
    entries = [{"image": {"S": "a.jpg"}, "caption": {"S": text}, "is_rejected": {"BOOL": bad}, "n": {"N": "1"}}
               for text, bad in (("a red dog", False), ("x y", True))]  # fmt: skip
    assert pairs(read_corpus(write("d.jsonl", jsonl(*entries)))) == expected[:1]


def test_firestore(write):
    def document(image, caption, is_rejected):
        captions = {"arrayValue": {"values": [{"stringValue": caption}, {"stringValue": f"{caption} sits"}]}}
        fields = {
            "image": {"stringValue": image},
            "captions": captions,
            "is_rejected": {"booleanValue": is_rejected},
        }
        return {"name": f"projects/p/documents/c/{image}", "fields": fields, "createTime": "2026-01-01T00:00:00Z"}

    documents = [document("a.jpg", "a red dog", False), document("b.jpg", "x y", True)]
    expected = [("a.jpg", "a red dog"), ("a.jpg", "a red dog sits")]
    for source in ({"documents": documents}, [{"document": item, "readTime": "2026"} for item in documents]):
        read = read_corpus(write("f.json", source))
        assert pairs(read) == expected
        assert read.attrs["files"][0]["notes"].items() >= note("Firestore", 6).items()


@pytest.mark.parametrize(("rejected", "count"), [({"$numberInt": "1"}, 2), (1, None)])
def test_mongodb(write, rejected, count):
    kept = {"$numberInt": "0"} if count else 0
    entries = [
        {"_id": {"$oid": f"65a1b2c3d4e5f60718293a4{row}"}, "image": f"{row}.jpg", "caption": text, "is_rejected": mark}
        for row, (text, mark) in enumerate([("a red dog", kept), ("x y", rejected)])
    ]
    read = read_corpus(write("m.jsonl", jsonl(*entries)))
    assert pairs(read) == [("0.jpg", "a red dog")]
    notes = {**({} if count is None else note("MongoDB", count)), "captions marked as rejected, left out": 1}
    assert read.attrs["files"][0]["notes"] == notes | {"keys not read (_id)": 1}


def test_ordinary_keys_of_the_same_names_stay(write):
    entries = [{"image": "a.jpg", "caption": "a red dog", "S": "x"}, {"image": "b.jpg", "caption": "a cat", "S": "y"}]
    read = read_corpus(write("o.jsonl", jsonl(*entries)))
    assert pairs(read) == [("a.jpg", "a red dog"), ("b.jpg", "a cat")]
    assert read.attrs["files"][0]["notes"] == {"keys not read (S)": 1}
