"""Adam that updates each weight in one pass, on one device or on several."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from caption_tx.errors import CaptionTxError
from caption_tx.training.distribution import Distribution


@keras.saving.register_keras_serializable("caption_tx")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba 2015) through TensorFlow's fused kernel; updates agree up to rounding.

    One pass replaces ten over weights, gradients and moments (experiments/benchmark_training.py). Clipping uses the
    norm of the dense gradient.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Updates all weights from their gradients."""
        # For sparse gradients, Keras's norm would count each use of an embedding row separately, and so depend on
        # how a batch is divided.
        dense = [gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        super().apply(dense, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight and its two moments."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.constant(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.constant(self.beta_1, variable.dtype),
            beta2=tf.constant(self.beta_2, variable.dtype),
            epsilon=tf.constant(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )


class ClippedAdam(FusedAdam):
    """Clips the gradient of the whole batch; Keras would clip the gradient of each replica's part.

    All gradients are reduced as one vector: between machines, the number of messages costs more than their size.
    """

    def __init__(self, learning_rate: Any, clip_norm: float) -> None:
        super().__init__(learning_rate)
        self._clip_norm = clip_norm

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Keras calls this between its own clipping, which is off, and the update; no gradient is None."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)
        flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [variable.shape.num_elements() for variable in variables])
        norm = tf.norm(flat)
        scale = self._clip_norm / tf.maximum(norm, self._clip_norm)
        return [
            (tf.reshape(part * scale, variable.shape), variable)
            for part, variable in zip(parts, variables, strict=True)
        ]


def make_adam(learning_rate: Any, clip_norm: float, distribution: Distribution) -> keras.optimizers.Optimizer:
    """Adam with the norm of the gradient clipped; call it in the scope of the distribution's strategy.

    Raises:
        CaptionTxError: this version of Keras cannot train on several devices.
    """
    if not distribution.is_distributed:
        return FusedAdam(learning_rate, global_clipnorm=clip_norm)
    if not hasattr(keras.optimizers.Adam, "_all_reduce_sum_gradients"):
        raise CaptionTxError(
            f"Training on several devices needs Keras 3.15; Keras {keras.__version__} sums gradients differently."
        )
    return ClippedAdam(learning_rate, clip_norm)
