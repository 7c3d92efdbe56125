"""The whole captioner: causality, packing, steps with the cache compared with full passes, saving, dtypes."""

import functools

import keras
import numpy as np
import pytest

from caption_tx.errors import ConfigError
from caption_tx.model.captioner import Captioner, segment_mask
from caption_tx.model.settings import CaptionerSettings
from caption_tx.model.token_output import log_prior
from caption_tx.training.objective import MaskedLoss, token_losses

BOTH_NORMS = pytest.mark.parametrize("norm_order", ["pre", "post"])
BOTH_TIES = pytest.mark.parametrize("tie_embeddings", [True, False])
DROPOUT = {"dropout": 0.3, "attention_dropout": 0.3, "feature_dropout": 0.3}


@pytest.fixture(scope="module")
def captioner(make_captioner):
    return make_captioner()


@pytest.fixture(scope="module")
def captioners(make_captioner):
    """Captioners with two blocks and dropout by `norm_order` and `tie_embeddings`, each made once."""
    made = functools.cache(functools.partial(make_captioner, num_layers=2, **DROPOUT))
    return lambda norm_order="pre", tie_embeddings=True: made(norm_order=norm_order, tie_embeddings=tie_embeddings)


@pytest.fixture
def inputs(features):
    """Two images; captions of 4 and 5 tokens in one row, one of 7 tokens and padding in the other."""
    random = np.random.default_rng(0)
    segment_ids = np.array([[1] * 4 + [2] * 5, [1] * 7 + [0] * 2], np.int32)
    positions = np.array([[*range(4), *range(5)], [*range(7), 0, 0]], np.int32)
    token_ids = np.where(segment_ids, random.integers(4, 13, (2, 9)), 0).astype(np.int32)
    return {"features": features[:2], "token_ids": token_ids, "positions": positions, "segment_ids": segment_ids}


def test_segment_mask_computed_by_hand():
    mask = np.asarray(segment_mask(np.array([[1, 1, 2, 0]], np.int32)))
    assert mask.shape == (1, 1, 4, 4)
    expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(mask[0, 0], expected)


@BOTH_NORMS
@BOTH_TIES
def test_shapes(captioners, inputs, norm_order, tie_embeddings):
    captioner = captioners(norm_order, tie_embeddings)
    logits, scores = captioner(inputs, return_attention_scores=True)
    assert logits.shape == (2, 9, 13)
    assert scores.shape == (2, 2, 2, 9, 15)
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(captioner(inputs), logits, atol=1e-6)


def test_self_attention_scores_are_returned_on_request(captioner, inputs):
    logits, scores = captioner(inputs, return_attention_scores=True)
    assert scores.shape == (2, 3, 2, 9, 15)
    both = captioner(inputs, return_attention_scores=True, return_self_attention_scores=True)
    np.testing.assert_array_equal(both[0], logits)
    np.testing.assert_array_equal(both[1], scores)
    own = np.asarray(both[2])
    assert own.shape == (2, 3, 2, 9, 9)
    np.testing.assert_allclose(own.sum(axis=-1), 1, atol=1e-5)
    seen = np.asarray(segment_mask(inputs["segment_ids"]))[:, None]
    padding = (inputs["segment_ids"] == 0)[:, None, None, :, None]
    assert not own[~np.broadcast_to(seen | padding, own.shape)].any()


def test_scores_keep_layers_and_heads_separate(captioner, inputs):
    _, scores = captioner(inputs, return_attention_scores=True)
    flat = np.asarray(scores)[0].reshape(6, -1)
    assert np.abs(flat[:, None] - flat[None]).max(axis=-1)[~np.eye(6, dtype=bool)].min() > 1e-3


def reset_dropout(captioner):
    for variable in captioner.variables:
        if "seed_generator_state" in variable.path:
            variable.assign(np.array([0, 7], np.uint32))


@pytest.mark.parametrize(
    ("norm_order", "with_scores", "training"),
    [("pre", True, True), ("pre", True, False), ("pre", False, True), ("pre", False, False), ("post", True, True)],
)
def test_later_tokens_do_not_change_earlier_logits(captioners, inputs, norm_order, with_scores, training):
    captioner = captioners(norm_order)

    def run(token_ids):
        reset_dropout(captioner)
        out = captioner(inputs | {"token_ids": token_ids}, training=training, return_attention_scores=with_scores)
        logits, scores = out if with_scores else (out, np.zeros((2, 2, 2, 9, 15)))
        return np.asarray(logits), np.asarray(scores)

    logits, scores = run(inputs["token_ids"])
    for position in (1, 3, 6):  # in the second row, one caption of 7 tokens
        changed = inputs["token_ids"].copy()
        changed[1, position] = (changed[1, position] - 4 + 1) % 9 + 4
        new_logits, new_scores = run(changed)
        np.testing.assert_allclose(new_logits[1, :position], logits[1, :position], atol=1e-6)
        np.testing.assert_allclose(new_scores[1, :, :, :position], scores[1, :, :, :position], atol=1e-6)
        assert np.abs(new_logits[1, position] - logits[1, position]).max() > 1e-3
        np.testing.assert_allclose(new_logits[0], logits[0], atol=1e-6)


