"""Overrides for Keras 3 `fit` with several devices or workers, applied only if this Keras needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf

from caption_tx.training.distribution import Distribution


class BuildFromSpec:
    """Builds a model from the element spec of its dataset.

    Keras takes a first batch and averages its parts, which may have different shapes, and turns token_ids into floats.
    Taking a batch also shuffles once more, so that epochs have another order than in a single process.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None:
            spec = iterator.data_adapter.get_tf_dataset().element_spec
            # If a batch comes in parts, the spec of the first part.
            data_batch = keras.tree.map_structure(lambda part: getattr(part, "_value_specs", [part])[0], spec)
        super()._maybe_symbolic_build(data_batch=data_batch)


class VectorMetrics:
    """Gives the metrics of a step the shape (1,), since Keras averages them over workers along an axis.

    The logs of an epoch are not affected: they come from the metrics themselves, which sum over all workers.
    """

    def train_step(self, data: Any) -> Any:
        return keras.tree.map_structure(lambda value: keras.ops.reshape(value, (1,)), super().train_step(data))

    def test_step(self, data: Any) -> Any:
        return keras.tree.map_structure(lambda value: keras.ops.reshape(value, (1,)), super().test_step(data))


def build_needs_patch(strategy: tf.distribute.Strategy) -> bool:
    """Whether this Keras averages the parts of a batch to find its shapes."""
    reduced = []

    class RecordingStrategy:
        scope = contextlib.nullcontext
        experimental_local_results = strategy.experimental_local_results

        def reduce(self, operation: Any, value: Any, axis: int | None) -> Any:
            reduced.append(value)

    batch = (strategy.experimental_distribute_values_from_function(lambda _: tf.zeros((1, 1))),)
    recorder = RecordingStrategy()
    model = SimpleNamespace(
        _distribute_strategy=recorder, distribute_strategy=recorder, _symbolic_build=lambda data_batch=None: None
    )
    build = getattr(keras.Model, "_maybe_symbolic_build", None)
    if build is None:
        return False
    # A Keras with other internals needs no patch.
    with contextlib.suppress(AttributeError, TypeError):
        build(model, iterator=iter([(0, 0, iter([batch]))]))
    return bool(reduced)


def metrics_need_patch(strategy: tf.distribute.Strategy) -> bool:
    """Whether this Keras reduces the metrics of a step over an axis that scalars lack.

    All workers must call it together: if Keras works, the call is a reduction over all of them.
    """
    reduce: Callable | None = None
    with contextlib.suppress(ImportError):
        from keras.src.backend.tensorflow import trainer

        reduce = getattr(trainer, "reduce_per_replica", None)
    if reduce is None:
        return False
    try:
        reduce(tf.ones(()), strategy, "auto")
    except ValueError:
        return True
    return False


def patched(model_class: type, distribution: Distribution) -> type:
    """The model class with the overrides that this Keras needs for the distribution; the class itself if none."""
    mixins: list[type] = []
    if distribution.is_distributed and build_needs_patch(distribution.strategy):
        mixins.append(BuildFromSpec)
    if distribution.world_size > 1 and metrics_need_patch(distribution.strategy):
        mixins.append(VectorMetrics)
    return type(model_class.__name__, (*mixins, model_class), {}) if mixins else model_class
