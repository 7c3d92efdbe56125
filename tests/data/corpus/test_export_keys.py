"""Captions in lists of lists, below keys of one or several kinds, and below nested keys: the right ones, and a note."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, below, jsonl

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

INSIDE = "lists inside lists or objects"
NUMBERED = "captions below numbered keys ('annotator')"


CASES = {
    # Lists one level deeper
    "object with a list": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": [DOG, GIRL]}},
            {"image": "b.jpg", "caption": {"text": [CAT, DOG]}},
        ),
        TWO,
        INSIDE,
    ),
    "list of objects with lists": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "captions": [{"text": [DOG, GIRL]}]},
            {"image": "b.jpg", "captions": [{"text": [CAT, DOG]}]},
        ),
        TWO,
        INSIDE,
    ),
    "list in a list": (
        "x.json",
        [{"image_id": "a.jpg", "caption": [[DOG, GIRL]]}, {"image_id": "b.jpg", "caption": [[CAT, DOG]]}],
        TWO,
        INSIDE,
    ),
    "list in a list, English": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": [["a dog runs", "a dog plays"]]},
            {"image": "b.jpg", "caption": [["two cats", "cats asleep"]]},
        ),
        [("a.jpg", "a dog runs"), ("a.jpg", "a dog plays"), ("b.jpg", "two cats"), ("b.jpg", "cats asleep")],
        INSIDE,
    ),
    "words in an object": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": ["一只", "狗", "在", "草地", "上", "跑"]}},
            {"image": "b.jpg", "caption": {"text": ["两只", "猫", "在", "睡觉"]}},
        ),
        ONE,
        "captions joined from lists of words",
    ),
    # Captions below a key per kind
    "one kind": ("x.jsonl", below(lambda texts: {"annotations": {"human": texts}}), TWO, "the key 'annotations.human'"),
    "one kind in a list": (
        "x.json",
        [{"image": name, "annotations": {"human": [caption]}} for name, caption in ONE],
        ONE,
        "captions read from the key 'annotations.human'",
    ),
    "one kind of objects": (
        "x.jsonl",
        below(lambda texts: {"captions": {"human": [{"text": text, "id": 1} for text in texts]}}),
        TWO,
        "captions read from the key 'captions.human'",
    ),
    "one kind by name": ("x.json", {name: {"human": [caption]} for name, caption in ONE}, ONE, "from the key 'human'"),
    "one kind, deeper": (
        "x.jsonl",
        below(lambda texts: {"data": {"labels": {"captions": {"human": texts}}}}),
        TWO,
        "captions read from the key 'data.labels.captions.human'",
    ),
    "one kind beside others": (
        "x.jsonl",
        below(lambda texts: {"meta": {"city": "上海", "width": 9}, "annotations": {"human": texts}}),
        TWO,
        "keys not read (meta.city, meta.width)",
    ),
    "a kind per object": (
        "x.jsonl",
        below(lambda texts: {"captions": [{"human": text} for text in texts]}),
        TWO,
        "captions read from the key 'human' of objects",
    ),
    "a kind in a cell": (
        "x.csv",
        "image,caption\n" + "".join(f'{name},"{{""human"": ""{caption}""}}"\n' for name, caption in ONE),
        ONE,
        "captions read from the key 'human' of objects",
    ),
    "annotators": (
        "x.jsonl",
        below(lambda texts: {"captions": dict(zip(("annotator_1", "annotator_2"), texts, strict=True))}),
        TWO,
        NUMBERED,
    ),
    "annotators by name": (
        "x.json",
        {"a.jpg": {"annotator_a": DOG, "annotator_b": GIRL}, "b.jpg": {"annotator_a": CAT, "annotator_b": DOG}},
        TWO,
        NUMBERED,
    ),
    "the image below a key": (
        "x.jsonl",
        jsonl(*({"data": {"file_name": name}, "result": {"caption": caption}} for name, caption in ONE)),
        ONE,
        "captions read from the key 'result.caption'",
    ),
    "two kinds of different images": (
        "x.json",
        {"human": {"a.jpg": [DOG]}, "machine": {"b.jpg": [CAT]}},
        ONE,
        "keys read (human, machine)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    assert_read(write, *CASES[name])


def test_parquet_with_captions_below_keys(tmp_path):
    import pandas as pd

    def read(**columns):
        pd.DataFrame({"image": ["a.jpg", "b.jpg"], **columns}).to_parquet(tmp_path / "x.parquet")
        return read_corpus(tmp_path / "x.parquet", caption_column=["human"] if "captions" in columns else [])

    kinds = [{"human": [DOG, GIRL], "n": 1}, {"human": [CAT, DOG], "n": 2}]
    found = read(annotations=kinds)
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    assert found.attrs["files"][0]["notes"] == {
        "captions read from the column 'annotations.human'": 1,
        "columns not read (annotations.n)": 1,
    }
    found = read(captions=[kind | {"machine": [GIRL]} for kind in kinds])
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    with pytest.raises(CorpusError, match=r"2 columns could be the caption: captions.human .*, captions.machine"):
        read_corpus(tmp_path / "x.parquet")
    found = read(caption=[{"text": text, "lang": "zh"} for text in (DOG, CAT)])
    assert list(zip(found["image"], found["caption"], strict=True)) == ONE
