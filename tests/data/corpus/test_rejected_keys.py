"""Keys of a JSON document whose names say that the captions below are rejected."""

import pytest
from corpus_cases import CAT, DOG, GIRL

from caption_tx.data.corpus.table import read_corpus


def entries(image, *captions):
    return [{"file": image, "sentence": caption} for caption in captions]


@pytest.mark.parametrize(("kept", "rejected"), [("kept", "discarded"), ("approved", "rejected"), ("通过", "驳回")])
def test_groups_of_rejected_captions_are_left_out(write, kept, rejected):
    path = write("d.json", {kept: entries("a.jpg", DOG), rejected: entries("a.jpg", CAT, GIRL)})
    read = read_corpus(path)
    assert list(read.caption) == [DOG]
    assert read.attrs["files"][0]["notes"] == {f"captions marked as {rejected}, left out": 2}
    assert [reason for *_, reason in read.attrs["skipped"]] == [f"marked as {rejected}"] * 2
    path = write("d.json", {kept: entries("a.jpg", DOG), rejected: entries("b.jpg", CAT, GIRL)})
    assert list(read_corpus(path, keep_rejected=True).caption) == [DOG, CAT, GIRL]


def test_groups_in_splits_and_alone(write):
    both = {"accepted": entries("a.jpg", DOG), "removed": entries("b.jpg", CAT)}
    document = {"data": {"train": both, "val": {"accepted": entries("c.jpg", GIRL), "removed": entries("d.jpg", CAT)}}}
    read = read_corpus(write("d.json", document))
    assert list(zip(read.image, read.caption, read.split, strict=True)) == [
        ("a.jpg", DOG, "train"),
        ("c.jpg", GIRL, "val"),
    ]
    assert list(read_corpus(write("d.json", {"rejected": entries("a.jpg", DOG)})).caption) == [DOG]
