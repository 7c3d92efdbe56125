"""Finding images by name, part of a name, or id."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.evaluation.image_ids import ImageIds, load_annotated_ids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("photos/b/1.jpg", "b/1.jpg"),
        ("b/1", "b/1.jpg"),
        ("1.jpg", None),  # ambiguous: in two folders
        ("x.png", "deep/x.png"),
        ("x", "deep/x.png"),
        ("000000000042", "000000000042.jpg"),
        (42, "000000000042.jpg"),
        ("42", "000000000042.jpg"),
        (17, "COCO_train2014_000000000017.jpg"),
        (5, None),  # digits within a longer name are not an id
        ("nothing", None),
    ],
)
def test_names_match_by_their_parts(query, expected):
    names = ["a/1.jpg", "b/1.jpg", "deep/x.png", "000000000042.jpg", "COCO_train2014_000000000017.jpg", "dog_5.jpg"]
    assert ImageIds(names).find(query) == expected


def test_integers_are_ids_and_text_is_a_name():
    ids = ImageIds(["7.jpg", "12.jpg"], lambda: {"7": "12.jpg", "12": "7.jpg"})
    assert (ids.find(7), ids.find("7"), ids.find("007")) == ("12.jpg", "7.jpg", "12.jpg")


def test_ids_of_a_karpathy_file(tmp_path):
    images = [
        {"filename": f"{name}.jpg", "imgid": image_id, "split": "val", "sentences": [{"raw": "a dog"}]}
        for image_id, name in enumerate("pq")
    ]
    path = tmp_path / "dataset_flickr8k.json"
    path.write_text(json.dumps({"images": images, "dataset": "flickr8k"}), encoding="utf-8")
    assert load_annotated_ids(read_corpus(path).attrs["files"]) == {"0": "p.jpg", "1": "q.jpg"}