def test_captions_of_a_row_do_not_attend_to_each_other(captioner, inputs):
    logits = np.asarray(captioner(inputs))
    changed = inputs["token_ids"].copy()
    changed[0, :4] = (changed[0, :4] - 4 + 1) % 9 + 4
    new = np.asarray(captioner(inputs | {"token_ids": changed}))
    np.testing.assert_allclose(new[0, 4:], logits[0, 4:], atol=1e-6)
    assert (np.abs(new[0, :4] - logits[0, :4]).max(axis=-1) > 1e-3).all()


@BOTH_NORMS
@BOTH_TIES
def test_packing_does_not_change_losses(captioners, features, norm_order, tie_embeddings):
    captioner = captioners(norm_order, tie_embeddings)
    random = np.random.default_rng(5)
    captions = [random.integers(4, 13, length).astype(np.int32) for length in (3, 7, 2, 11, 5)]

    def losses(rows):
        """Rows of captions -> per-token losses of the counted labels in order, and the masked loss."""
        width = max(sum(len(caption) - 1 for caption in row) for row in rows)
        names = ("token_ids", "positions", "segment_ids", "labels")
        arrays = {name: np.zeros((len(rows), width), np.int32) for name in names}
        for number, row in enumerate(rows):
            end = 0
            for segment, caption in enumerate(row, 1):
                begin, end = end, end + len(caption) - 1
                arrays["token_ids"][number, begin:end] = caption[:-1]
                arrays["labels"][number, begin:end] = caption[1:]
                arrays["positions"][number, begin:end] = np.arange(len(caption) - 1)
                arrays["segment_ids"][number, begin:end] = segment
        labels = arrays.pop("labels")
        logits = captioner({"features": np.repeat(features[:1], len(rows), axis=0), **arrays})
        counted = arrays["segment_ids"] > 0
        return np.asarray(token_losses(labels, logits))[counted], float(MaskedLoss()(labels, logits, counted))

    alone, mean_alone = losses([[caption] for caption in captions])
    packed, mean_packed = losses([captions])
    np.testing.assert_allclose(packed, alone, atol=1e-5)
    assert mean_packed == pytest.approx(mean_alone, abs=1e-5)
    assert mean_packed == pytest.approx(alone.mean(), abs=1e-5)


@BOTH_NORMS
@BOTH_TIES
def test_steps_with_the_cache_equal_the_full_pass(captioners, features, norm_order, tie_embeddings):
    captioner = captioners(norm_order, tie_embeddings)
    token_ids = np.random.default_rng(0).integers(0, 13, (3, 11)).astype(np.int32)
    whole = captioner(
        {
            "features": features[:3],
            "token_ids": token_ids,
            "positions": np.tile(np.arange(11), (3, 1)),
            "segment_ids": np.ones((3, 11), np.int32),
        }
    )
    keys_values, cache = captioner.keys_values(features[:3]), captioner.empty_cache(3, 11)
    for index in range(11):
        logits, cache = captioner.step(token_ids[:, index : index + 1], index, keys_values, cache)
        assert logits.shape == (3, 1, 13)
        np.testing.assert_allclose(logits[:, 0], whole[:, index], atol=1e-5)


@pytest.mark.parametrize("images", [1, 2])
def test_steps_with_ancestors_equal_the_full_pass(captioner, features, images):
    """At every position each of 3 captions continues a random one; single images use a different code path."""
    random = np.random.default_rng(0)
    ancestors = np.tile(np.arange(3)[:, None], (images, 1, 11))
    histories = np.zeros((images, 3, 11), np.int32)
    keys_values, cache = captioner.keys_values(features[:images]), captioner.empty_cache(images, 11, 3)
    steps, token_ids = [], []
    for index in range(11):
        parents = random.integers(0, 3, (images, 3))
        for table in (ancestors, histories):
            table[:, :, :index] = np.take_along_axis(table, parents[:, :, None], 1)[:, :, :index]
        histories[:, :, index] = random.integers(0, 13, (images, 3))
        logits, cache = captioner.step(histories[:, :, index], index, keys_values, cache, ancestors)
        steps.append(np.reshape(logits, (-1, 13)))
        token_ids.append(histories.reshape(images * 3, 11).copy())
    rows = 11 * images * 3
    whole = captioner(
        {
            "features": np.tile(np.repeat(features[:images], 3, axis=0), (11, 1, 1, 1)),
            "token_ids": np.concatenate(token_ids),
            "positions": np.tile(np.arange(11), (rows, 1)),
            "segment_ids": np.ones((rows, 11), np.int32),
        }
    )
    whole = np.reshape(whole, (11, images * 3, 11, 13))
    np.testing.assert_allclose(np.stack(steps), whole[np.arange(11), :, np.arange(11)], atol=1e-5)


