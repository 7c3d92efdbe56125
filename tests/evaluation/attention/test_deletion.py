"""Deletion measured on a captioner with known attention."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation.attention.deletion import DeletionOptions, measure_deletion
from caption_tx.inference.attention.pooling import MapSelection


@pytest.mark.parametrize("cover", ["pixels", "cells"])
def test_covering_the_attended_cells_makes_words_less_likely(scenes, color_captioner, cover, tmp_path):
    files, objects, captions = scenes
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    measured = {str(files.images / name): captions[name][1:2] for name in objects} | {str(bad): ["a dog"]}
    shapes = {item.shape for items in objects.values() for item in items}
    options = DeletionOptions(cover, cells=3, random_covers=3)
    selections = [MapSelection(), MapSelection(layer=0, head=1), MapSelection(pool="sharp")]
    result = measure_deletion(color_captioner, measured, options, selections, lambda word: word in shapes)
    assert (result.images, list(result.failed)) == (24, [str(bad)])
    assert result.words == sum(map(len, objects.values()))
    for score in result.scores:
        assert score.drop.value > 0.3
        assert score.over_random.low > 0.1 and score.over_others.low > 0.1 and score.over_center.low > 0
        assert score.win_rate.value > 0.7
    assert result.random.value < result.scores[0].drop.value
    assert replace(result.scores[2], selection="mean") == result.scores[0], "the highest cells are the same"
    assert json.loads(json.dumps(result.to_dict()))["cover"] == cover
    assert "layer 0 head 1" in result.table()


def test_covers_do_not_matter_if_logits_are_constant(scenes, color_captioner):
    """Only words after a color word depend on the image here."""
    files, objects, captions = scenes
    measured = {str(files.images / name): captions[name] for name in objects}
    options = DeletionOptions("cells", cells=3)
    result = measure_deletion(color_captioner, measured, options, is_content=lambda word: word in ("there", "picture"))
    for score in result.scores:
        assert (score.drop.value, score.over_random.value, score.win_rate.value) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cover": "blur"}, "cover must be one of pixels, cells"),
        ({"cells": 49}, "fewer than the 49"),
        ({"cells": 0}, "cells"),
        ({"random_covers": 0}, "random_covers"),
    ],
)
def test_options_out_of_range_are_rejected(color_captioner, options, message):
    with pytest.raises(ConfigError, match=message):
        measure_deletion(color_captioner, {}, DeletionOptions(**options))


def test_captions_without_content_words_are_rejected(scenes, color_captioner):
    files, objects, _ = scenes
    measured = {str(files.images / name): ["the of dog"] for name in objects}
    with pytest.raises(CaptionTxError, match="has a word to measure"):
        measure_deletion(color_captioner, measured)


def test_images_of_any_size_are_read(tmp_path, color_captioner):
    Image.new("RGB", (60, 300), (214, 36, 40)).save(tmp_path / "a.png")
    options = DeletionOptions("cells")
    result = measure_deletion(color_captioner, {str(tmp_path / "a.png"): ["a red circle"]}, options)
    assert (result.images, result.words) == (1, 2)


def test_images_may_be_arrays_or_bytes(tmp_path, color_captioner):
    photo = Image.new("RGB", (60, 300), (214, 36, 40))
    photo.save(tmp_path / "a.png")
    options = DeletionOptions("cells")
    forms = [np.asarray(photo), (tmp_path / "a.png").read_bytes(), photo, ("gone", tmp_path / "gone.png")]
    result = measure_deletion(color_captioner, [(form, ["a red circle"]) for form in forms], options)
    assert (result.images, result.words, list(result.failed)) == (3, 6, ["gone"])
    assert repr(result) == result.table()
