"""Adam, one pass over each weight."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba 2015) through TensorFlow's fused kernel, to the last bits the same update.

    Ten passes over weights, gradient and moments become one (experiments/benchmark_training.py). Clipping goes by
    the norm of the gradient itself.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One update of all weights from their gradients."""
        # Keras's norm counts each use of an embedding's row by itself, and so depends on how a batch is divided.
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
