"""JSON lists, documents and lines."""

import json

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


def read(path, format=None, **options):
    return read_corpus(Source(str(path), format, **options))


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


def test_empty_and_invalid_captions_are_skipped(write):
    entries = [
        {"url": "http://x/1", "image_id": "aa.jpg", "caption": ["一个男人", "一位男士", "", "男人在走", "走路的人"]},
        {"url": "http://x/2", "image_id": "bb.jpg", "caption": ["两个女人", "\ud800"]},
        {"url": "http://x/3", "image_id": "cc.jpg", "caption": []},
    ]
    path = write("caption_train_annotations.json", entries)
    table = read_corpus(path)
    assert rows(table, "image", "caption", "line")[3:] == [("aa.jpg", "走路的人", 1), ("bb.jpg", "两个女人", 2)]
    source = str(path)
    assert table.attrs["skipped"] == [
        (source, 1, "no caption"),
        (source, 2, "not valid Unicode"),
        (source, 3, "no caption"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, ", r"x\.json is not valid JSON: Expecting value: line 1 column 5"),
        ("[" * 100_000, r"x\.json is not valid JSON"),
        ('{"a":' * 100_000, r"x\.json is not valid JSON"),
        ("[1" + "0" * 10_000 + "]", r"x\.json is not valid JSON: Exceeds the limit"),
        ("{}", r"x\.json: expected .*a list of .*found the keys ''"),
        ('{"images": 7, "annotations": []}', r"x\.json: expected .*found the keys 'images, annotations'"),
        (b'["\xff\xff\xff"', r"x\.json, line 1: not UTF-8"),
        ("7", r"x\.json: expected a list of .*found a JSON int"),
    ],
)
def test_invalid_documents_are_rejected(write, content, message):
    path = write("x.json", content)
    format = "coco" if "images" in str(content) else "ai_challenger"
    with pytest.raises(CorpusError, match=message):
        read(path, format)
    with pytest.raises(CorpusError, match=r"x\.json"):
        read(path, "karpathy")
    with pytest.raises(CorpusError, match=r"x\.json"):
        read(path)


def test_damaged_byte_in_a_document_costs_one_caption(write):
    entries = [{"image_id": f"{index}.jpg", "caption": ["一只狗在草地上跑"]} for index in range(50)]
    data = json.dumps(entries, ensure_ascii=False).encode().replace("狗".encode(), b"\xe7", 1)
    table = read(write("x.json", data))
    assert len(table) == 49
    assert reasons(table) == [(1, "not valid Unicode")]


def test_numeric_image_ids_become_text(write):
    lines = [f'{{"image_id": {value}, "text": "x"}}\n' for value in ("7", "8.0", "12345678901234567890123")]
    invalid = [
        f'{{"image_id": {value}, "text": "x"}}\n' for value in ("true", "1e999", "-Infinity", "8.5", "null", "{}", "[]")
    ]
    table = read(write("x.jsonl", "".join(lines * 30 + invalid)))
    assert sorted(set(table.image)) == ["12345678901234567890123", "7", "8"]
    assert len(reasons(table)) == 7


def test_file_of_images_without_captions(write):
    with pytest.raises(
        CorpusError, match=r"IC_test\.jsonl: no captions found \(2 lines skipped: 2 no caption\); check the file"
    ):
        read(write("IC_test.jsonl", '{"image_id": "a"}\n{"image_id": "b"}\n'))


def test_captions_below_one_numbered_key_or_raw(write):
    entries = [
        {"image": "a.jpg", "captions": {"worker_0": "一只狗在跑"}},
        {"image": "b.jpg", "captions": {"worker_0": "两只猫在睡觉", "worker_1": "一个女孩在跳舞"}},
    ]
    expected = [("a.jpg", "一只狗在跑"), ("b.jpg", "两只猫在睡觉"), ("b.jpg", "一个女孩在跳舞")]
    assert rows(read_corpus(write("x.json", entries)), "image", "caption") == expected
    document = {name: [{"raw": text, "sentid": 1}] for name, text in expected[:2]}
    assert rows(read_corpus(write("y.json", document)), "image", "caption") == expected[:2]


RECORDS = [
    {"number": "1", "image": "a.jpg", "subset": "训练集", "captions": [{"lang": "zh", "text": "一只狗在跑"}]},
    {"number": "2", "image": "b.jpg", "subset": "测试集", "captions": [{"lang": "zh", "text": "两只猫在睡觉"}]},
]


@pytest.mark.parametrize(
    ("document", "unread"),
    [
        ({"museum": "某馆", "exported": "2024-05-11", "items": RECORDS}, "museum, exported"),
        ({"a": "b", "c": 3, "d": None, "e": True, "items": RECORDS}, "a, c, d, e"),
        ({"a": "b", "c": "d", "e": "f", "g": "h", "data": {"items": RECORDS}}, "a, c, e, g"),
        ({"site": {"museum": "某馆", "curator": "陈某", "city": "北京"}, "items": RECORDS}, "site"),
        (
            {"result": {"项目": "某馆", "导出": "我", "结果": RECORDS, "tags": ["街景"]}},
            "result.项目, result.导出, result.tags",
        ),
    ],
)
def test_texts_beside_records_are_about_the_file(write, document, unread):
    table = read_corpus(write("x.json", document))
    assert list(zip(table["image"], table["caption"], table["split"], strict=True)) == [
        ("a.jpg", "一只狗在跑", "train"),
        ("b.jpg", "两只猫在睡觉", "test"),
    ]
    assert f"keys not read ({unread})" in table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(("key", "split"), [("holdout", "test"), ("held-out", "test"), ("extra", None)])
def test_keys_beside_splits(write, key, split):
    images = {name: {f"{name}{number}.png": ["一只狗在草地上跑"] for number in range(3)} for name in ("a", "b")}
    table = read(write("x.json", {"training": images["a"], key: images["b"]}))
    splits = dict(zip(table.image, table.split, strict=True))
    assert splits["a0.png"] == splits["a1.png"] == splits["a2.png"] == "train"
    assert split is None or {splits[f"b{number}.png"] for number in range(3)} == {split}
    note = f"keys beside splits that are none ({key}), split by the seed; use train, val or test"
    assert (note in table.attrs["files"][0]["notes"]) == (split is None)
