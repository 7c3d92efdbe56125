"""Grounding in boxes of a captioner with known attention, compared with plain formulas."""

import json

import numpy as np
import pytest

from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.baselines import center_map, gaussian_map
from caption_tx.evaluation.attention.box_grounding import measure_box_grounding
from caption_tx.evaluation.attention.box_report import ALL, LIKELY, SMALL, UNLIKELY
from caption_tx.evaluation.attention.features import EvaluatedImages
from caption_tx.evaluation.attention.localization import map_box, measure_localization, overlap
from caption_tx.evaluation.attention.phrases import BoxReferences, BoxTargets, find_phrases, find_words, fine_total
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import teacher_forced_pass
from caption_tx.inference.drawing.spline import spread

MEAN = {"mean": MapSelection(), "layer 1 mean": MapSelection(layer=1)}


@pytest.fixture(scope="module")
def boxes(scenes):
    """A box around every object of every scene; its name is the shape."""
    found = {}
    for name, objects in scenes[1].items():
        found[name] = []
        for item in objects:
            rows, columns = np.nonzero(item.mask())
            corners = (columns.min() / 224, rows.min() / 224, (columns.max() + 1) / 224, (rows.max() + 1) / 224)
            found[name].append(Box((item.shape,), corners, "other", f"a {item.color} {item.shape}"))
    return found


@pytest.fixture(scope="module")
def images(scenes, color_captioner):
    return EvaluatedImages(color_captioner, str(scenes[0].images))


@pytest.fixture(scope="module")
def grounding(scenes, boxes, images, color_captioner):
    return measure_box_grounding(
        color_captioner, images, scenes[2], BoxReferences(boxes, training=list(boxes.values())), MEAN
    )


def test_scores_are_those_of_the_formulas(scenes, boxes, images, color_captioner, grounding):
    names = list(scenes[2])
    _, features = images.load(names)
    hits, mass, gaussian, areas = [], [], [], []
    for row, name in enumerate(names):
        captions = [color_captioner.bundle.segmenter().segment(text) for text in scenes[2][name]]
        tokens = color_captioner.bundle.tokenizer.tokenize(captions)
        passes = teacher_forced_pass(color_captioner.bundle.captioner, features, tokens, [row] * len(tokens))
        for words, passed in zip(captions, passes, strict=True):
            maps = passed.attention_scores.mean((0, 1))
            for position, word in enumerate(words):
                named = [box.corners for box in boxes[name] if word in box.names]
                if not named:
                    continue
                mask = np.zeros((224, 224), bool)
                for x0, y0, x1, y1 in np.round(np.array(named) * 224).astype(int):
                    mask[y0:y1, x0:x1] = True
                own = maps[position] / maps[position].sum()
                cells = mask.reshape(7, 32, 7, 32)
                heat = spread(own, 32)
                hits.append(mask[np.unravel_index(heat.argmax(), heat.shape)])
                mass.append((own * cells.mean((1, 3))).sum())
                gaussian.append(gaussian_map((7, 7)) @ cells.mean((1, 3)).ravel())
                areas.append(mask.mean())
    group = grounding.group(ALL)
    assert group.words == len(hits) > 100
    assert group.area == pytest.approx(np.mean(areas), abs=1e-6)
    assert group.score("mean").pointing.value == pytest.approx(np.mean(hits), abs=0.02)
    assert group.score("mean").mass.value == pytest.approx(np.mean(mass), abs=1e-5)
    assert group.score("Gaussian").mass.value == pytest.approx(np.mean(gaussian), abs=1e-5)
    assert group.score("uniform").mass.value == pytest.approx(np.mean(areas), abs=1e-5)


def test_maps_beat_every_baseline_and_groups_add_up(grounding):
    group = grounding.group(ALL)
    own = group.score("mean")
    assert own.mass.low > 2 * max(group.score(name).mass.high for name in ("uniform", "Gaussian", "word prior"))
    assert own.pointing.value > group.score("another image").pointing.value + 0.3
    thirds = [grounding.group(f"{size} third").words for size in ("smallest", "middle", "largest")]
    assert sum(thirds) == group.words
    assert grounding.group(SMALL).words == group.words, "all objects are small and none is a scene"
    assert grounding.group("people") is None
    by_probability = [grounding.group(name) for name in (UNLIKELY, "probability 5% to 50%", LIKELY)]
    assert sum(group.words for group in by_probability if group is not None) >= group.words - 2 * 19


