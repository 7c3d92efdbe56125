"""Files of boxes in every layout."""

import gzip
import json

import pytest
from PIL import Image

from caption_tx.data.boxes.flickr30k_entities import head_nouns
from caption_tx.data.boxes.readers import read_boxes
from caption_tx.errors import CorpusError

LINE = {
    "image": "1.jpg",
    "boxes": [{"phrase": "A Dog", "heads": ["Dog"], "category": "animals", "box": [0, 0.5, 1, 1]}],
}

COCO = {
    "images": [{"id": 7, "file_name": "1.jpg", "width": 200, "height": 100}],
    "annotations": [{"image_id": 7, "bbox": [20, 10, 100, 50], "category_id": 3}],
    "categories": [{"id": 3, "name": "tennis racket", "supercategory": "sports"}],
}

LABELME = {
    "imagePath": "..\\photos\\1.jpg", "imageWidth": 200, "imageHeight": 100,
    "shapes": [
        {"label": "狗", "points": [[120, 60], [20, 10]], "shape_type": "rectangle"},
        {"label": "cat", "points": [[20, 10], [120, 10], [70, 60]], "shape_type": "polygon"},
        {"label": "ball", "points": [[50, 50], [50, 60]], "shape_type": "circle"},
    ],
}  # fmt: skip

REGION = {"shape_attributes": {"name": "rect", "x": 20, "y": 10, "width": 100, "height": 50}}
VIA = {"1.jpg123": {"filename": "1.jpg", "regions": [{**REGION, "region_attributes": {"label": "dog"}}]}}

XML = """<annotation><filename>1.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>11</name><name>12</name><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>120</xmax><ymax>60</ymax></bndbox>
</object><object><name>13</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>"""
SENTENCES = """[/EN#11/people A group of young people] stand on [/EN#13/scene a street] .
[/EN#12/people Two men] with [/EN#0/notvisual it] ."""

EXPECTED = (0.1, 0.1, 0.6, 0.6)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_json_lines(tmp_path):
    table = read_boxes(write(tmp_path / "boxes.jsonl", json.dumps(LINE) + "\n\n"))
    [box] = table.images["1.jpg"]
    assert (box.names, box.corners, box.category, box.phrase) == (("dog",), (0, 0.5, 1, 1), "animals", "a dog")
    assert table.summary() == "1 boxes of 1 images: 1 animals"
    (tmp_path / "boxes.jsonl.gz").write_bytes(gzip.compress(json.dumps(LINE).encode()))
    assert read_boxes(tmp_path / "boxes.jsonl.gz").images == table.images


def test_coco_instances(tmp_path):
    [box] = read_boxes(write(tmp_path / "instances.json", COCO)).images["1.jpg"]
    assert box.names == ("tennis racket", "racket")
    assert box.corners == pytest.approx(EXPECTED)
    assert box.category == "sports"


def test_labelme_files_of_a_folder(tmp_path):
    write(tmp_path / "1.json", LABELME)
    boxes = read_boxes(tmp_path).images["1.jpg"]
    assert [box.names for box in boxes] == [("狗",), ("cat",), ("ball",)]
    for box in boxes[:2]:
        assert box.corners == pytest.approx(EXPECTED)
    assert boxes[2].corners == pytest.approx((0.2, 0.4, 0.3, 0.6))


@pytest.mark.parametrize("document", [VIA, {"_via_settings": {}, "_via_img_metadata": VIA}])
def test_via_projects_and_exports(tmp_path, document):
    Image.new("RGB", (200, 100)).save(tmp_path / "1.jpg")
    path = write(tmp_path / "via.json", document)
    [box] = read_boxes(path, str(tmp_path)).images["1.jpg"]
    assert box.names == ("dog",)
    assert box.corners == pytest.approx(EXPECTED)
    with pytest.raises(CorpusError, match=r"name the image folder with images \(--images\)"):
        read_boxes(path)


@pytest.mark.parametrize(
    ("shape", "corners"),
    [
        ({"name": "polygon", "all_points_x": [20, 120, 70], "all_points_y": [10, 10, 60]}, EXPECTED),
        ({"name": "circle", "cx": 50, "cy": 50, "r": 10}, (0.2, 0.4, 0.3, 0.6)),
        ({"name": "ellipse", "cx": 50, "cy": 50, "rx": 10, "ry": 20}, (0.2, 0.3, 0.3, 0.7)),
    ],
)
def test_shapes_of_via_and_attributes_without_a_common_name(tmp_path, shape, corners):
    Image.new("RGB", (200, 100)).save(tmp_path / "1.jpg")
    region = {"shape_attributes": shape, "region_attributes": {"animal": {"dog": True}}}
    path = write(tmp_path / "via.json", {"1": {"filename": "1.jpg", "regions": {"0": region}}})
    [box] = read_boxes(path, str(tmp_path)).images["1.jpg"]
    assert box.names == ("dog",)
    assert box.corners == pytest.approx(corners)


