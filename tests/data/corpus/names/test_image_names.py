"""Image names: suffixes, folders, and the names of COCO."""

import os

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.names.image_names import canonical_name, join_prefix, stem
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val2014/COCO_val2014_000000000042.jpg", "COCO_val2014_000000000042"),
        ("COCO_train2014_000000000042", "COCO_train2014_000000000042"),
        ("val2014/COCO_val2014_42.jpg", "val2014/COCO_val2014_42.jpg"),
        ("photos/a.jpg", "photos/a.jpg"),
    ],
)
def test_canonical_name(name, expected):
    assert canonical_name(name) == expected


def test_stem_removes_image_suffixes_only():
    assert [stem(name) for name in ("a.jpg", "b.PNG", "c.jpg.1", "d.txt", "e")] == ["a", "b", "c.jpg.1", "d.txt", "e"]


def test_join_prefix_normalizes_paths():
    assert join_prefix("sub/", "./a//b.jpg") == "sub/a/b.jpg"
    assert join_prefix("", "a.jpg") == "a.jpg"
    assert join_prefix("", "gs://bucket//a.jpg") == "gs://bucket//a.jpg"


def test_names_are_completed_from_the_image_folder(write, photos):
    names = ("1", "2", "3", "4", "sub/4", "1.jpg", "7", "gone", "./sub//4", "COCO_train2014_000000000042")
    lines = "".join(f"{name}\tx{'yz' * at}\n" for at, name in enumerate(names))
    table = read_corpus(write("a.txt", lines), images=photos)
    named = ["1.jpg", "2.PNG", "3", "4", "sub/4.webp", "1.jpg", "7", "gone", "sub/4.webp"]
    assert list(table.image) == [*named, "train2014/COCO_train2014_000000000042.jpg"]
    notes = table.attrs["files"][0]["notes"]
    assert notes.pop("image names completed") == 4
    (lost,) = notes.items()
    assert lost == (f"image names without a file in {photos} (such as '3', is ambiguous)", 3)
    coco = write("coco.txt", "COCO_train2014_000000000042#0\ty\nCOCO_val2014_000000000042#0\tz\n")
    assert list(read_corpus(coco, images=photos).image) == [
        "train2014/COCO_train2014_000000000042.jpg",
        "COCO_val2014_000000000042.jpg",
    ]


def test_names_are_relative_to_the_prefix_of_their_source(write, photos):
    path = write("a.txt", "4\tx\n")
    assert list(read_corpus(f"{path}:images=sub", images=photos).image) == ["sub/4.webp"]
    assert list(read_corpus(f"{path}:images=sub/", images=photos).image) == ["sub/4.webp"]
    assert list(read_corpus(f"{path}:images=gone", images=photos).image) == ["gone/4"]
    assert list(read_corpus(f"{path}:images=photos.tsv", images=photos).image) == ["photos.tsv/4"]


@pytest.mark.parametrize("images", ["gs://bucket/photos", "photos.tsv", None])
def test_names_are_completed_from_the_corpus_without_a_folder(write, images):
    first, second = write("a.txt", "1\tx\n2\tx\n"), write("b.txt", "1.jpg\ty\n3.jpg\ty\n2.jpg\ty\n2.png\ty\n")
    table = read_corpus([first, second], images=images)
    assert list(table.image) == ["1.jpg", "2", "1.jpg", "3.jpg", "2.jpg", "2.png"]


def test_each_image_folder_is_listed_once(write, photos, monkeypatch):
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    text = "".join(f"{index % 3}/{index}\tx\nCOCO_val2014_{index:012d}\tx\n" for index in range(300))
    read_corpus(write("a.txt", text), images=photos)
    assert len(listed) == 5


@pytest.mark.parametrize("images", [None, "gs://bucket/coco"])
def test_coco_names_with_and_without_a_folder_are_one_image(write, images):
    ids = range(1, 41)
    karpathy = [
        {"filepath": "val2014", "filename": f"COCO_val2014_{n:012d}.jpg", "sentences": [{"raw": "a dog"}]} for n in ids
    ]
    paths = [
        write("karpathy.json", {"images": karpathy, "dataset": "coco"}),
        write("cn.txt", "".join(f"COCO_val2014_{n:012d}#0\t一只狗\n" for n in ids)),
    ]
    table = read_corpus(paths, val_fraction=0.3, test_fraction=0.3, images=images)
    assert set(table.image) == {f"val2014/COCO_val2014_{n:012d}.jpg" for n in ids}
    assert (table.groupby("image")["split"].nunique() == 1).all()
    assert table["split"].nunique() == 3


FOLDERS = ("val2014", "coco/val2014", "")


def test_coco_image_has_one_split_in_all_folders(write):
    lines = [write(f"{n}.txt", "".join(f"COCO_val2014_{n:012d}.jpg\tx\n" for n in range(60))) for n in range(3)]
    sources = [Source(str(path), images=folder) for path, folder in zip(lines, FOLDERS, strict=True)]
    table = read_corpus(sources, val_fraction=0.3, test_fraction=0.3)
    assert table.image.nunique() == 180
    splits = table.groupby(table.image.str.rpartition("/")[2])["split"]
    assert (splits.nunique() == 1).all()
    alone = read_corpus(sources[2], val_fraction=0.3, test_fraction=0.3)
    assert alone.set_index("image")["split"].to_dict() == splits.first().to_dict()


def test_coco_image_in_two_splits_is_rejected(write):
    name = "COCO_val2014_000000000042.jpg"
    a = write("a.csv", f"image,caption,split\nx/{name},a,train\n")
    b = write("b.csv", f"image,caption,split\ny/{name},b,test\n")
    with pytest.raises(CorpusError, match=r"b\.csv, line 2: COCO_val2014_000000000042 is in test here but in train"):
        read_corpus([a, b])
