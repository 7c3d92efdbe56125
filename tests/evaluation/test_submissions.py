"""Predictions files of every layout."""

import json

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.evaluation.image_ids import load_annotated_ids
from caption_tx.evaluation.submissions import read_submission
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.search.caption import Caption

NAMES = ["a1.jpg", "b2.jpg", "c3.jpg"]
CAPTIONS = {"a1.jpg": "一只狗", "b2.jpg": "two dogs, one ball", "c3.jpg": ""}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def caption(text, rank, finished=True):
    return Caption(text, tuple(text.split()), (5, 6), (-0.5, -0.25), finished, rank, -0.5)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_files_of_caption_tx_are_read_completely(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with PredictionFile(path, {}, n_best=2) as file:
        file.write("photos/a1.jpg", [caption("一只狗", 0), caption("一只猫", 1)])
        file.write("photos/b2.jpg", [caption("two dogs, one\nball", 0, finished=False)])
        file.write("photos/c3.jpg", ImageError("c3 is empty (0 bytes)."))
    predictions = read_submission(path, NAMES)
    assert predictions.captions == {"a1.jpg": "一只狗", "b2.jpg": "two dogs, one\nball"}
    assert predictions.finished == {"a1.jpg": True, "b2.jpg": False}
    assert predictions.log_probabilities == {"a1.jpg": -0.75, "b2.jpg": -0.75}
    assert predictions.unreadable == {"c3.jpg": "c3 is empty (0 bytes)."}
    assert (predictions.missing, predictions.unexpected) == ((), ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "image,caption\na1.jpg,一只狗\nb2.jpg,two dogs, one ball\nc3.jpg,\n"),
        ("x.csv", 'a1.jpg,一只狗\nb2.jpg,"two dogs, one ball"\nc3.jpg,\n'),
        ("x.csv", 'id,caption,image_id\n1,一只狗,a1\n2,"two dogs, one ball",b2\n3,,c3\n'),
        ("x.tsv", "a1.jpg\t一只狗\n\nb2.jpg\ttwo dogs, one ball\nc3.jpg\t\n"),
        ("x.txt", "photos/a1.jpg\t一只狗\nphotos/b2.jpg\ttwo dogs, one ball\nphotos/c3.jpg\t\n"),
        ("x.json", [{"image_id": name[:2], "caption": text} for name, text in CAPTIONS.items()]),
        ("x.json", [{"filename": f"val/{name}", "caption": [text]} for name, text in CAPTIONS.items()]),
        ("x.json", CAPTIONS),
        ("x.json", {name: [text] for name, text in CAPTIONS.items()}),
        ("x.json", {name: {"caption": text, "score": 0.5} for name, text in CAPTIONS.items()}),
        ("x.json", {"model": "m", "results": [{"img": name, "text": text} for name, text in CAPTIONS.items()]}),
        ("x.csv", "图片;描述\na1.jpg;一只狗\nb2.jpg;two dogs, one ball\nc3.jpg;\n"),
        ("x.csv", "a1.jpg|一只狗\nb2.jpg|two dogs, one ball\nc3.jpg|\n"),
        ("x.csv", "sep=;\nfile;caption_zh\na1.jpg;一只狗\nb2.jpg;two dogs, one ball\nc3.jpg;\n"),
        ("x.csv", 'caption,photo_id,seconds\n一只狗,a1,1\n"two dogs, one ball",b2,2\n,c3,3\n'),
        ("x.csv", "a1,一只狗\nb2,two dogs, one ball\nc3,\n"),
        ("x.jsonl", "\n".join(json.dumps({"image_id": name, "text": text}) for name, text in CAPTIONS.items())),
    ],
)
def test_layouts_of_other_systems(tmp_path, name, content):
    predictions = read_submission(write(tmp_path / name, content), NAMES)
    assert predictions.captions == CAPTIONS
    assert predictions.missing == predictions.unexpected == ()


