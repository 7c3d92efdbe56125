"""Faster versions of the Keras layers that dominate a training step on CPUs, with few operations each.

Each computes the same as Keras, with a hand-written gradient. `experiments/benchmark_training.py` measures the gain.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@ops.custom_gradient
def gelu(x: Any) -> tuple[Any, Any]:
    """Gaussian error linear unit in its tanh approximation (Hendrycks and Gimpel 2016), for any shape.

    tanh is expressed by a sigmoid. Everything is computed in float32, since elementwise operations on bfloat16 take
    twice as long on CPUs.
    """
    linear, cubic = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
    z = ops.cast(x, "float32")
    factor = ops.square(z) * cubic + linear
    gate = ops.sigmoid(z * factor)

    def gradient(upstream: Any) -> Any:
        slope = gate * ((1 - gate) * z * (3 * factor - 2 * linear) + 1)
        return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

    return ops.cast(z * gate, x.dtype), gradient


@keras.saving.register_keras_serializable("caption_tx")
class Dense(keras.layers.Dense):
    """Keras's dense layer without activation, as one matrix product into which TensorFlow fuses the bias.

    The gradient of the bias is a matrix product too.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(..., C) -> (..., units)."""
        x = ops.cast(inputs, self.compute_dtype)
        kernel, bias = (ops.cast(weight, x.dtype) for weight in (self.kernel, self.bias))
        out = _affine(ops.reshape(x, (-1, x.shape[-1])), kernel, bias)
        return ops.reshape(out, (*ops.shape(x)[:-1], self.units))


@ops.custom_gradient
def _affine(rows: Any, kernel: Any, bias: Any) -> tuple[Any, Any]:
    """Affine map: rows (R, C), kernel (C, U), bias (U,) -> (R, U)."""

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        ones = ops.ones((1, ops.shape(rows)[0]), upstream.dtype)
        return (
            ops.matmul(upstream, ops.transpose(kernel)),
            ops.matmul(ops.transpose(rows), upstream),
            ops.matmul(ones, upstream)[0],
        )

    return ops.add(ops.matmul(rows, kernel), bias), gradient


@keras.saving.register_keras_serializable("caption_tx")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's layer normalization over the last axis (Ba et al. 2016), computed in float32."""

    def call(self, inputs: Any) -> Any:
        """(..., C) -> the same shape."""
        x = ops.cast(inputs, self.compute_dtype)
        rows = ops.cast(ops.reshape(x, (-1, x.shape[-1])), "float32")
        gamma, beta = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        return ops.reshape(ops.cast(_normalize(rows, gamma, beta, self.epsilon), x.dtype), ops.shape(x))


def _normalize(rows: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalize rows (R, C) to mean 0 and variance 1, then scale by gamma (C,) and add beta (C,)."""

    @ops.custom_gradient
    def normalize(rows: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        centered = rows - ops.mean(rows, axis=-1, keepdims=True)
        inverse = ops.rsqrt(ops.mean(ops.square(centered), axis=-1, keepdims=True) + epsilon)
        normalized = centered * inverse

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            product = upstream * normalized
            # A matrix product with this column is the mean over a row, weighted by gamma.
            column = gamma[:, None] / gamma.shape[0]
            inner = upstream * gamma - ops.matmul(upstream, column) - normalized * ops.matmul(product, column)
            return inner * inverse, ops.sum(product, axis=0), ops.sum(upstream, axis=0)

        return normalized * gamma + beta, gradient

    return normalize(rows, gamma, beta)


@keras.saving.register_keras_serializable("caption_tx")
class Dropout(keras.layers.Layer):
    """Dropout (Srivastava et al. 2014) that decides each entry by 8 random bits.

    Drawing a 32-bit number per entry takes a tenth of a training step on CPUs (experiments/benchmark_training.py).

    Args:
        rate: fraction of the entries to drop, in [0, 1), rounded to a multiple of 1/256.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.threshold = min(round(rate * 256), 255)
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Drop entries of x, of any shape, and scale the others up, in training only."""
        if not (training and self.threshold):
            return x
        size = ops.size(x)
        # Without limits, all 32 bits of an integer are random.
        words = keras.random.randint(((size + 3) // 4, 1), None, None, "int32", self.seed_generator)
        bits = ops.reshape(ops.reshape(ops.view(words, "uint8"), (-1,))[:size], ops.shape(x))
        kept = bits >= self.threshold
        return x * ops.where(kept, ops.cast(256 / (256 - self.threshold), x.dtype), ops.cast(0, x.dtype))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