def test_flickr30k_entities(tmp_path):
    for folder in ("Annotations", "Sentences"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "Annotations" / "1.xml", XML)
    write(tmp_path / "Sentences" / "1.txt", SENTENCES)
    boxes = read_boxes(tmp_path).images["1.jpg"]
    assert [(box.names, box.phrase) for box in boxes] == [
        (("people", "group"), "a group of young people"),
        (("men",), "two men"),
    ]
    assert {box.category for box in boxes} == {"people"}
    assert boxes[0].corners == pytest.approx(EXPECTED)


def test_head_nouns():
    assert head_nouns("a T-shirt") == ("t-shirt",)
    assert head_nouns("a body of water") == ("water", "body")
    assert head_nouns("of") == ("of",)
    assert head_nouns("...") == ()


def test_head_nouns_agree_with_those_of_the_real_boxes(shared):
    table = read_boxes(shared / "data/flickr8k/boxes/boxes.val.jsonl.gz")
    boxes = [box for items in table.images.values() for box in items]
    assert len(boxes) > 14_000
    assert sum(set(head_nouns(box.phrase)) == set(box.names) for box in boxes) > 0.98 * len(boxes)


def test_several_files_add_up_and_names_match_without_folder_and_suffix(tmp_path):
    first = write(tmp_path / "a.jsonl", json.dumps(LINE))
    second = write(tmp_path / "b.jsonl", json.dumps(LINE | {"image": "deep/2.png", "boxes": LINE["boxes"] * 2}))
    table = read_boxes([first, second])
    matched = table.match(["photos/1.jpg", "2", "3.jpg"])
    assert {name: len(boxes) for name, boxes in matched.items()} == {"photos/1.jpg": 1, "2": 2}
    assert read_boxes([second, first]).fingerprint() == table.fingerprint() != read_boxes(first).fingerprint()


def test_boxes_without_a_name_or_an_area_are_reported(tmp_path):
    items = [
        {"label": "dog", "box": [-0.5, 0, 0.5, 1]},
        {"label": "dog", "box": [0.5, 0.2, 0.5, 1]},
        {"label": "", "box": [0, 0, 1, 1]},
        {"label": "dog", "box": [-0.005, 0, 0.5, 1]},
    ]
    table = read_boxes(write(tmp_path / "boxes.jsonl", json.dumps({"image": "1.jpg", "boxes": items})))
    assert [box.corners for box in table.images["1.jpg"]] == [(0, 0, 0.5, 1)] * 2
    assert len(table.notes) == 3
    assert all("boxes.jsonl, line 1, box " in note for note in table.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "{", r"a.jsonl, line 1: not JSON"),
        ("a.jsonl", json.dumps({"boxes": []}), r'line 1: expected {"image"'),
        ("a.jsonl", json.dumps({"image": "1", "boxes": {}}), r"line 1: 'boxes' must be a list"),
        ("a.jsonl", json.dumps({"image": "1", "boxes": [{"box": [1, 2, 3]}]}), r"line 1, box 1: expected"),
        ("a.jsonl", json.dumps({"image": "1", "boxes": [{"label": "a", "box": [0, 0, 40, 50]}]}), "not in fractions"),
        ("a.jsonl", json.dumps({"image": "1", "boxes": [{"heads": [1], "box": [0, 0, 1, 1]}]}), "must be texts"),
        ("a.jsonl", "", "has no boxes of images"),
        ("a.json", json.dumps({"images": []}), "has no known layout of boxes"),
        ("a.json", json.dumps(COCO | {"categories": []}), r"a.json, annotation 1: no 3; it needs image_id"),
        ("a.json", json.dumps(COCO | {"images": [{"id": 7, "file_name": "1.jpg"}]}), r"image 1: no 'width'"),
        ("a.json", json.dumps(LABELME | {"imageWidth": None}), "imageWidth and imageHeight"),
        ("a.json", json.dumps(LABELME | {"shapes": [{"label": "a"}]}), r"shape 1: expected a label and points"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    with pytest.raises(CorpusError, match=message):
        read_boxes(write(tmp_path / name, content))


def test_damaged_entities_are_named(tmp_path):
    for folder in ("Annotations", "Sentences"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "Annotations" / "1.xml", XML)
    with pytest.raises(CorpusError, match=r"Cannot read .*Sentences.1.txt"):
        read_boxes(tmp_path)
    write(tmp_path / "Sentences" / "1.txt", SENTENCES)
    write(tmp_path / "Annotations" / "1.xml", XML.replace("<width>200</width>", ""))
    with pytest.raises(CorpusError, match=r"1.xml: not an annotation of Flickr30k Entities"):
        read_boxes(tmp_path)