@BOTH_TIES
def test_single_caption_has_the_same_logits_as_one_of_several(captioners, features, tie_embeddings):
    captioner = captioners(tie_embeddings=tie_embeddings)
    token_ids = np.array([[5], [5]], np.int32)
    alone, _ = captioner.step(token_ids[:1], 0, captioner.keys_values(features[:1]), captioner.empty_cache(1, 11))
    among, _ = captioner.step(token_ids, 0, captioner.keys_values(features[:2]), captioner.empty_cache(2, 11))
    np.testing.assert_allclose(alone, among[:1], atol=1e-5)


def test_image_changes_the_logits(captioner, inputs, features):
    first, other = captioner(inputs), captioner(inputs | {"features": features[2:4]})
    assert np.abs(np.asarray(first) - np.asarray(other)).max() > 1e-2


@pytest.mark.parametrize("grid", [(5, 3), (3, 3), (4, 5)])
def test_features_of_another_grid_are_rejected(captioner, inputs, grid):
    with pytest.raises(ValueError, match=r"\(3, 5\) grid"):
        captioner(inputs | {"features": np.ones((2, *grid, 7), np.float32)})


def test_num_heads_must_divide_hidden_dim(sizes):
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        CaptionerSettings(**(sizes | {"num_heads": 3}))


@BOTH_TIES
def test_adapted_model_starts_at_the_marginal_entropy(sizes, tie_embeddings):
    keras.utils.set_random_seed(0)
    vocabulary, random = 101, np.random.default_rng(0)
    captioner = Captioner(
        CaptionerSettings(**(sizes | {"vocabulary_size": vocabulary, "tie_embeddings": tie_embeddings}))
    )
    share = 1 / np.arange(1, vocabulary + 1) ** 1.5
    labels = random.choice(vocabulary, (31, 11), p=share / share.sum())
    # Scaled to a corpus a thousand times as large, so that add-one smoothing has no visible effect.
    known = captioner.token_output.adapt(1000 * np.bincount(labels.ravel(), minlength=vocabulary))
    inputs = {
        "features": random.uniform(0, 6, (31, 3, 5, 7)).astype(np.float32),
        "token_ids": np.roll(labels, 1, axis=1),
        "positions": np.tile(np.arange(11), (31, 1)),
        "segment_ids": np.ones((31, 11), np.int32),
    }
    loss = float(np.mean(token_losses(labels, captioner(inputs))))
    assert loss == pytest.approx(known.marginal, abs=0.1)
    assert known.uniform - loss > 1


def test_weights_file_keeps_the_prior_and_the_logits(make_captioner, inputs, tmp_path):
    captioner, counts = make_captioner(), np.arange(13)
    captioner.token_output.adapt(counts)
    captioner.save_weights(tmp_path / "model.weights.h5")
    again = Captioner.from_config(captioner.get_config())
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again.token_output.log_prior, log_prior(counts))
    np.testing.assert_allclose(again(inputs), captioner(inputs), atol=1e-6)


def test_half_precision_gives_finite_float32_logits(sizes, inputs):
    keras.utils.set_random_seed(0)
    captioner = Captioner(CaptionerSettings(**sizes), dtype="mixed_float16")
    captioner.token_output.adapt(np.array([0] * 12 + [10**6]))
    logits, scores = captioner(inputs, return_attention_scores=True)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    assert np.isfinite(logits).all()
    keys_values, cache = captioner.keys_values(inputs["features"]), captioner.empty_cache(2, 11)
    assert {keras.backend.standardize_dtype(part.dtype) for pair in cache for part in pair} == {"float16"}
    step, _ = captioner.step(inputs["token_ids"][:, :1], 0, keys_values, cache)
    assert keras.backend.standardize_dtype(step.dtype) == "float32"
    np.testing.assert_allclose(step[:, 0], logits[:, 0], atol=0.02)
