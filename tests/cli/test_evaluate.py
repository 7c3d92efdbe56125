"""`caption-tx evaluate`: captioning and scoring a split, resuming killed runs, and files of other systems."""

import json
import shutil

import numpy as np
import pytest

from caption_tx.bundle import load_bundle, store_search
from caption_tx.cli import main
from caption_tx.config import POOL_NAMES, DecodingOptions
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.evaluation.scores import score
from caption_tx.inference.attention.health import measure_health
from caption_tx.inference.captioner import load
from caption_tx.inference.predictions import read_predictions

COUNT = 14
BAD = "009.png"


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def bundle(one_layer_bundle):
    """The bundle with the fewest layers, since its searches are compiled fastest."""
    return one_layer_bundle


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_pictures):
    """Images, one of them damaged, captions of single letters, and machine translations for the same images."""
    folder = tmp_path_factory.mktemp("corpus")
    names = write_pictures(folder, COUNT)
    (folder / BAD).write_bytes(b"no picture")
    random = np.random.default_rng(0)
    lines = ["image,caption,split"]
    for index, name in enumerate(names):
        split = "train" if index < 3 else "test"
        lines += [f"{name},{' '.join(random.choice(list('abcdefghi'), 5))},{split}" for _ in range(2)]
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    machine = ["image,caption,split", *(f"{name},a machine wrote this,test" for name in names[3:])]
    (folder / "machine.csv").write_text("\n".join(machine), encoding="utf-8")
    return folder


