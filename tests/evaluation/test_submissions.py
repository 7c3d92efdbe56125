"""Files of predictions in every layout, and which image they mean."""

import json

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.evaluation.image_ids import ImageIds, annotated_numbers
from caption_tx.evaluation.submissions import read_submission
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.search.decode import Caption

NAMES = ["a1.jpg", "b2.jpg", "c3.jpg"]
SAID = {"a1.jpg": "一只狗", "b2.jpg": "two dogs, one ball", "c3.jpg": ""}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def caption(text, rank, finished=True):
    return Caption(text, tuple(text.split()), (5, 6), (-0.5, -0.25), finished, rank, -0.5)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_our_own_files_bring_all_that_they_hold(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with PredictionFile(path, {}, n_best=2) as file:
        file.write("photos/a1.jpg", [caption("一只狗", 0), caption("一只猫", 1)])
        file.write("photos/b2.jpg", [caption("two dogs, one\nball", 0, finished=False)])
        file.write("photos/c3.jpg", ImageError("c3 is empty (0 bytes)."))
    found = read_submission(path, NAMES)
    assert found.captions == {"a1.jpg": "一只狗", "b2.jpg": "two dogs, one\nball"}
    assert found.finished == {"a1.jpg": True, "b2.jpg": False}
    assert found.log_probabilities == {"a1.jpg": -0.75, "b2.jpg": -0.75}
    assert found.unreadable == {"c3.jpg": "c3 is empty (0 bytes)."}
    assert (found.missing, found.surplus) == ((), ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "image,caption\na1.jpg,一只狗\nb2.jpg,two dogs, one ball\nc3.jpg,\n"),
        ("x.csv", 'a1.jpg,一只狗\nb2.jpg,"two dogs, one ball"\nc3.jpg,\n'),
        ("x.csv", 'id,caption,image_id\n1,一只狗,a1\n2,"two dogs, one ball",b2\n3,,c3\n'),
        ("x.tsv", "a1.jpg\t一只狗\n\nb2.jpg\ttwo dogs, one ball\nc3.jpg\t\n"),
        ("x.txt", "photos/a1.jpg\t一只狗\nphotos/b2.jpg\ttwo dogs, one ball\nphotos/c3.jpg\t\n"),
        ("x.json", [{"image_id": name[:2], "caption": text} for name, text in SAID.items()]),
        ("x.json", [{"filename": f"val/{name}", "caption": [text]} for name, text in SAID.items()]),
        ("x.json", SAID),
        ("x.jsonl", "\n".join(json.dumps({"image_id": name, "text": text}) for name, text in SAID.items())),
    ],
)
def test_layouts_of_other_systems(tmp_path, name, content):
    found = read_submission(write(tmp_path / name, content), NAMES)
    assert found.captions == SAID
    assert found.missing == found.surplus == ()


def test_a_table_of_another_program_in_parquet_and_an_old_encoding(tmp_path):
    pd.DataFrame({"image": NAMES, "caption": SAID.values()}).to_parquet(tmp_path / "x.parquet")
    assert read_submission(tmp_path / "x.parquet", NAMES).captions == SAID
    text = "\n".join(f"{name}\t一只白色的狗在绿色的草地上奔跑" for name in NAMES)
    (tmp_path / "x.tsv").write_bytes(text.encode("gb18030"))
    assert read_submission(tmp_path / "x.tsv", NAMES).captions["a1.jpg"] == "一只白色的狗在绿色的草地上奔跑"


@pytest.fixture
def coco(tmp_path):
    """A file of COCO's layout in which the first number is in the second file's name."""
    images = [
        {"id": 7, "file_name": "COCO_val2014_000000000009.jpg"},
        {"id": 9, "file_name": "COCO_val2014_000000000123.jpg"},
    ]
    annotations = [{"image_id": image["id"], "caption": "a dog"} for image in images]
    return write(tmp_path / "captions_val2014.json", {"images": images, "annotations": annotations})


