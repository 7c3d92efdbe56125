"""COCO documents whose images have captions themselves, beside annotations of any kind."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CATEGORIES = [{"id": 1, "name": "dog", "supercategory": "animal"}]
INSTANCES = [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0}]
KEYPOINTS = [INSTANCES[0] | {"keypoints": [1, 1, 2], "num_keypoints": 1}]
CAPTIONS = [{"id": 8, "image_id": 1, "caption": GIRL}, {"id": 9, "image_id": 2, "caption": CAT}]


def images(key, make):
    return [
        {"id": at, "file_name": name, "width": 9, "license": 1, key: make(text)}
        for at, (name, text) in enumerate(ONE, 1)
    ]


def read(write, document, **options):
    corpus = read_corpus(write("x.json", document), **options)
    return list(zip(corpus["image"], corpus["caption"], strict=True)), corpus.attrs["files"][0]["notes"]


@pytest.mark.parametrize("others", [INSTANCES, KEYPOINTS, [], None], ids=["boxes", "keypoints", "empty", "none"])
@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("caption", str),
        ("captions", lambda text: [text]),
        ("captions", lambda text: [{"caption": text}]),
        ("description", str),
        ("sentences", lambda text: [{"raw": text}]),
        ("sentences", lambda text: [text]),
    ],
)
def test_captions_of_the_images(write, key, make, others):
    document = {"info": {"year": 2025}, "categories": CATEGORIES, "images": images(key, make)}
    if others is not None:
        document["annotations"] = others
    found, notes = read(write, document)
    assert found == ONE
    assert notes[f"captions read from the key {key!r} of the images"] == 2
    unread = "info, categories" + ", annotations" * (others is not None)
    assert f"keys not read ({unread})" in notes


def test_captions_of_images_by_id(write):
    by_id = {
        str(item["id"]): {"file_name": item["file_name"], "caption": item["caption"]} for item in images("caption", str)
    }
    found, notes = read(write, {"images": by_id, "annotations": INSTANCES})
    assert (found, notes["captions read from the key 'caption' of the images"]) == (ONE, 2)


def test_captions_of_annotations_win(write):
    found, notes = read(write, {"images": images("description", str), "annotations": CAPTIONS})
    assert [caption for _, caption in found] == [GIRL, CAT]
    assert notes == {
        "captions read from the key 'caption' of the annotations, not from the key 'description' of the images": 2
    }
    document = {"images": images("caption", str), "annotations": [entry | {"caption": ""} for entry in CAPTIONS]}
    found, _ = read(write, document)  # empty ones are none
    assert found == ONE
    document = {"images": images("caption", str), "annotations": [INSTANCES[0] | {"text": "words on a sign"}]}
    assert read(write, document)[0] == ONE  # texts in boxes are none
    document = {"images": images("说明", str), "annotations": CAPTIONS}
    assert read(write, document, caption_column=["说明"])[0] == ONE


def test_images_without_captions_change_nothing(write):
    plain = {"images": images("coco_url", lambda text: "http://x/a.jpg"), "annotations": CAPTIONS}
    found, notes = read(write, plain)
    assert ([caption for _, caption in found], notes) == ([GIRL, CAT], {})
    vizwiz = {"images": images("text_detected", lambda text: True), "annotations": CAPTIONS}
    assert read(write, vizwiz)[1] == {}
    with pytest.raises(CorpusError, match="has annotations of object instances, not captions"):
        read(write, {"images": plain["images"], "annotations": INSTANCES})


def test_captions_of_images_in_two_languages(write):
    two = [image | {"caption_en": "a dog"} for image in images("caption_zh", str)]
    with pytest.raises(CorpusError, match=r"2 keys could be the caption: caption_zh .*caption_en"):
        read(write, {"images": two, "annotations": INSTANCES})
    found, notes = read(write, {"images": two, "annotations": INSTANCES}, caption_column=["caption_zh"])
    assert found == ONE
    assert "captions read from the key 'caption_zh' of the images" in notes
    assert DOG in dict(found).values()