@pytest.fixture
def run(corpus, capsys):
    """Runs the command on the corpus; returns exit code, stdout and stderr."""

    def run(*arguments):
        sources = [f"{corpus}/captions.csv", f"{corpus}/machine.csv:origin=machine"]
        code = main(["evaluate", *sources, *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def finished_run(bundle, corpus, tmp_path_factory):
    """The output folder of an uninterrupted run, and its arguments after the sources."""
    out = tmp_path_factory.mktemp("finished") / "deeper" / "out"
    command = ["--images", str(corpus), "--bundle", bundle, "--temperature", "1", "--seed", "5"]
    sources = [f"{corpus}/captions.csv", f"{corpus}/machine.csv:origin=machine"]
    assert main(["evaluate", *sources, *command, "--out", str(out), "--human"]) == 0
    return out, command


def references_of(corpus):
    rows = [line.split(",") for line in (corpus / "captions.csv").read_text(encoding="utf-8").splitlines()[1:]]
    references = {}
    for name, text, split in rows:
        if split == "test" and name != BAD:
            references.setdefault(name, []).append(text)
    return references, [text for _, text, split in rows if split == "train"]


def test_split_is_captioned_and_scored(finished_run, corpus, bundle):
    out, _ = finished_run
    rows = {row["image"]: row for row in read_predictions(out / "predictions.jsonl")}
    assert sorted(rows) == [f"{index:03d}.png" for index in range(3, COUNT)]
    assert BAD in rows[BAD]["error"]
    report = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    references, training = references_of(corpus)
    finished = {name: rows[name]["finished"] for name in references}
    captions = {name: rows[name]["caption"] for name in references}
    expected = score(captions, references, "en", finished=finished, training=training).to_dict()
    assert {name: report[name] for name in expected} == json.loads(json.dumps(expected))
    assert (list(report["unreadable"]), report["missing"], report["surplus"]) == ([BAD], [], [])
    assert report["notes"] == [f"1 images ({BAD}) could not be read and are not scored."]
    assert (report["options"]["temperature"], report["options"]["seed"]) == (1, 5)
    assert report["bundle"]["digest"] == load(bundle, None).digest
    assert report["versions"]["pycocoevalcap"].startswith("1.")
    assert list(report["people"]) == ["words"]
    captioner = load(bundle, None)
    longest = captioner.bundle.captioner.max_length - 1  # a truncated caption leaves no room for the end token
    explained = {name: " ".join(captions[name].split()[:longest]) for name in references}
    maps = measure_health([captioner.explain(corpus / name, explained[name]) for name in references]).to_dict()
    assert report["attention"]["captions"] == len(references)
    for row, expected_row in zip(report["attention"]["heads"], maps["heads"], strict=True):
        assert row == pytest.approx(expected_row, abs=1e-3)
    page = (out / "gallery.html").read_text(encoding="utf-8")
    assert page.count("<article") == page.count("data:image/jpeg;base64,") == len(references)


def test_killed_run_resumes_and_prints_the_same_scores(finished_run, corpus, run, tmp_path):
    out, command = finished_run
    lines = (out / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "predictions.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:20])
    sidecar = "predictions.jsonl.run.json"
    (tmp_path / sidecar).write_bytes((out / sidecar).read_bytes())
    code, printed, _ = run(*command, "--out", tmp_path)
    assert code == 0
    assert "4 images captioned, 6 skipped" in printed and "1 could not be read" in printed
    assert [row["caption"] for row in read_predictions(tmp_path / "predictions.jsonl")] == [
        row["caption"] for row in read_predictions(out / "predictions.jsonl")
    ]
    report = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    words = report["rows"]["words"]
    line = next(line for line in printed.splitlines() if line.startswith("words/english"))
    assert line.split()[1:] == [f"{words[name]['value']:.1f}" for name in words]
    assert f"{report['health']['distinct']} distinct captions" in printed
    assert f"before pooling, in {len(references_of(corpus)[0])} captions:" in printed
    for warning in report["attention"]["warnings"]:
        assert warning in printed
    code, _, errors = run(*command, "--out", tmp_path, "--seed", "6")
    assert (code, "was made with different options: seed (5, now 6)" in errors) == (1, True)


def test_cached_features_give_the_same_captions_without_the_images(
    finished_run, bundle, backbone, corpus, run, tmp_path
):
    names = [f"{index:03d}.png" for index in range(3, COUNT)]
    encode_images(names, str(corpus), str(tmp_path / "cache"), backbone, EncodingOptions(flips=True))
    (corpus / BAD).rename(tmp_path / BAD)
    try:
        code, printed, _ = run(
            *finished_run[1], "--cache", tmp_path / "cache", "--out", tmp_path, "--json", "--gallery-images", 0
        )
    finally:
        (tmp_path / BAD).rename(corpus / BAD)
    assert (code, json.loads(printed)["health"]["images"]) == (0, COUNT - 4)
    assert not (tmp_path / "gallery.html").exists()
    captions = [
        {row["image"]: row["caption"] for row in read_predictions(folder / "predictions.jsonl")}
        for folder in (finished_run[0], tmp_path)
    ]
    assert captions[0] == captions[1]
    reports = [
        json.loads((folder / "scores.json").read_text(encoding="utf-8")) for folder in (finished_run[0], tmp_path)
    ]
    for row, cached in zip(*(report["attention"]["heads"] for report in reports), strict=True):
        assert row == pytest.approx(cached, abs=1e-3)
    # Images that are not in the cache must be read, which needs a folder.
    command = ["--bundle", bundle, *finished_run[1][-4:], "--cache", tmp_path / "cache", "--out", tmp_path / "other"]
    code, _, errors = run(*command)
    assert (code, f"1 images must be read, for example '{BAD}'" in errors and "--images" in errors) == (1, True)


def test_cache_of_another_backbone_is_rejected(bundle, run, tmp_path):
    (tmp_path / "cache.json").write_text(json.dumps({"key": {"backbone": "MobileNet"}, "views": 1}), encoding="utf-8")
    code, _, errors = run("--bundle", bundle, "--cache", tmp_path, "--out", tmp_path / "out")
    assert (code, "does not fit the backbone: alpha is None" in errors) == (1, True)


@pytest.fixture
def write_predictions(corpus, tmp_path):
    """Writes a predictions file of another system with captions of the named images."""

    def write(*names):
        rows = [{"image_id": name.removesuffix(".png"), "caption": "a b c"} for name in names]
        (tmp_path / "results.json").write_text(json.dumps(rows), encoding="utf-8")
        return tmp_path / "results.json"

    return write


def test_predictions_of_another_system_need_no_bundle_and_no_images(run, corpus, write_predictions, tmp_path):
    references, _ = references_of(corpus)
    references[BAD] = None
    path = write_predictions(*sorted(references), "zebra.png")
    code, printed, _ = run("--predictions", path, "--language", "en", "--out", tmp_path)
    assert code == 0
    assert "11 images, 1 distinct captions" in printed
    assert "1 images (zebra) in the predictions are not in split test; ignored." in printed
    report = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert report["surplus"] == ["zebra"]
    assert (report["health"]["cut"], "bundle" in report) == (None, False)
    assert "data:image/jpeg" not in (tmp_path / "gallery.html").read_text(encoding="utf-8")


def test_missing_images_are_an_error_without_partial(run, write_predictions, tmp_path):
    command = ["--predictions", write_predictions("005.png"), "--language", "en", "--out", tmp_path]
    code, _, errors = run(*command)
    assert code == 1
    assert "There is no caption of 10 images (003.png, 004.png, 006.png, ..) of split test in" in errors
    assert "--partial" in errors
    code, printed, _ = run(*command, "--partial")
    assert code == 0
    assert "CIDEr of a single image is 0 by definition" in printed
    assert "10 images (003.png, 004.png, 006.png, ..) have no prediction and are not scored" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --bundle DIR to caption the split, or --predictions FILE"),
        (["--bundle", "x", "--predictions", "y.csv"], "either --bundle DIR"),
        (["--predictions", "y.csv", "--beam-width", "2"], "Decoding options need --bundle"),
        (["--predictions", "y.csv", "--cache", "x"], "--cache needs --bundle"),
        (["--bundle", "x", "--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--bundle", "x", "--gallery-images", "-1"], "gallery_images must be at least 0, got -1"),
        (["--bundle", "x"], "No image folder; name it with images"),
        (["--predictions", "y.csv", "--split", "val"], "Split 'val' has no human captions"),
    ],
)
def test_errors_are_one_line(run, arguments, message, tmp_path):
    code, printed, errors = run(*arguments, "--out", tmp_path / "out")
    assert (code, printed, errors.count("\n")) == (1, "", 1)
    assert message in errors


def test_another_language_than_the_bundle_is_rejected(run, bundle, corpus, tmp_path):
    code, _, errors = run("--bundle", bundle, "--images", corpus, "--language", "zh", "--out", tmp_path)
    assert (code, "writes 'en' captions; remove --language zh" in errors) == (1, True)


def test_maps_are_compared_with_boxes(run, bundle, corpus, tmp_path):
    lines = [
        json.dumps(
            {"image": f"{index:03d}", "boxes": [{"label": letter, "box": [0, 0, 0.5, 1]} for letter in "abcdefghi"]}
        )
        for index in range(COUNT)
    ]
    (tmp_path / "boxes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = ["--images", corpus, "--bundle", bundle, "--out", tmp_path / "out", "--map-images", 3]
    code, out, _ = run(*command, "--boxes", tmp_path / "boxes.jsonl")
    assert code == 0
    for text in (f"{9 * COUNT} boxes of {COUNT} images", "pointing game", "Gaussian", "F1_all", "Deletion check"):
        assert text in out
    boxes = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))["boxes"]
    group = boxes["grounding"]["groups"][0]
    assert group["area"] == pytest.approx(0.5)
    assert {score["maps"] for score in group["scores"]} >= {"uniform", "word prior", "mean", "layer 0 head 0"}
    assert boxes["deletion"]["cover"] == "cells"
    own = next(score["maps"] for score in group["scores"] if score["maps"] in POOL_NAMES)
    assert own == load_bundle(bundle).pool, "the gallery is sorted by the first maps"
    generated = boxes["generated_grounding"]["groups"][0]
    assert "Attention maps of the generated captions (words that name nothing with a box" in out
    assert 0 < generated["words"] < group["words"]
    page = (tmp_path / "out" / "boxes.html").read_text(encoding="utf-8")
    assert page.count("<article") == boxes["grounding"]["images"] == COUNT - 4  # three for training, one unreadable
    assert page.count("data:image/jpeg") >= COUNT - 4


