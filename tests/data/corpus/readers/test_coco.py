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


def without_names(write_pictures, folder, *addresses):
    """A COCO document whose images have addresses instead of names, of which the first name files."""
    names = write_pictures(folder, 3, first=1)
    entries = [
        {"id": at, "license": 1, "license_url": f"http://site.org/licenses/{name}", "width": 9}
        | {key: f"http://site.org/{key}/{name if key == addresses[0] else f'5_{at}_z.jpg'}" for key in addresses}
        for at, name in enumerate(names, 1)
    ]
    return names, {
        "images": entries,
        "annotations": [{"id": at, "image_id": at, "caption": text} for at, text in enumerate((DOG, CAT, GIRL), 1)],
    }


@pytest.mark.parametrize(
    "addresses", [("coco_url", "flickr_url"), ("flickr_url", "coco_url"), ("url",), ("image_link",), ("original_url",)]
)
def test_images_without_names_have_those_in_their_addresses(write, write_pictures, tmp_path, addresses):
    names, document = without_names(write_pictures, tmp_path / "images", *addresses)
    pairs, notes = read(write, document, images=tmp_path / "images")
    assert pairs == list(zip(names, (DOG, CAT, GIRL), strict=True))
    assert notes[f"image names read from the key {addresses[0]!r} of the images, which have no file_name"] == 3
    document["images"][0]["file_name"] = names[0]
    pairs, notes = read(write, document, images=tmp_path / "images")
    assert pairs == list(zip(names, (DOG, CAT, GIRL), strict=True))
    assert notes[f"image names read from the key {addresses[0]!r} of the images, which have no file_name"] == 2


def test_images_with_ids_only_are_named_by_them(write, write_pictures, tmp_path):
    names, document = without_names(write_pictures, tmp_path / "images", "coco_url")
    document["images"] = [{"id": at, "width": 9} for at in range(1, 4)]
    pairs, notes = read(write, document, images=tmp_path / "images")
    assert pairs == list(zip(names, (DOG, CAT, GIRL), strict=True))
    assert notes["image names read from the key 'id' of the images, which have no file_name"] == 3


def test_addresses_are_the_names_without_an_image_folder(write, write_pictures, tmp_path):
    _, document = without_names(write_pictures, tmp_path / "images", "coco_url")
    assert read(write, document)[0][0] == ("http://site.org/coco_url/001.png", DOG)


@pytest.mark.parametrize("keys", [("id", "coco_url"), ("id",)])
def test_the_error_says_that_images_have_no_names(write, write_pictures, tmp_path, keys):
    _, document = without_names(write_pictures, tmp_path / "images", "coco_url")
    document["images"] = [{key: image[key] for key in keys} for image in document["images"]]
    (tmp_path / "others").mkdir()
    with pytest.raises(CorpusError, match=r"x\.json, entry 1: the entry of 'images' with the id '1' has no file_name"):
        read(write, document, images=tmp_path / "others")


def test_images_with_captions_may_have_addresses_only(write, write_pictures, tmp_path):
    names, document = without_names(write_pictures, tmp_path / "images", "coco_url")
    for image, text in zip(document["images"], (DOG, CAT, GIRL), strict=True):
        image["caption"] = text
    document["annotations"] = INSTANCES
    pairs, _ = read(write, document, images=tmp_path / "images")
    assert pairs == list(zip(names, (DOG, CAT, GIRL), strict=True))