def test_table_and_json(grounding):
    table = grounding.table()
    for text in (f"{ALL}: ", SMALL, "Gaussian", "word prior", "layer 1 mean", "correctness", "proves nothing"):
        assert text in table
    stored = json.loads(json.dumps(grounding.to_dict()))
    assert stored["groups"][0]["scores"][0]["maps"] == "uniform"
    only = grounding.table(["mean"])
    assert "mean" in only and "Gaussian  " not in only


def test_correctness_is_the_best_word_of_a_phrase(grounding, scenes, boxes, color_captioner):
    """This captioner attends to an object at the shape word, after the color: the phrase has its score."""
    assert grounding.phrases > 100
    scores = {item.maps: item.value.value for item in grounding.correctness}
    assert scores["mean"] > grounding.group(ALL).score("mean").mass.value * 0.8
    assert scores["mean"] > 2 * scores["Gaussian"]


def test_phrases_are_found_longest_first():
    words = ["a", "small", "red", "circle", "and", "a", "circle"]
    boxes = [Box(("circle",), (0, 0, 1, 1), phrase=text) for text in ("a circle", "red circle", "a small red circle")]
    named = find_words(words, boxes, BoxWords())
    phrases = find_phrases(words, boxes, named, str.split)
    assert [(phrase.positions, phrase.boxes) for phrase in phrases] == [((0, 1, 2, 3), (2,)), ((5, 6), (0,))]
    single = find_phrases(words, boxes, named, None)
    assert [phrase.positions for phrase in single] == [(3,), (6,)]


def test_the_fine_weights_give_the_mass_of_the_map_scaled_to_the_image():
    from PIL import Image

    own = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    targets = BoxTargets([Box(("a",), (0.125, 0.25, 0.625, 0.75))], (7, 7))
    scaled = np.asarray(Image.fromarray(own).resize((56, 56), Image.Resampling.BILINEAR))
    inside = scaled[14:42, 7:35].sum() / scaled.sum()
    measured = own.ravel() @ targets.fine_weights((0,)) / (own.ravel() @ fine_total((7, 7)))
    assert measured == pytest.approx(inside, rel=1e-4)


def test_the_center_of_an_even_grid_is_shared():
    assert center_map((7, 7))[24] == 1
    assert sorted(center_map((4, 4)))[-4:] == [0.25] * 4


def test_captions_without_boxes_are_rejected(scenes, images, color_captioner):
    with pytest.raises(CaptionTxError, match="Words with boxes are in the captions of 0 images"):
        measure_box_grounding(color_captioner, images, scenes[2], BoxReferences({}), MEAN)


def test_localization_counts_generated_words(scenes, boxes, images, color_captioner):
    human = scenes[2]
    exact = {name: texts[0] for name, texts in human.items()}
    result = measure_localization(color_captioner, images, exact, human, BoxReferences(boxes))
    assert result.words == result.in_image > 20
    assert 0 < result.localized <= result.in_image
    assert result.f1_all > 0 and result.f1_loc <= 1
    names = list(human)
    wrong = {name: human[names[index - 1]][0] for index, name in enumerate(names)}
    other = measure_localization(color_captioner, images, wrong, human, BoxReferences(boxes))
    assert other.in_image < other.words
    assert other.f1_all < result.f1_all
    assert "F1_all" in result.summary()


def test_the_box_of_a_map_contains_the_cells_around_its_peak():
    own = np.zeros((4, 5))
    own[1, 1:3], own[2, 2], own[3, 4] = 1.0, 0.6, 0.9  # the last cell is not connected
    assert map_box(own) == (0.2, 0.25, 0.6, 0.75)
    assert overlap((0, 0, 1, 1), (0.5, 0, 1, 1)) == 0.5
    assert overlap((0, 0, 0.4, 1), (0.5, 0, 1, 1)) == 0