def test_boxes_need_a_bundle_and_word_lists_need_boxes(run, tmp_path, corpus):
    predictions = tmp_path / "x.jsonl"
    predictions.write_text("{}")
    code, _, error = run("--predictions", predictions, "--out", tmp_path, "--boxes", "b.jsonl")
    assert (code, error) == (1, "caption-tx: --boxes needs --bundle; remove it or --predictions.\n")
    code, _, error = run("--predictions", predictions, "--out", tmp_path, "--box-words", "w.tsv")
    assert (code, error) == (1, "caption-tx: box_words (--box-words) requires boxes (--boxes).\n")


def test_what_is_read_differently_is_reported(write_predictions, tmp_path, capsys):
    source = tmp_path / "captions.csv"
    source.write_text("image;caption;split\n005.png;1. a dog 2. it runs;test\n006.png;1. a cat 2. it naps;test\n")
    predictions = write_predictions("005.png", "006.png")
    command = ["evaluate", str(source), "--predictions", str(predictions), "--language", "en", "--out", str(tmp_path)]
    assert main([*command, "--json", "--gallery-images", "0"]) == 0
    printed, errors = capsys.readouterr()
    notes = json.loads(printed)["corpus"]["notes"]
    assert notes == [
        f"{source}: columns separated by semicolons: 1",
        f"{source}: cells with several numbered captions: 2",
    ]
    assert [line.removeprefix("caption-tx: ") for line in errors.splitlines()] == notes
    assert main([*command[:5], "zh", "--out", str(tmp_path)]) == 0
    assert "100% of captions are not Chinese" in capsys.readouterr()[1]


def test_the_search_of_the_bundle_is_followed_and_reported(run, bundle, corpus, tmp_path):
    stored = shutil.copytree(bundle, tmp_path / "stored")
    store_search(stored, DecodingOptions(beam_width=3))
    command = ["--bundle", stored, "--images", corpus, "--gallery-images", 0, "--map-images", 0]
    code, printed, _ = run(*command, "--out", tmp_path / "own")
    assert (code, "\nSearch: beam_width 3.\n" in printed, "\nwords/english " in printed) == (0, True, True)
    report = json.loads((tmp_path / "own" / "scores.json").read_text(encoding="utf-8"))
    assert (report["options"]["beam_width"], report["segmentation"]) == (3, "english")
    code, printed, _ = run(*command, "--temperature", "0", "--out", tmp_path / "greedy")
    assert (code, "\nSearch: greedy.\n" in printed) == (0, True)
