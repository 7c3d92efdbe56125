"""Features, checks and scores from Python."""

import json

import pandas as pd
import pytest

import caption_tx
from caption_tx.errors import CaptionTxError, ConfigError

pytestmark = pytest.mark.usefixtures("shared_backbones")


def test_features_fill_a_cache_that_training_reads(scenes, small, tmp_path):
    frame, images = scenes
    settings = {name: small[name] for name in ("language", "backbone")}
    lines = []
    cache = caption_tx.features(frame, images, cache=tmp_path / "cache", log=lines.append, **settings)
    assert cache.images == set(frame["image"]) and not cache.failed
    assert repr(cache).startswith("FeatureCache('") and "24 images" in repr(cache)
    first = caption_tx.features(frame, images, cache=tmp_path / "half", log=lines.append, shard=(0, 2), **settings)
    assert len(first.images) == 12


def test_check_corpus_reads_captions_in_memory(scenes):
    frame, images = scenes
    report = caption_tx.check_corpus(frame, images, language="zh")
    assert report.content["images"] == 24 and report.content["checked_images"]["read"] == 24
    assert repr(report) == report.to_text()
    broken = caption_tx.check_corpus({"a.jpg": "一只白猫<br>在睡觉"})
    assert "html" in broken.content["summary"]["problems"]
    assert caption_tx.check_corpus(frame, check=False, language="zh").findings is None
    with pytest.raises(ConfigError, match="Did you mean 'language'"):
        caption_tx.check_corpus(frame, langage="zh")


@pytest.fixture(scope="module")
def evaluation(run, scenes, tmp_path_factory):
    pytest.importorskip("pycocoevalcap")
    frame, images = scenes
    out = tmp_path_factory.mktemp("evaluation") / "test"
    return caption_tx.evaluate(run.captioner, frame, images, out=out, beam_width=2, language="zh"), out


def test_a_captioner_is_scored(evaluation):
    scored, out = evaluation
    assert {path.name for path in out.iterdir()} >= {"predictions.jsonl", "scores.json", "gallery.html"}
    report = json.loads((out / "scores.json").read_text())
    assert report["options"]["beam_width"] == 2 and report["corpus"]["sources"] == ["DataFrame"]
    assert "CIDEr" in repr(scored) and f"{scored.scores['cider']:.1f}" in repr(scored)


@pytest.mark.parametrize("form", ["run", "file", "frame", "mapping", "captions"])
def test_predictions_in_every_form_have_the_same_scores(evaluation, run, scenes, form, tmp_path):
    scored, out = evaluation
    frame, images = scenes
    rows = pd.read_json(out / "predictions.jsonl", lines=True)
    captions = dict(zip(rows["image"], rows["caption"], strict=True))
    systems = {"file": out / "predictions.jsonl", "frame": rows, "mapping": captions}
    if form == "run":  # with the corpus and the features of the run
        again = caption_tx.evaluate(run, beam_width=2)
    elif form == "captions":
        results = run.captioner.captions(list(captions), caption_tx.DecodingOptions(beam_width=2), location=images)
        again = caption_tx.evaluate(dict(results), frame, language="zh")
    else:
        again = caption_tx.evaluate(systems[form], frame, language="zh")
    assert again.scores.rows == scored.scores.rows
    assert again.to_dict()["predictions"]["sha256"] and "/tmp" not in repr(again)


def test_wrong_systems_and_options_are_explained(run, scenes):
    pytest.importorskip("pycocoevalcap")
    frame, _ = scenes
    with pytest.raises(ConfigError, match=r"is a bundle or a run; evaluate caption_tx.load"):
        caption_tx.evaluate(run.workdir, frame)
    with pytest.raises(ConfigError, match="Decoding options need a captioner"):
        caption_tx.evaluate({"a.jpg": "x"}, frame, beam_width=2)
    with pytest.raises(ConfigError, match="writes 'zh' captions; remove the language"):
        caption_tx.evaluate(run, language="en")
    with pytest.raises(ConfigError, match=r"Unknown setting 'beamwidth'\. Did you mean 'beam_width'"):
        caption_tx.evaluate(run, beamwidth=2)
    with pytest.raises(ConfigError, match="No image folder"):
        caption_tx.evaluate(run.captioner, frame)
    for name, content in (("no.jpg", "found 'no.jpg'"), (next(iter(frame["image"][frame["split"] == "test"])), "add")):
        with pytest.raises(CaptionTxError, match="in the predictions") as caught:
            caption_tx.evaluate({name: "一只狗"}, frame)
        assert content in str(caught.value) and "tmp" not in str(caught.value)
    undivided = frame[["image", "caption"]][frame["image"] == frame["image"][0]]
    with pytest.raises(CaptionTxError, match=r"splits: train 1, val 0, test 0; .* at random, .* add a column split"):
        caption_tx.evaluate({"a.jpg": "一只狗"}, undivided)
    with pytest.raises(CaptionTxError, match=r"prediction of 'a\.jpg' must be a text or a Caption, got int"):
        caption_tx.evaluate({"a.jpg": 3}, frame)