def test_numbers_of_coco_results_are_those_of_the_annotations(coco, tmp_path):
    table = read_corpus(coco)
    names = list(table["image"])
    path = write(tmp_path / "results.json", [{"image_id": 9, "caption": "one"}, {"image_id": 7, "caption": "two"}])
    found = read_submission(path, names, lambda: annotated_numbers(table.attrs["files"]))
    assert found.captions == {"COCO_val2014_000000000123.jpg": "one", "COCO_val2014_000000000009.jpg": "two"}
    # Without annotations a number is that in the name.
    found = read_submission(path, names)
    assert (found.captions, found.surplus) == ({"COCO_val2014_000000000009.jpg": "one"}, ("7",))


def test_numbers_of_a_karpathy_file(tmp_path):
    images = [
        {"filename": f"{name}.jpg", "imgid": number, "split": "val", "sentences": [{"raw": "a dog"}]}
        for number, name in enumerate("pq")
    ]
    path = write(tmp_path / "dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})
    assert annotated_numbers(read_corpus(path).attrs["files"]) == {"0": "p.jpg", "1": "q.jpg"}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("photos/b/1.jpg", "b/1.jpg"),
        ("b/1", "b/1.jpg"),
        ("1.jpg", None),  # of two folders
        ("x.png", "deep/x.png"),
        ("x", "deep/x.png"),
        ("000000000042", "000000000042.jpg"),
        (42, "000000000042.jpg"),
        ("42", "000000000042.jpg"),
        (17, "COCO_train2014_000000000017.jpg"),
        (5, None),  # the digits of a longer name are no number
        ("nothing", None),
    ],
)
def test_names_are_found_by_their_parts_and_never_by_chance(asked, wanted):
    names = ["a/1.jpg", "b/1.jpg", "deep/x.png", "000000000042.jpg", "COCO_train2014_000000000017.jpg", "dog_5.jpg"]
    assert ImageIds(names).find(asked) == wanted


def test_missing_and_surplus_images_are_named(tmp_path):
    path = write(tmp_path / "x.csv", "image,caption\nb2.jpg,a\nz.jpg,b\ny.jpg,c\n")
    found = read_submission(path, NAMES)
    assert (found.captions, found.missing, found.surplus) == (
        {"b2.jpg": "a"},
        ("a1.jpg", "c3.jpg"),
        ("z.jpg", "y.jpg"),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", [{"image_id": "a1"}], r"x\.json, row 1: expected .*image and one caption"),
        ("x.json", [{"image_id": "a1", "caption": ["x", "y"]}], "row 1: expected .*one caption"),
        ("x.json", {"images": [], "annotations": []}, "found a JSON dict with the keys images, annotations"),
        ("x.json", "[{", r"x\.json is not valid JSON"),
        ("x.jsonl", '{"image": "a1.jpg", "caption": "x"}\n{"image": "b2', r"x\.jsonl, line 2: not valid JSON"),
        ("x.jsonl", "[1]", "row 1: expected an object"),
        ("x.csv", "a1.jpg,x\na1.jpg,y\n", r"a1\.jpg has a caption in row 1 and another in row 2"),
        ("x.csv", "image,caption,score\na1.jpg,x\n", r"row 2: 2 fields, expected 3 \(image, caption, score\)"),
        ("x.csv", "z.jpg,x\n", r"no image of the 3 to score \(it names 'z.jpg', the corpus 'a1.jpg'\); check --split"),
        ("x.csv", "", "it is empty"),
        ("x.jsonl", '{"image": "a1", "caption": "x", "log_probability": "low"}', "row 1: log_probability must be"),
        ("x.xml", "", r"must end in .jsonl, .json"),
        ("x.parquet", "no table", r"x\.parquet holds no table"),
    ],
)
def test_what_is_no_submission_is_said_with_its_place(tmp_path, name, content, message):
    with pytest.raises(CaptionTxError, match=message):
        read_submission(write(tmp_path / name, content), NAMES)
    with pytest.raises(CaptionTxError, match=r"gone\.csv"):
        read_submission(tmp_path / "gone.csv", NAMES)


def test_a_number_is_that_of_the_annotations_and_a_text_is_a_name():
    ids = ImageIds(["7.jpg", "12.jpg"], lambda: {"7": "12.jpg", "12": "7.jpg"})
    assert (ids.find(7), ids.find("7"), ids.find("007")) == ("12.jpg", "7.jpg", "12.jpg")
