"""A search as one XLA program of static shapes (experiments/benchmark_decoding.py says what that gives)."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

import tensorflow as tf

from caption_tx.inference.search.beam_search import beam_search
from caption_tx.inference.search.sampling import draw
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec
from caption_tx.model.captioner import Captioner


def compile_search(captioner: Captioner, plan: SearchSpec) -> Callable[[tf.Tensor, SearchInputs], SearchResult]:
    """The search of this plan with this captioner, whose weights it reads anew at every call."""
    held = ref(captioner)  # the graph is kept for as long as the captioner lives, so it may not keep it alive
    run = beam_search if plan.beam else draw

    def search(features: tf.Tensor, numbers: SearchInputs) -> SearchResult:
        return run(held(), plan, features, numbers)

    whole, real, scalar = tf.int32, tf.float32, ()
    signature = [
        tf.TensorSpec((plan.batch, *captioner.settings["feature_shape"]), real),
        SearchInputs(
            count=tf.TensorSpec(scalar, whole),
            suppressed=tf.TensorSpec((captioner.vocabulary_size,), tf.bool),
            prefix=tf.TensorSpec((plan.length,), whole),
            prefix_length=tf.TensorSpec(scalar, whole),
            min_length=tf.TensorSpec(scalar, whole),
            first_track=tf.TensorSpec(scalar, whole),
            temperature=tf.TensorSpec(scalar, real),
            top_k=tf.TensorSpec(scalar, whole),
            top_p=tf.TensorSpec(scalar, real),
            repetition_penalty=tf.TensorSpec(scalar, real),
            length_penalty=tf.TensorSpec(scalar, real),
            diversity_penalty=tf.TensorSpec(scalar, real),
            keys=tf.TensorSpec((plan.batch, plan.group, plan.length if plan.drawn else 0, 2), tf.uint32),
        ),
    ]
    search = tf.function(search, input_signature=signature, autograph=False, jit_compile=True)
    search.get_concrete_function()  # traced here and now: several threads may run it
    return search
