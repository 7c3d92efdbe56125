"""Rows of a source: what is skipped, what is an error, and when a file is rejected."""

import re

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.rows import SPLIT_NAMES
from caption_tx.data.corpus.sources import read_source
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


def read(path, format=None, **options):
    return read_corpus(Source(str(path), format, **options))


def reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


def test_every_split_name(write):
    for name, split in SPLIT_NAMES.items():
        records = read_source(Source("x"), write("x.csv", f"image,text,subset\na.jpg,cap, {name.upper()}\n"), "csv")
        assert records.splits == [split]


def test_blank_lines_and_empty_captions_are_skipped(write):
    path = write("x.txt", "a.jpg#0\tone\n\n \na.jpg#1\t \na.jpg#2\n")
    skipped = read_corpus(path).attrs["skipped"]
    reasons = ["blank line", "blank line", "no caption", "no caption"]
    assert skipped == [(str(path), line, reason) for line, reason in enumerate(reasons, 2)]


FLICKR_REASON = "not of the form NAME#0 caption"
FLICKR30K_HEADER = "image_name| comment_number| comment\n"
JSONL = '{{"image": "{n}", "text": "one"}}\n'
INVALID_LINES = {
    "flickr8k": ("flickr8k.caption.txt", "", "{n}.jpg#0\tone\n", "nonsense\n", FLICKR_REASON),
    "coco_cn": ("x.txt", "", "COCO_val2014_{n:012d}#0\tone\n", "COCO_val\n", FLICKR_REASON),
    "pairs": ("x.txt", "", "{n}.jpg\tone\n", "{n}.jpg\n", "1 columns, expected 2"),
    "flickr30k": ("x.csv", FLICKR30K_HEADER, "{n}.jpg| 0| one\n", "one\n", "not of the form NAME| number| caption"),
    "csv": ("x.csv", "image,caption,split\n", "{n}.jpg,one,\n", "{n}.jpg,one,two,3\n", "more fields than the header"),
    "csv split": ("x.csv", "image,caption,split\n", "{n}.jpg,one,\n", "{n}.jpg,one,best\n", "unknown split"),
    "tsv": ("x.tsv", "image\tcaption\n", "{n}.jpg\tone\n", "\tone\n", "no image name"),
    "jsonl": ("x.jsonl", "", JSONL, '{{"image": \n', "not valid JSON"),
    "jsonl text": ("x.jsonl", "", JSONL, '{{"image": "a", "text": 7}}\n', "caption is not a string"),
    "jsonl image": ("x.jsonl", "", JSONL, '{{"image": NaN, "text": "x"}}\n', "not an entry of image and captions"),
    "ofa": ("x.tsv", "", "{n}\tid\tone\t\t" + "A" * 100 + "\n", "{n}\tid\tone\t\tno image\n", "not the columns of OFA"),
}


@pytest.mark.parametrize("layout", INVALID_LINES)
def test_few_invalid_lines_are_skipped_and_many_reject_the_file(write, layout):
    name, header, good, bad, reason = INVALID_LINES[layout]
    lines = [good.format(n=index) for index in range(90)]
    wrong = [bad.format(n=index) for index in range(90)]
    table = read(write(name, header + "".join(lines + wrong[:10] + ["\n"] * 300)))
    assert table.attrs["files"][0]["format"] == layout.split()[0]
    assert len(table) == 90
    start = 91 + bool(header)
    assert reasons(table)[:10] == [(start + index, reason) for index in range(10)]
    message = rf"{re.escape(name)}, line {start}: .+ \(11 of 101 lines are invalid\)\.$"
    with pytest.raises(CorpusError, match=message):
        read(write(name, header + "".join(lines + wrong[:11] + ["\n"] * 300)))
    with pytest.raises(CorpusError, match=rf"{re.escape(name)}, line {1 + bool(header)}: "):
        read(write(name, header + wrong[0]), format=layout.split()[0])


