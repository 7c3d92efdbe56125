"""Attention held against masks, by hand and through the whole measurement; and the deletion test."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from caption_tx.config import POOL_NAMES, BackboneConfig, TextConfig
from caption_tx.data.scenes.corpus import read_scenes, write_scenes
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation.attention import grounding
from caption_tx.evaluation.attention.deletion import (
    cover_features,
    cover_pixels,
    is_content_word,
    measure_deletion,
    most_attended,
)
from caption_tx.evaluation.attention.grounding import Source, Target
from caption_tx.inference.drawing.overlay import upsample

CELLS = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0]], bool)
"""A mask that follows the borders of a 3x5 grid."""


@pytest.fixture
def mask():
    return np.kron(CELLS, np.ones((14, 11), bool))


def score(maps, mask, tolerance=0):
    """(pointing, mass) of each map."""
    size, grid = mask.shape, maps.shape[1:]
    near = grounding.distances(mask, grounding.middles(grid, size))
    hits = (near <= max(tolerance, 0.99)).astype(float)
    return grounding.highest(maps) @ hits, grounding.mass_inside(maps, grounding.on_grid(mask, grid))


def test_a_map_that_is_the_mask_scores_all_there_is(mask):
    maps = (CELLS / CELLS.sum())[None]
    pointing, mass = score(maps, mask)
    assert pointing == [1]
    assert mass == pytest.approx([1])
    assert mass / mask.mean() == pytest.approx([15 / 3])
    # Maps pooled by their maximum do not sum to 1, and their mass is still a share.
    assert score(3 * maps, mask)[1] == pytest.approx([1])


def test_an_even_map_scores_what_chance_gives(mask):
    pointing, mass = score(np.full((1, 3, 5), 1 / 15), mask)
    assert pointing == pytest.approx([3 / 15])
    assert mass / mask.mean() == pytest.approx([1.0])


def test_a_map_beside_the_mask_scores_nothing_and_the_tolerance_reaches_over_the_edge(mask):
    beside = np.zeros((1, 3, 5))
    beside[0, 1, 3] = 0.6  # its middle is 5.5 pixels right of the mask
    beside[0, 0, 0] = 0.4
    assert score(beside, mask) == (pytest.approx([0]), pytest.approx([0]))
    assert score(beside, mask, tolerance=5)[0] == [0]
    assert score(beside, mask, tolerance=7)[0] == [1]


def test_masks_are_averaged_over_cells_of_any_size():
    mask = np.zeros((10, 7), bool)
    mask[:5, :3] = True
    assert grounding.on_grid(mask, (4, 2)) == pytest.approx(np.array([[6 / 7, 0]] * 2 + [[0, 0]] * 2), abs=1e-6)


def test_distances_are_those_of_pythagoras():
    mask = np.zeros((20, 20), bool)
    mask[3, 4] = True
    points = np.array([[3.5, 4.5], [6.5, 8.5], [4.0, 5.0], [3.5, 16.5]])
    assert grounding.distances(mask, points) == pytest.approx([0, 5, 0.5**0.5, 12])


def test_the_highest_point_is_where_a_drawn_heatmap_is_highest():
    for seed in range(20):
        attention = np.random.default_rng(seed).dirichlet(np.ones(35)).reshape(5, 7).astype(np.float32)
        [cell] = np.flatnonzero(grounding.highest(attention[None])[0])
        heat = upsample(attention, 16)
        drawn = np.argwhere(heat == heat.max()).mean(axis=0) + 0.5
        # At the edge of the picture a drawn heatmap stays at its height from the middle of the cell outwards.
        assert np.abs(drawn - grounding.middles((5, 7), heat.shape)[cell]).max() <= 4.5


def test_cells_that_tie_share_the_highest_point():
    assert grounding.highest(np.array([[[0.3, 0.1], [0.3, 0.3]]])) == pytest.approx(np.array([[1, 0, 1, 1]]) / 3)


def test_intervals_are_of_whole_images():
    rng = np.random.default_rng(0)
    words = rng.integers(1, 9, 400)
    rates = rng.uniform(0, 1, 400)
    found = grounding.interval(rates * words, words)
    mean = (rates * words).sum() / words.sum()
    assert found.value == pytest.approx(mean)
    # The standard error of a ratio (Cochran 1977, eq. 6.4), times 1.96.
    error = np.sqrt(((rates - mean) ** 2 * words**2).sum()) / words.sum()
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    same = grounding.interval(np.full(7, 0.25) * 3, np.full(7, 3))
    assert (same.value, same.low, same.high) == pytest.approx((0.25, 0.25, 0.25))
    with pytest.raises(CaptionTxError, match="no image has a word"):
        grounding.interval(np.zeros(3), np.zeros(3))
    with pytest.raises(CaptionTxError, match=re.escape("(3,) values and (2,) weights")):
        grounding.interval(np.zeros(3), np.zeros(2))


def thing(color, shape, x):
    return SceneObject(shape, color, "small", (x, 100.0), 28.0, 0.0)


@pytest.mark.parametrize(
    ("language", "caption", "expected"),
    [
        ("en", "a red circle to the left of a blue star", [(1, "color", 0), (2, "shape", 0), (5, "relation", 0, 1),
                                                             (8, "color", 1), (9, "shape", 1)]),
        ("en", "on the left is a red circle", [(5, "color", 0), (6, "shape", 0)]),
        ("en", "there is a green circle and a blue star", [(7, "color", 1), (8, "shape", 1)]),
        ("zh", "一个红色的圆形在一个蓝色的星形的左边", [(1, "color", 0), (3, "shape", 0), (6, "color", 1),
                                              (8, "shape", 1), (10, "relation", 0, 1)]),
        ("zh", "左边是一个红色的圆形", [(3, "color", 0), (5, "shape", 0)]),
    ],
)  # fmt: skip
def test_words_find_the_objects_that_they_speak_of(language, caption, expected):
    objects = (thing("red", "circle", 60.0), thing("blue", "star", 160.0))
    words = Segmenter(TextConfig(language=language)).segment(caption)
    found = grounding.find_targets(words, objects, language)
    assert found == [Target(position, kind, tuple(numbers)) for position, kind, *numbers in expected]


def test_sources_go_through_poolings_layers_and_heads():
    scores = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3, 4)).reshape(2, 3, 4, 2, 3)
    own = np.tile(np.eye(4), (2, 3, 1, 1))
    sources = {source.name: source.maps(scores, own) for source in grounding.all_sources(2, 3)}
    assert set(POOL_NAMES) < set(sources)
    assert len(sources) == len(POOL_NAMES) + 2 * (1 + 3)
    np.testing.assert_array_equal(sources["layer 1 head 2"], scores[1, 2])
    np.testing.assert_allclose(sources["layer 0 mean"], scores[0].mean(axis=0))


class Reader:
    """Stands for a captioner whose attention is known: it reads features that are the mean colors of 7x7 cells.

    After a color word it looks at the cells of that color, and elsewhere at all cells alike. A word is the
    likelier the more of the picture's highest map cell has that color.
    """

    max_length = 40
    settings = {"feature_shape": (7, 7, 3)}  # noqa: RUF012

    def __init__(self, tokenizer, colors):
        self.tokenizer = tokenizer
        self.colors = {tokenizer.vocabulary.index(name): color for name, color in colors.items()}

    def __call__(self, inputs, training, return_attention_scores=False, return_self_attention_scores=False):
        features, tokens = np.asarray(inputs["features"]), np.asarray(inputs["token_ids"])
        cells = features.reshape(len(features), -1, 3)
        scores = np.full((*tokens.shape, cells.shape[1]), 1 / cells.shape[1], np.float32)
        logits = np.zeros((*tokens.shape, self.tokenizer.vocabulary_size), np.float32)
        for row, place in np.argwhere(np.isin(tokens, list(self.colors))):
            distance = np.linalg.norm(cells[row] - self.colors[tokens[row, place]], axis=1)
            look = np.exp(-distance / 8)
            scores[row, place] = look / look.sum()
            logits[row, place, 4:] = -distance.min() / 50
        if not return_attention_scores:
            return logits
        assert return_self_attention_scores
        batch, length = tokens.shape
        own = np.broadcast_to(np.eye(length, dtype=np.float32), (batch, 2, 3, length, length))
        return logits, np.repeat(np.repeat(scores[:, None, None], 2, 1), 3, 2), own  # (B, L, N, T, S)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    files = write_scenes(folder, {"test": 24}, "en", seed=3)
    captions: dict[str, list[str]] = {}
    for line in files.captions.read_text().splitlines()[1:]:
        name, caption, _ = line.split("\t")
        captions.setdefault(name, []).append(caption)
    return files, read_scenes(files.scenes), captions


@pytest.fixture(scope="module")
def reader(scenes):
    from caption_tx.data.scenes.objects import COLORS

    words = sorted({word for texts in scenes[2].values() for text in texts for word in text.replace(",", "").split()})
    tokenizer = Tokenizer([*SPECIAL_TOKENS, *words], "en")
    text = TextConfig(language="en")
    captioner = Reader(tokenizer, COLORS)
    bundle = SimpleNamespace(
        segmenter=lambda: Segmenter(text),
        tokenizer=tokenizer,
        captioner=captioner,
        text=text,
        backbone=BackboneConfig(image_size=224),
    )

    def features(pictures):
        pictures = np.stack(pictures).astype(np.float32)
        return pictures.reshape(-1, 7, 32, 7, 32, 3).mean(axis=(2, 4))

    backbone = SimpleNamespace(
        config=BackboneConfig(image_size=224, storage="float32"),
        feature_shape=(7, 7, 3),
        encode=lambda pixels: tf.constant(features(pixels)),
    )
    return SimpleNamespace(bundle=bundle, features=features, backbone=backbone)


@pytest.fixture(scope="module")
def measured(scenes, reader):
    files, objects, captions = scenes
    return grounding.measure_grounding(reader, files.images, objects, captions, "en")


def test_a_captioner_that_looks_at_what_it_names_is_told_from_one_that_does_not(measured):
    by_class = {score.word_class: score for score in measured.scores if score.source == "mean"}
    blind = {facts.name: facts for facts in measured.classes}
    assert set(by_class) == set(blind) == set(grounding.CLASSES)
    shape = by_class["shape"]
    assert shape.pointing.value > 0.9
    assert shape.pointing_exact.value <= shape.pointing.value
    assert shape.mass_ratio.low > 3
    assert shape.mass.value == pytest.approx(shape.mass_ratio.value * blind["shape"].area_share, rel=1e-5)
    # With another picture the color is not there, or elsewhere.
    assert shape.shuffled_pointing.value < 0.5
    assert shape.shuffled_mass_ratio.high < shape.mass_ratio.low / 2
    # For color words this captioner looks at all cells alike.
    color = by_class["color"]
    assert color.mass_ratio.value == pytest.approx(1, abs=1e-4)
    assert color.pointing.value == pytest.approx(blind["color"].random.value, abs=1e-6)
    assert blind["shape"].center.value < 0.35
    assert blind["shape"].words == blind["color"].words


def test_a_measurement_can_be_read_and_stored(measured):
    stored = json.loads(json.dumps(measured.to_dict()))
    assert stored["scenes"] == 24
    assert len(stored["scores"]) == len(grounding.all_sources(2, 3)) * 3
    assert measured.best("shape").source in POOL_NAMES
    line = measured.line()
    found = re.fullmatch(
        r"grounding: pointing game ([\d.]+) for shape words \(center ([\d.]+), random ([\d.]+), "
        r"maps of another scene ([\d.]+)\), mass in the mask ([\d.]+) times its area share; pooled by \w+",
        line,
    )
    assert float(found[1]) == pytest.approx(measured.best("shape").pointing.value, abs=0.005)
    table = measured.table()
    for text in ("shape words", "color words", "relation words", "layer 1 head 2", "random cell", "mass/area"):
        assert text in table
    with pytest.raises(CaptionTxError, match="size"):
        measured.best("size")


def test_grounding_refuses_what_it_cannot_measure(scenes, reader):
    files, objects, captions = scenes
    first = dict(list(objects.items())[:1])
    with pytest.raises(CaptionTxError, match="At least 2 scenes"):
        grounding.measure_grounding(reader, files.images, first, captions, "en")
    with pytest.raises(CaptionTxError, match="right one"):
        nothing = {name: ["a dog"] for name in objects}
        grounding.measure_grounding(reader, files.images, objects, nothing, "en")


def test_covers_by_hand():
    picture = np.zeros((7, 10, 3), np.uint8)
    picture[:, :5] = (200, 100, 50)
    cells = np.array([[True, False], [False, False], [False, True]])
    covered = cover_pixels(picture, cells)
    changed = (covered != picture).any(axis=-1)
    assert changed[:2, :5].all() and changed[5:, 5:].all() and changed.sum() == 2 * 5 + 2 * 5
    assert (covered[changed] == (100, 50, 25)).all()
    features = np.arange(12.0).reshape(3, 2, 2)
    out = cover_features(features, cells)
    np.testing.assert_array_equal(out[cells], [[5, 6], [5, 6]])
    np.testing.assert_array_equal(out[~cells], features[~cells])
    chosen = most_attended(np.array([[0.1, 0.3], [0.3, 0.3]]), 2)
    np.testing.assert_array_equal(chosen, [[False, True], [True, False]])


@pytest.mark.parametrize("way", ["pixels", "cells"])
def test_covering_what_a_word_looked_at_makes_it_unlikely(scenes, reader, way, tmp_path):
    files, objects, captions = scenes
    (tmp_path / "bad.png").write_bytes(b"no picture")
    given = {str(files.images / name): captions[name][1:2] for name in objects} | {str(tmp_path / "bad.png"): ["a dog"]}
    shapes = {item.shape for each in objects.values() for item in each}
    sources = [Source("mean"), Source("mean", 0, 1)]
    result = measure_deletion(reader, given, way, 3, sources, lambda word: word in shapes, draws=3)
    assert (result.images, list(result.failed)) == (24, [str(tmp_path / "bad.png")])
    assert result.words == sum(map(len, objects.values()))
    for score in result.scores:
        assert score.drop.value > 0.3
        assert score.over_random.low > 0.1 and score.over_others.low > 0.1 and score.over_center.low > 0
        assert score.won.value > 0.7
    assert result.random.value < result.scores[0].drop.value
    assert json.loads(json.dumps(result.to_dict()))["way"] == way
    assert "layer 0 head 1" in result.table()


def test_covering_what_nothing_depends_on_changes_nothing(scenes, reader):
    """After no color word the stand-in's logits are constant, so no cover can matter."""
    files, objects, captions = scenes
    given = {str(files.images / name): captions[name] for name in objects}
    result = measure_deletion(reader, given, "cells", 3, is_content=lambda word: word in ("there", "picture"))
    for score in result.scores:
        assert (score.drop.value, score.over_random.value, score.won.value) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"way": "blur"}, "way"), ({"cells": 49}, "fewer than the 49"), ({"cells": 0}, "cells"), ({"draws": 0}, "draws")],
)
def test_deletion_refuses_what_means_nothing(reader, options, message):
    with pytest.raises(ConfigError, match=message):
        measure_deletion(reader, {}, **options)


def test_deletion_needs_words_to_measure(scenes, reader):
    files, objects, _ = scenes
    given = {str(files.images / name): ["the of dog"] for name in objects}
    with pytest.raises(CaptionTxError, match="has a word to measure"):
        measure_deletion(reader, given)


def test_function_words_name_nothing():
    assert [is_content_word(word, "zh") for word in ("的", "两只", "旁边", "狗", "奔跑", "红色")] == [False] * 3 + [
        True
    ] * 3
    assert [is_content_word(word, "en") for word in ("the", "with", "dog")] == [False, False, True]
    with pytest.raises(ConfigError, match="'fr'"):
        is_content_word("chien", "fr")


def test_a_picture_of_another_size_is_read(tmp_path, reader):
    Image.new("RGB", (60, 300), (214, 36, 40)).save(tmp_path / "a.png")
    result = measure_deletion(reader, {str(tmp_path / "a.png"): ["a red circle"]}, "cells")
    assert (result.images, result.words) == (1, 2)
