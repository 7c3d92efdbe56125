"""Comparing two systems on the same images, and the published scores of COCO-CN."""

import json

import numpy as np
import pytest

from caption_tx.cli import main
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.comparison import compare
from caption_tx.evaluation.intervals import Bootstrap
from caption_tx.evaluation.metrics import METRICS
from caption_tx.evaluation.protocol import Protocol
from caption_tx.evaluation.scores import score

BOOTSTRAP = Bootstrap(200)


def test_differences_are_those_of_the_scores_and_pair_the_images(make_captions):
    hypotheses, references = make_captions("zh", 40)
    worse = {name: text if index % 4 else "天空" for index, (name, text) in enumerate(hypotheses.items())}
    scores = score(hypotheses, references, bootstrap=BOOTSTRAP)
    result = compare("b.json", hypotheses, worse, references, scores, BOOTSTRAP)
    other = score(worse, references, bootstrap=None)
    assert list(result.differences) == ["words", "characters"] and result.left_out == ()
    for unit, row in result.differences.items():
        for metric in METRICS:
            expected = scores.rows[unit][metric].value - other.rows[unit][metric].value
            assert row[metric].value == pytest.approx(expected)
            assert 0 < row[metric].low < row[metric].value < row[metric].high
    # Drawn separately, the images of both systems would differ, and the interval would be wider.
    own, lower = scores.rows["words"]["cider"], result.other.rows["words"]["cider"]
    difference = result.differences["words"]["cider"]
    assert difference.high - difference.low < 0.9 * np.hypot(own.high - own.low, lower.high - lower.low)
    changed = {name for name in hypotheses if worse[name] != hypotheses[name]}
    assert {image.image for image in result.images if image.cider} <= changed
    assert result.images[0].other == "天空" and result.images[0].caption == hypotheses[result.images[0].image]
    same = compare("a.json", hypotheses, hypotheses, references, scores, BOOTSTRAP)
    assert all((row.value, row.low, row.high) == (0, 0, 0) for row in same.differences["words"].values())
    few = {name: references[name] for name in list(references)[:9]}
    captions = {name: hypotheses[name] for name in few}
    result = compare("b.json", captions, worse, few, score(captions, few), BOOTSTRAP)
    assert all(row.low is None for row in result.differences["words"].values())


