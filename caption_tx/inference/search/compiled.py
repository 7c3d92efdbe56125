"""A search as one XLA program with static shapes; experiments/benchmark_decoding.py has the speed."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

import tensorflow as tf

from caption_tx.inference.search.beam_search import beam_search
from caption_tx.inference.search.sampling import run_sampling
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec
from caption_tx.model.captioner import Captioner


def compile_search(
    captioner: Captioner, spec: SearchSpec, batch_size: int
) -> Callable[[tf.Tensor, SearchInputs], SearchResult]:
    """Compile a search of `batch_size` images with this captioner. Later changes of its weights take effect.

    Returns:
        A function of features (B, h, w, C) and the other inputs.
    """
    captioner_ref = ref(captioner)  # compiled searches are cached per captioner and must not keep it alive
    run = beam_search if spec.beam else run_sampling

    def search(features: tf.Tensor, inputs: SearchInputs) -> SearchResult:
        return run(captioner_ref(), spec, features, inputs)

    random_bits_shape = (batch_size, spec.num_hypotheses, spec.length if spec.sampled else 0, 2)
    signature = [
        tf.TensorSpec((batch_size, *captioner.settings.feature_shape), tf.float32),
        SearchInputs(
            num_images=tf.TensorSpec((), tf.int32),
            suppressed=tf.TensorSpec((captioner.vocabulary_size,), tf.bool),
            prefix=tf.TensorSpec((spec.length,), tf.int32),
            prefix_length=tf.TensorSpec((), tf.int32),
            min_length=tf.TensorSpec((), tf.int32),
            first_track=tf.TensorSpec((), tf.int32),
            temperature=tf.TensorSpec((), tf.float32),
            top_k=tf.TensorSpec((), tf.int32),
            top_p=tf.TensorSpec((), tf.float32),
            repetition_penalty=tf.TensorSpec((), tf.float32),
            length_penalty=tf.TensorSpec((), tf.float32),
            diversity_penalty=tf.TensorSpec((), tf.float32),
            random_numbers=tf.TensorSpec(random_bits_shape, tf.uint32),
        ),
    ]
    search = tf.function(search, input_signature=signature, autograph=False, jit_compile=True)
    search.get_concrete_function()  # trace now: several threads may call it later
    return search
