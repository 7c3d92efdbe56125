"""The graphs of the searches do not depend on the batch size: one traced without it finds the same captions."""

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.inference.search import decode as decoding
from caption_tx.inference.search.beam_search import beam_search
from caption_tx.inference.search.logits import gumbel_noise
from caption_tx.inference.search.sampling import run_sampling
from caption_tx.inference.search.spec import SearchInputs

# Plain greedy and beam searches without a batch size are those of exports; see tests/export and tests/lite.
OPTIONS = {
    "constraints": {"no_repeat_ngram": 2, "repetition_penalty": 1.5, "prefix": "a b", "min_length": 4},
    "sampling": {
        "temperature": 1.3, "samples": 3, "top_k": 5, "top_p": 0.9, "n_best": 3, "no_repeat_ngram": 2,
        "repetition_penalty": 1.5, "prefix": "a b", "min_length": 4,
    },
    "groups": {"beam_width": 4, "beam_groups": 2, "diversity_penalty": 0.5, "n_best": 3},
    "forced": {"beam_width": 3, "force_words": ("c", "d"), "no_repeat_ngram": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def captioner(make_captioner):
    return make_captioner(seed=5, num_layers=1)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_search_traced_without_a_batch_size_finds_the_captions_of_the_compiled_one(
    name, captioner, features, tokenizer
):
    options = DecodingOptions(**OPTIONS[name])
    search = decoding._Search(captioner, tokenizer, options, None)
    spec, seeds = search.spec(), list(range(len(features)))
    run = beam_search if spec.beam else run_sampling
    images = tf.TensorSpec((None, *captioner.settings.feature_shape), tf.float32)
    compiled = decoding._CompiledSearch(spec, len(features), None)
    inputs = SearchInputs(*map(tf.constant, search._inputs(compiled, seeds)))
    signature = [images, SearchInputs(*(tf.TensorSpec(value.shape, value.dtype) for value in inputs))]
    signature[1] = signature[1]._replace(
        random_numbers=tf.TensorSpec((None, *inputs.random_numbers.shape[1:]), tf.uint32)
    )

    @tf.function(input_signature=signature, autograph=False)
    def traced(features, inputs):
        return run(captioner, spec, features, inputs)

    expected = search.run(tf.constant(features), seeds)
    for rows in (slice(0, 7), slice(2, 4), slice(3, 4)):
        part = inputs._replace(
            num_images=tf.constant(rows.stop - rows.start), random_numbers=inputs.random_numbers[rows]
        )
        result = traced(tf.constant(features[rows]), part)
        for row, (_, token_ids, log_probs, total, finished, _) in enumerate(expected[rows]):
            # A beam search that other images prolong also returns unfinished captions, which rank last.
            usable = np.isfinite(total) & (finished | np.full(finished.shape, not (spec.beam and finished.any())))
            assert np.array_equal(result.token_ids[row][usable], token_ids[usable])
            assert np.array_equal(result.finished[row][usable], finished[usable])
            np.testing.assert_allclose(result.log_probs[row][usable], log_probs[usable], atol=2e-5)
            np.testing.assert_allclose(result.total[row][usable], total[usable], atol=1e-4)


def test_noise_of_uniforms_is_exact_near_zero_and_one():
    uniform = np.array([1e-12, 1e-7, 0.009999, 0.0100001, 0.5, 1 - 2**-24], np.float32)
    expected = -np.log(-np.log1p(-uniform.astype(np.float64)))
    np.testing.assert_allclose(gumbel_noise(tf.constant(uniform), 6), expected, rtol=1e-5, atol=1e-6)