def test_only_images_with_captions_of_both_systems_are_compared(make_captions):
    hypotheses, references = make_captions("en", 20)
    protocol = Protocol("en")
    scores = score(hypotheses, references, protocol, bootstrap=BOOTSTRAP)
    others = dict(list(hypotheses.items())[:15])
    result = compare("b.json", hypotheses, others, references, scores, BOOTSTRAP)
    assert result.left_out == tuple(f"{index}.jpg" for index in range(15, 20))
    kept = {name: references[name] for name in others}
    assert result.scores["cider"] == score(others, kept, protocol, bootstrap=None)["cider"] != scores["cider"]
    with pytest.raises(CaptionTxError, match=r"b\.json has no caption of an image that is scored"):
        compare("b.json", hypotheses, {"x.jpg": "a dog"}, references, scores)


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Runs the command without a gallery; returns exit code, output, errors and scores.json."""

    def evaluate(*arguments):
        code = main(["evaluate", *map(str, arguments), "--out", str(tmp_path / "out"), "--gallery-images", "0"])
        report = tmp_path / "out" / "scores.json"
        return code, *capsys.readouterr(), json.loads(report.read_text("utf-8")) if report.exists() else None

    return evaluate


PUBLISHED = {
    "spaces": {"bleu1": 71.2, "bleu2": 56.1, "bleu3": 42.6, "bleu4": 31.7, "rouge_l": 52.0, "cider": 84.6},
    "jieba": {"bleu1": 65.7, "bleu4": 24.2, "rouge_l": 47.6, "cider": 70.1},
}
"""Scores of this system on the test split of COCO-CN, published, and measured after segmenting again by jieba."""


@pytest.mark.slow
@pytest.mark.parametrize("segmentation", PUBLISHED)
def test_published_scores_of_coco_cn_are_reproduced(shared, evaluate, segmentation):
    folder = shared / "data" / "coco_cn_gold"
    options = ["--segmentation", segmentation] if segmentation == "spaces" else []
    code, printed, _, report = evaluate(
        f"{folder}/references.json:split=test", "--predictions", folder / "predictions.json", *options
    )
    assert (code, report["segmentation"]) == (0, segmentation)
    row = report["rows"]["words"]
    assert {name: round(row[name]["value"], 1) for name in PUBLISHED[segmentation]} == PUBLISHED[segmentation]
    assert f"\nwords/{segmentation} " in printed


@pytest.mark.parametrize("layout", ["coco", "csv", "lists"])
def test_words_that_spaces_separate_stay_words_in_every_layout(evaluate, tmp_path, layout):
    """Captions of a caption file that training joins to sentences keep their words."""
    captions = {
        f"{index}.jpg": [f"一 只 狗 在 {index} 号 草地 上 跑", f"草地 上 有 {index} 号 狗"] for index in range(12)
    }
    path = tmp_path / ("captions.csv" if layout == "csv" else "captions.json")
    if layout == "csv":
        rows = [f"{name},{text}" for name, texts in captions.items() for text in texts]
        path.write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
    elif layout == "lists":
        entries = [{"image": name, "caption": text.split()} for name, texts in captions.items() for text in texts]
        path.write_text(json.dumps(entries), encoding="utf-8")
    else:
        images = [{"id": index, "file_name": name} for index, name in enumerate(captions)]
        annotations = [
            {"image_id": index, "caption": text} for index, texts in enumerate(captions.values()) for text in texts
        ]
        path.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    predictions = tmp_path / "predictions.json"
    predictions.write_text(json.dumps({name: texts[0] for name, texts in captions.items()}), encoding="utf-8")
    command = [f"{path}:split=test", "--predictions", predictions, "--segmentation"]
    code, printed, errors, report = evaluate(*command, "spaces")
    assert code == 0, errors
    assert report["health"]["reference_length"] == 7.5 and report["health"]["mean_length"] == 9
    assert report["rows"].keys() == {"words"} and "words/spaces" in printed
    code, printed, _, report = evaluate(*command, "characters")
    assert (code, list(report["rows"]), report["segmentation"]) == (0, ["characters"], "characters")
    assert "\ncharacters " in printed and "words/" not in printed


def test_captions_without_spaces_are_not_scored_as_single_words(evaluate, tmp_path):
    (tmp_path / "captions.csv").write_text("image,caption\n1.jpg,一 只 狗 在 跑\n2.jpg,两 只 猫 在 睡觉\n", "utf-8")
    (tmp_path / "joined.csv").write_text("image,caption\n1.jpg,一只狗在跑\n2.jpg,两只猫在睡觉\n", "utf-8")
    command = ["--segmentation", "spaces", "--predictions"]
    code, _, errors, _ = evaluate(f"{tmp_path}/captions.csv:split=test", *command, tmp_path / "joined.csv")
    assert (code, errors.count("\n")) == (1, 1)
    assert f"The captions in {tmp_path / 'joined.csv'} have no spaces between words" in errors
    assert "segmentation jieba (--segmentation)" in errors
    code, _, errors, _ = evaluate(f"{tmp_path}/joined.csv:split=test", *command, tmp_path / "captions.csv")
    assert (code, "The references have no spaces between words" in errors) == (1, True)
    # A file of caption_tx lists the words of its captions.
    row = {"rank": 0, "log_probability": -1.0, "score": -1.0, "confidence": 0.5, "finished": True, "error": None}
    lines = [
        json.dumps(row | {"image": "1.jpg", "caption": "一只狗在跑", "words": ["一", "只", "狗", "在", "跑"]}),
        json.dumps(row | {"image": "2.jpg", "caption": "两只猫在睡觉", "words": ["两", "只", "猫", "在", "睡觉"]}),
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")
    code, _, errors, report = evaluate(f"{tmp_path}/captions.csv:split=test", *command, tmp_path / "own.jsonl")
    assert (code, round(report["rows"]["words"]["bleu4"]["value"])) == (0, 100), errors


def test_the_command_compares_two_files(evaluate, tmp_path):
    names = [f"{index}.jpg" for index in range(11)]
    rows = [f"{name},a dog runs on grass {index}\n{name},the dog runs" for index, name in enumerate(names)]
    (tmp_path / "captions.csv").write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
    good = {name: f"a dog runs on grass {index}" for index, name in enumerate(names)}
    (tmp_path / "a.json").write_text(json.dumps(good), encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps(good | {"3.jpg": "a red car"}), encoding="utf-8")
    command = [f"{tmp_path}/captions.csv:split=test", "--language", "en", "--predictions", tmp_path / "a.json"]
    code, printed, errors, report = evaluate(*command, "--against", tmp_path / "b.json")
    assert code == 0, errors
    assert f"Compared with {tmp_path / 'b.json'} on 11 images (paired bootstrap):" in printed
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("words/", "other ", "  difference"))] == [
        "words/english", "other", "difference",
    ]  # fmt: skip
    against = report["against"]
    assert against["differ_most"][0] == {
        "image": "3.jpg", "cider": pytest.approx(against["differ_most"][0]["cider"]),
        "caption": "a dog runs on grass 3", "other": "a red car",
    }  # fmt: skip
    difference = against["differences"]["words"]["bleu1"]
    expected = report["rows"]["words"]["bleu1"]["value"] - against["other"]["words"]["bleu1"]["value"]
    assert difference["value"] == pytest.approx(expected) and difference["low"] == 0 < difference["high"]
    (tmp_path / "b.json").write_text(json.dumps({"0.jpg": "a dog"}), encoding="utf-8")
    code, _, errors, _ = evaluate(*command, "--against", tmp_path / "b.json")
    assert (code, "There is no caption of 10 images" in errors, "--partial" in errors) == (1, True, True)
    code, _, errors, _ = evaluate(*command, "--segmentation", "jieba")
    assert (code, "choose one of english, spaces" in errors) == (1, True)
