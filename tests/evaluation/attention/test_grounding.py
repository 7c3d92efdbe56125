"""Grounding of a captioner with known attention."""

import json
import re

import pytest

from caption_tx.config import POOL_NAMES
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.grounding import measure_grounding
from caption_tx.evaluation.attention.selections import all_selections
from caption_tx.evaluation.attention.targets import WORD_CLASSES


@pytest.fixture(scope="module")
def grounding(scenes, color_captioner):
    files, objects, captions = scenes
    return measure_grounding(color_captioner, files.images, objects, captions)


def test_attention_to_named_objects_scores_higher_than_uniform_attention(grounding):
    by_class = {score.word_class: score for score in grounding.scores if score.selection == "mean"}
    baselines = {baseline.name: baseline for baseline in grounding.classes}
    assert set(by_class) == set(baselines) == set(WORD_CLASSES)
    shape = by_class["shape"]
    assert shape.pointing.value > 0.85
    assert shape.pointing_exact.value <= shape.pointing.value
    assert shape.mass_ratio.low > 3
    assert shape.mass.value == pytest.approx(shape.mass_ratio.value * baselines["shape"].area_share, rel=1e-5)
    # In another image the color is missing or elsewhere.
    assert shape.shuffled_pointing.value < 0.5
    assert shape.shuffled_mass_ratio.high < shape.mass_ratio.low / 2
    # For color words this captioner attends to all cells equally.
    color = by_class["color"]
    assert color.mass_ratio.value == pytest.approx(1, abs=1e-4)
    assert color.pointing.value == pytest.approx(baselines["color"].random.value, abs=1e-6)
    assert baselines["shape"].center.value < 0.35
    assert baselines["shape"].words == baselines["color"].words


def test_summary_table_and_json(grounding):
    stored = json.loads(json.dumps(grounding.to_dict()))
    assert stored["scenes"] == 24
    assert len(stored["scores"]) == len(all_selections(2, 3)) * 3
    assert grounding.best("shape").selection in POOL_NAMES
    match = re.fullmatch(
        r"grounding: pointing game ([\d.]+) for shape words \(center ([\d.]+), random ([\d.]+), "
        r"maps of another scene ([\d.]+)\), mass in the mask ([\d.]+) times its area share; pooled by \w+",
        grounding.summary(),
    )
    assert float(match[1]) == pytest.approx(grounding.best("shape").pointing.value, abs=0.005)
    table = grounding.table()
    for text in ("shape words", "color words", "relation words", "layer 1 head 2", "random cell", "mass/area"):
        assert text in table
    with pytest.raises(CaptionTxError, match="size"):
        grounding.best("size")


def test_single_scenes_and_captions_without_objects_are_rejected(scenes, color_captioner):
    files, objects, captions = scenes
    first = dict(list(objects.items())[:1])
    with pytest.raises(CaptionTxError, match="at least 2 scenes"):
        measure_grounding(color_captioner, files.images, first, captions)
    with pytest.raises(CaptionTxError, match="are the captions in 'en'"):
        measure_grounding(color_captioner, files.images, objects, {name: ["a dog"] for name in objects})


def test_images_may_be_a_mapping(scenes, color_captioner, grounding):
    files, objects, captions = scenes
    images = {name: (files.images / name).read_bytes() for name in objects}
    result = measure_grounding(color_captioner, images, objects, captions)
    assert result.scores == grounding.scores and repr(result) == grounding.table()
