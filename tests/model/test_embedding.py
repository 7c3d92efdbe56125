"""Token and position embeddings, and pretrained word vectors: frozen or trained, of any width, in every use."""

import keras
import numpy as np
import pytest

from caption_tx.bundle import Bundle, load_bundle, save_bundle
from caption_tx.config import TextConfig
from caption_tx.model.captioner import Captioner
from caption_tx.model.embedding import TokenAndPositionEmbedding
from caption_tx.model.settings import CaptionerSettings
from caption_tx.training.objective import MaskedLoss
from caption_tx.training.training_model import TrainingModel

BOTH_TIES = pytest.mark.parametrize("tie_embeddings", [True, False])
WIDTHS = pytest.mark.parametrize("width", [19, 22], ids=["projected", "as wide"])
HAS_VECTOR = np.arange(13) % 3 == 1


def vectors(width):
    return (np.random.default_rng(5).normal(0, 0.4, (13, width)) * HAS_VECTOR[:, None]).astype(np.float32)


@pytest.fixture
def make(sizes):
    """With one block, since embeddings are below all blocks."""

    def make(width, dtype=None, **changes):
        keras.utils.set_random_seed(0)
        settings = CaptionerSettings(**(sizes | {"num_layers": 1, "embedding_dim": width} | changes))
        captioner = Captioner(settings, dtype=dtype)
        captioner.embedding.assign_vectors(vectors(width), HAS_VECTOR)
        captioner.token_output.adapt(np.arange(13) + 1)
        return captioner

    return make


@pytest.fixture
def inputs(features):
    random = np.random.default_rng(0)
    return {
        "features": features[:2],
        "token_ids": random.integers(0, 13, (2, 9)).astype(np.int32),
        "positions": np.tile(np.arange(9, dtype=np.int32), (2, 1)),
        "segment_ids": np.ones((2, 9), np.int32),
    }


@WIDTHS
def test_vectors_are_unchanged_and_other_rows_random_of_their_size(make, width):
    tokens = np.asarray(make(width).embedding.tokens)
    np.testing.assert_array_equal(tokens[HAS_VECTOR], vectors(width)[HAS_VECTOR])
    assert np.std(tokens[~HAS_VECTOR]) == pytest.approx(0.4, rel=0.15)


@BOTH_TIES
@WIDTHS
def test_new_captioner_predicts_the_word_frequencies(make, inputs, sizes, width, tie_embeddings):
    """Initial logits are those of learned embeddings, whatever the size of the vectors."""
    captioner = make(width, tie_embeddings=tie_embeddings)
    plain = Captioner(CaptionerSettings(**(sizes | {"num_layers": 1, "tie_embeddings": tie_embeddings})))
    spread = {
        model: np.std(np.asarray(model(inputs)) - np.asarray(model.token_output.log_prior))
        for model in (captioner, plain)
    }
    assert 0.3 * spread[plain] < spread[captioner] < 3 * spread[plain]


@pytest.mark.parametrize(
    ("width", "tie_embeddings", "freeze"),
    [(19, True, True), (22, False, True), (19, False, False), (22, True, False)],
)
def test_training_changes_only_vectors_that_are_not_frozen(make, inputs, width, tie_embeddings, freeze):
    captioner = make(width, tie_embeddings=tie_embeddings, freeze_embeddings=freeze)
    before = np.array(captioner.embedding.tokens)
    model = TrainingModel(captioner)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), MaskedLoss(0.1), run_eagerly=True)  # tracing takes longer
    inputs["token_ids"] = np.resize(np.arange(13, dtype=np.int32), (2, 9))
    labels = np.resize(np.arange(12, -1, -1), (2, 9))
    model.train_on_batch(inputs, labels, sample_weight=np.ones((2, 9), np.float32))
    moved = (np.asarray(captioner.embedding.tokens) != before).any(axis=1)
    np.testing.assert_array_equal(moved, ~HAS_VECTOR if freeze else np.ones(13, bool))


@BOTH_TIES
@WIDTHS
def test_steps_equal_the_full_pass(make, inputs, width, tie_embeddings):
    captioner = make(width, tie_embeddings=tie_embeddings, freeze_embeddings=True)
    logits, scores = captioner(inputs, return_attention_scores=True)
    assert scores.shape == (2, 1, 2, 9, 15)
    keys_values, cache = captioner.keys_values(inputs["features"]), captioner.empty_cache(2, 9)
    for position in range(9):
        step, cache = captioner.step(inputs["token_ids"][:, position : position + 1], position, keys_values, cache)
        np.testing.assert_allclose(step[:, 0], logits[:, position], atol=1e-4)


@WIDTHS
def test_half_precision(make, inputs, width):
    captioner = make(width, "mixed_float16", freeze_embeddings=True)
    logits = captioner(inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    keys_values, cache = captioner.keys_values(inputs["features"]), captioner.empty_cache(2, 9)
    step, _ = captioner.step(inputs["token_ids"][:, :1], 0, keys_values, cache)
    np.testing.assert_allclose(step[:, 0], logits[:, 0], atol=0.02)


def test_bundle_restores_vectors(make, inputs, tokenizer, backbone, tmp_path):
    captioner = make(19, freeze_embeddings=True)
    bundle = Bundle(
        captioner, tokenizer, TextConfig("en"), backbone.config, backbone.key | {"feature_shape": [3, 5, 7]}
    )
    save_bundle(bundle, tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle").captioner
    np.testing.assert_array_equal(again.embedding.tokens, captioner.embedding.tokens)
    np.testing.assert_array_equal(again.embedding.frozen, HAS_VECTOR)
    np.testing.assert_array_equal(again(inputs), captioner(inputs))


@pytest.mark.parametrize(
    ("rows", "has_vector"), [((13, 20), HAS_VECTOR), ((12, 19), HAS_VECTOR), ((13, 19), np.zeros(13, bool))]
)
def test_vectors_of_another_shape_are_rejected(make, rows, has_vector):
    with pytest.raises(ValueError, match=r"Expected vectors of shape \(13, 19\)"):
        make(19).embedding.assign_vectors(np.ones(rows), has_vector)


def test_position_embeddings_do_not_start_as_copies_of_the_token_embeddings():
    layer = TokenAndPositionEmbedding(13, 11, 33)
    layer.build()
    distance = np.abs(layer.tokens.numpy()[:, None] - layer.positions.numpy()).max(axis=-1)
    assert distance.min() > 1e-3


def test_embedding_adds_token_and_position():
    layer = TokenAndPositionEmbedding(13, 11, 33)
    token_ids, positions = np.array([[3, 12, 3]]), np.array([[0, 1, 10]])
    embedded = np.asarray(layer(token_ids, positions))
    assert embedded.shape == (1, 3, 33)
    expected = (layer.tokens.numpy()[token_ids] + layer.positions.numpy()[positions]) * np.sqrt(33)
    np.testing.assert_allclose(embedded, expected, rtol=1e-5)
