"""Folders that name columns and values, as Hive and Spark write them, and files that are called rejected."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


def notes_of(read):
    return [file["notes"] for file in read.attrs["files"]]


@pytest.fixture
def partitions(write, tmp_path):
    """A folder of partitions for two splits, of which one has rejected captions."""
    write("out/_SUCCESS", "")
    write("out/split=train/review=approved/part-0.csv", "image,caption\na.jpg,a red dog\nb.jpg,a red cat\n")
    write("out/split=val/review=approved/part-0.csv", "image,caption\nc.jpg,a red cow\n")
    write("out/split=val/review=rejected/part-0.csv", "image,caption\nd.jpg,x y\n")
    return tmp_path / "out"


def test_partitions_tell_splits_and_marks(partitions):
    read = read_corpus(partitions, val_fraction=0.5)
    assert dict(zip(read.image, read.split, strict=True)) == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val"}
    approved = "captions in a folder that does not reject them (review=approved), read"
    assert notes_of(read) == [
        {approved: 2, "images in split 'train', as the file name says (:split= overrides it)": 2},
        {approved: 1, "images in split 'val', as the file name says (:split= overrides it)": 1},
        {"captions marked as rejected, left out": 1},
    ]
    paths = sorted(partitions.rglob("*.csv"))
    assert read_corpus(paths).equals(read)
    kept = read_corpus(partitions, keep_rejected=True)
    assert list(kept.image) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert notes_of(kept)[2] == {
        "captions marked as rejected, kept": 1,
        "images in split 'val', as the file name says (:split= overrides it)": 1,
    }


def test_a_folder_of_rejected_captions_alone_is_rejected(partitions):
    with pytest.raises(CorpusError, match=r"part-0\.csv: no captions found .*1 marked as rejected.*--keep-rejected"):
        read_corpus(partitions / "split=val" / "review=rejected")


def test_origins_and_other_partitions_are_reported(write, tmp_path):
    write("out/date=2026-01-02/source=gpt-4o/part-0.jsonl", {"image": "a.jpg", "caption": "a red dog"})
    write("out/date=2026-01-02/source=gpt-4o/part-1.jsonl", {"image": "b.jpg", "caption": "a red cat"})
    read = read_corpus(tmp_path / "out")
    assert list(read.origin) == ["machine", "machine"]
    assert notes_of(read)[0] == {
        "captions in a folder whose name is not read as a column (date=2026-01-02)": 1,
        "captions whose folder says who wrote them (source=gpt-4o)": 1,
    }


def test_files_called_rejected_are_named(write):
    rows = "image,caption\n{0}1.jpg,a red dog\n{0}2.jpg,a red cat\n"
    good, bad = write("approved/metadata.csv", rows.format("a")), write("rejected/metadata.csv", rows.format("b"))
    note = {"captions of a file or folder called 'rejected', read; leave it out if they are rejected": 2}
    assert notes_of(read_corpus([good, bad])) == [{}, note]
    assert notes_of(read_corpus([good, write("rejected.csv", rows.format("c"))])) == [{}, note]
    assert notes_of(read_corpus(bad)) == [{}]