def test_parquet_tables_and_legacy_encodings(tmp_path):
    pd.DataFrame({"image": NAMES, "caption": CAPTIONS.values()}).to_parquet(tmp_path / "x.parquet")
    assert read_submission(tmp_path / "x.parquet", NAMES).captions == CAPTIONS
    text = "\n".join(f"{name}\t一只白色的狗在绿色的草地上奔跑" for name in NAMES)
    (tmp_path / "x.tsv").write_bytes(text.encode("gb18030"))
    assert read_submission(tmp_path / "x.tsv", NAMES).captions["a1.jpg"] == "一只白色的狗在绿色的草地上奔跑"


@pytest.fixture
def coco(tmp_path):
    """A COCO annotation file in which the id of the first image is the number in the name of the second."""
    images = [
        {"id": 7, "file_name": "COCO_val2014_000000000009.jpg"},
        {"id": 9, "file_name": "COCO_val2014_000000000123.jpg"},
    ]
    annotations = [{"image_id": image["id"], "caption": "a dog"} for image in images]
    return write(tmp_path / "captions_val2014.json", {"images": images, "annotations": annotations})


def test_ids_in_coco_results_come_from_the_annotations(coco, tmp_path):
    table = read_corpus(coco)
    names = list(table["image"])
    path = write(tmp_path / "results.json", [{"image_id": 9, "caption": "one"}, {"image_id": 7, "caption": "two"}])
    predictions = read_submission(path, names, lambda: load_annotated_ids(table.attrs["files"]))
    assert predictions.captions == {"COCO_val2014_000000000123.jpg": "one", "COCO_val2014_000000000009.jpg": "two"}
    # Without annotations an id is matched to the number in the name.
    predictions = read_submission(path, names)
    assert (predictions.captions, predictions.unexpected) == ({"COCO_val2014_000000000009.jpg": "one"}, ("7",))


def test_missing_and_unexpected_images_are_listed(tmp_path):
    path = write(tmp_path / "x.csv", "image,caption\nb2.jpg,a\nz.jpg,b\ny.jpg,c\n")
    predictions = read_submission(path, NAMES)
    assert (predictions.captions, predictions.missing, predictions.unexpected) == (
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
        (
            "x.csv",
            "z.jpg,x\n",
            r"None of the 3 images to score is in .* \(found 'z.jpg', the corpus has 'a1.jpg'\)",
        ),
        ("x.csv", "", "found no rows"),
        (
            "x.csv",
            "image,caption_zh,caption_en\na1.jpg,一只狗,a dog\n",
            "2 columns could be the caption.*; keep one caption",
        ),
        (
            "x.csv",
            "image,caption_1,caption_2\na1.jpg,x y,y x\n",
            r"several captions of each image \(caption_1, caption_2\)",
        ),
        ("x.csv", 'image,caption\na1.jpg,"x\n', "line 2: .*close the quotation mark"),
        ("x.jsonl", '{"image": "a1", "caption": "x", "log_probability": "low"}', "row 1: log_probability must be"),
        ("x.xml", "", r"must end in .jsonl, .json"),
        ("x.parquet", "no table", r"x\.parquet contains no table"),
    ],
)
def test_errors_name_the_row(tmp_path, name, content, message):
    with pytest.raises(CaptionTxError, match=message):
        read_submission(write(tmp_path / name, content), NAMES)
    with pytest.raises(CaptionTxError, match=r"gone\.csv"):
        read_submission(tmp_path / "gone.csv", NAMES)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_names_that_spreadsheets_would_run_as_formulas_are_found(tmp_path, suffix):
    names = ["=1+1.jpg", "-a.jpg", "'=b.jpg", "@c.jpg"]
    with PredictionFile(tmp_path / f"x{suffix}", {}) as file:
        for name in names:
            file.write(name, [caption("+ dog", 0)])
    predictions = read_submission(tmp_path / f"x{suffix}", names)
    assert predictions.captions == dict.fromkeys(names, "+ dog")
    assert predictions.log_probabilities == dict.fromkeys(names, -0.75)