VALID_ENTRIES = {
    "ai_challenger": {"image_id": "a.jpg", "caption": ["one", "two"]},
    "coco": {"image_id": 1, "caption": "one"},
    "karpathy": {"filename": "a.jpg", "sentences": [{"raw": "one"}], "split": "train"},
}
INVALID_ENTRIES = [
    ("ai_challenger", 7, "not an entry of image and captions"),
    ("ai_challenger", {"caption": "a dog"}, "not an entry of image and captions"),
    ("ai_challenger", {"image_id": "a", "caption": {}}, "caption is not a string"),
    ("ai_challenger", {"image_id": "a", "caption": ["x", 7]}, "caption is not a string"),
    ("ai_challenger", {"image_id": "a\0", "caption": "x"}, "no image name"),
    ("ai_challenger", {"image_id": "\ud800", "caption": "x"}, "no image name"),
    ("coco", {"image_id": 2, "caption": "x"}, "unknown image id"),
    ("coco", {"image_id": 3, "caption": "x"}, "image without a file_name"),
    ("coco", {"image_id": {}, "caption": "x"}, "not an annotation"),
    ("coco", 7, "not an annotation"),
    ("karpathy", {"filename": {}, "sentences": []}, "not an entry of filename and sentences"),
    ("karpathy", {"filename": "a", "sentences": [{"tokens": [1]}]}, "sentence without text"),
    ("karpathy", {"filename": "a", "sentences": ["x"], "split": 7}, "unknown split"),
]


@pytest.mark.parametrize(("format", "bad", "reason"), INVALID_ENTRIES)
def test_few_invalid_entries_are_skipped_and_many_reject_the_file(write, format, bad, reason):
    def make(entries):
        images = [{"id": 1, "file_name": "a"}, {"id": 3}, {"id": [1], "file_name": "b"}, 7]
        coco = {"images": images, "annotations": entries}
        return {"ai_challenger": entries, "coco": coco, "karpathy": {"images": entries}}[format]

    good = VALID_ENTRIES[format]
    table = read(write("x.json", make([good] * 90 + [bad] * 10)))
    assert table.attrs["files"][0]["format"] == format
    assert table.line.nunique() >= 90
    assert reasons(table) == [(91 + index, reason) for index in range(10)]
    with pytest.raises(CorpusError, match=r"x\.json, entry 91: .+ \(11 of 101 entries are invalid\)\.$"):
        read(write("x.json", make([good] * 90 + [bad] * 11)))


def test_wrong_format_is_rejected_early(write, monkeypatch):
    monkeypatch.setattr("caption_tx.data.corpus.rows._EARLY_CHECK", 50)
    with pytest.raises(CorpusError, match=r"line 1: .*\(51 of 51 lines are invalid\)"):
        read(write("x.txt", "nonsense\n" * 10_000), "flickr8k")


def test_undecodable_lines_are_errors(write):
    lines = [f"{index}.jpg#zhc#0 一只狗\n".encode() for index in range(90)]
    table = read(write("x.txt", b"".join(lines + [b"\xb9\xb7\n"] * 10)))
    assert reasons(table) == [(91 + index, "not UTF-8 (byte 0xb9)") for index in range(10)]
    path = write("x.txt", b"".join(lines + [b"\xff\n"] * 11))
    with pytest.raises(CorpusError, match=r"x\.txt, line 91: not UTF-8 \(byte 0xff\); fix the line, or name the enc"):
        read(path, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.csv",
            "image,描述\na.jpg,\nb.jpg,无\n",
            r"2 lines skipped: 1 no caption, 1 no caption \('无'\)\); .*the column '描述'",
        ),
        (
            "x.json",
            '[{"image": "a.jpg", "text": ""}, {"image": "b.jpg", "text": ""}]',
            r"skipped: 2 no caption\); .*the key 'text'",
        ),
        (
            "x.jsonl",
            '{"image": "a.jpg", "caption_1": "", "caption_2": ""}\n',
            "the key 'caption_1, caption_2'; fill it in, or",
        ),
    ],
)
def test_a_file_without_captions_names_their_empty_column(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"no captions found \(.*" + message):
        read_corpus(tmp_path / name)
