"""Entries without a caption in files whose other entries have one: other texts are no captions."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CAPTIONS = ["一只狗在跑", "两只猫在睡觉", "两个人在走路", "一辆车停在路边", "孩子在吃饭", "老人在看报"]
NAMES = [f"{index}.jpg" for index in range(len(CAPTIONS))]
TIMEOUT, BLURRED = "The request timed out, please retry.", "图片模糊，无法描述"
UNREAD = "entries without a caption that have other keys with text, which are not read"


def _entries(key="caption", **others):
    return [{"image": name, key: text, **others} for name, text in zip(NAMES, CAPTIONS, strict=True)]


def _read(write, entries, lines=True, **options):
    text = "\n".join(map(json.dumps, entries)) if lines else json.dumps(entries)
    return read_corpus(write("x.jsonl" if lines else "x.json", text), **options)


def _reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


def _notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    ("key", "failed"),
    [
        ("caption", {"error": TIMEOUT}),
        ("caption", {"reason": BLURRED}),
        ("caption", {"caption_note": BLURRED}),
        ("caption", {"metadata": {"caption_error": TIMEOUT}}),
        ("描述", {"备注": BLURRED}),
        ("描述", {"描述备注": BLURRED}),
        ("title", {"备注": BLURRED}),
        ("caption_zh", {"caption_zh_problem": BLURRED}),
        ("utterance", {"error": TIMEOUT}),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_other_texts_are_no_captions(write, lines, key, failed, place):
    entries = _entries(key)
    entries[place:place] = [{"image": "x.jpg", **failed}]
    table = _read(write, entries, lines)
    assert list(table["image"]) == NAMES
    assert list(table["caption"]) == CAPTIONS
    assert _reasons(table) == [(place + 1, "no caption")]
    [note] = [text for text in _notes(table) if text.startswith(UNREAD)]
    assert next(iter(failed)) in note


def test_keys_are_named_once(write):
    failed = [{"image": f"x{index}.jpg", "error" if index % 2 else "reason": TIMEOUT} for index in range(4)]
    assert _notes(_read(write, _entries() + failed)) == {f"{UNREAD} (reason, error)": 4}


@pytest.mark.parametrize("lines", [True, False])
def test_keys_about_captions_of_all_entries(write, lines):
    table = _read(write, [*_entries(描述人="张三"), {"image": "x.jpg", "描述人": "李四"}], lines)
    assert list(table["caption"]) == CAPTIONS
    assert _reasons(table) == [(7, "no caption")]
    table = _read(write, [*_entries("描述", 描述人="张三"), {"image": "x.jpg", "描述人": "李四"}], lines)
    assert list(table["caption"]) == CAPTIONS


@pytest.mark.parametrize("wrap", [lambda entries: {"data": entries}, lambda entries: {"train": entries}])
def test_entries_below_a_key(write, wrap):
    path = write("x.json", json.dumps(wrap([*_entries(), {"image": "x.jpg", "error": TIMEOUT}])))
    assert list(read_corpus(path)["caption"]) == CAPTIONS


def test_entries_by_name_and_by_id(write):
    by_name = {entry["image"]: {"caption": entry["caption"]} for entry in _entries()} | {"x.jpg": {"error": TIMEOUT}}
    assert list(read_corpus(write("x.json", json.dumps(by_name)))["caption"]) == CAPTIONS
    by_id = {entry["image"]: {f"-N{entry['image'][0]}a": {"text": entry["caption"]}} for entry in _entries()}
    by_id |= {"x.jpg": {"-N7x": {"text_note": BLURRED}}}
    table = read_corpus(write("y.json", json.dumps(by_id)))
    assert list(table["caption"]) == CAPTIONS
    assert [reason for _, reason in _reasons(table)] == ["no caption"]


def test_usual_names_are_read_side_by_side(write):
    entries = _entries()[:3] + _entries("text")[3:]
    assert list(_read(write, entries)["caption"]) == CAPTIONS
    entries = _entries("caption_zh")[:3] + _entries("caption_en")[3:]
    assert list(_read(write, entries)["caption"]) == CAPTIONS


def test_most_entries_failed_and_come_first(write):
    failed = [{"image": f"x{index}.jpg", "error": f"timeout after {index} seconds"} for index in range(200)]
    table = _read(write, failed + _entries())
    assert list(table["caption"]) == CAPTIONS
    assert _notes(table)[f"{UNREAD} (error)"] == 200


@pytest.mark.parametrize("lines", [True, False])
def test_named_captions_may_be_missing(write, lines):
    entries = [{"image": "x.jpg", "error": TIMEOUT}, *_entries()]
    table = _read(write, entries, lines, caption_column=["caption"])
    assert list(table["caption"]) == CAPTIONS
    assert _reasons(table) == [(1, "no caption")]
    both = _read(write, entries, lines, caption_column=["caption", "error"])
    assert list(both["caption"]) == [TIMEOUT, *CAPTIONS]
    with pytest.raises(CorpusError, match="no key is named 'captino'"):
        _read(write, entries, lines, caption_column=["captino"])


def test_output_of_ground_truth(write):
    def line(name, text, **metadata):
        metadata = {"type": "groundtruth/custom", "job-name": "wh-caption-job", "human-annotated": "yes", **metadata}
        label = {} if text is None else {"wh-caption-job": text}
        return {"source-ref": f"s3://bucket/{name}", **label, "wh-caption-job-metadata": metadata}

    entries = [line(*pair) for pair in zip(NAMES, CAPTIONS, strict=True)]
    entries.insert(2, line("x.jpg", None, **{"failure-reason": "ClientError: The task did not receive any responses."}))
    for options in ({}, {"caption_column": ["wh-caption-job"]}):
        table = _read(write, entries, **options)
        assert list(table["image"]) == [f"s3://bucket/{name}" for name in NAMES]
        assert list(table["caption"]) == CAPTIONS
        assert _reasons(table) == [(3, "no caption")]
        assert _notes(table)["captions read from the labels of SageMaker Ground Truth"] == len(CAPTIONS)
