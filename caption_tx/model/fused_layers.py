"""What most of a training step's time goes to, in few operations each: their number and size is what a CPU feels.

Each equals Keras's, with a gradient written out; `experiments/benchmark_training.py` measures what that is worth.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@ops.custom_gradient
def gelu(x: Any) -> tuple[Any, Any]:
    """x times the normal distribution function of x, any shape: the form with tanh of Hendrycks and Gimpel 2016.

    tanh is written by the sigmoid, and all is computed in float32: small operations on bfloat16 take twice as long.
    """
    linear, cubic = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
    z = ops.cast(x, "float32")
    factor = ops.square(z) * cubic + linear
    share = ops.sigmoid(z * factor)

    def gradient(upstream: Any) -> Any:
        slope = share * ((1 - share) * z * (3 * factor - 2 * linear) + 1)
        return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

    return ops.cast(z * share, x.dtype), gradient


class Dense(keras.layers.Dense):
    """Keras's dense layer without activation, as one product of matrices whose bias TensorFlow adds in the same pass.

    The gradient of the bias is a product too.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(..., C) -> (..., units)."""
        x = ops.cast(inputs, self.compute_dtype)
        kernel, bias = (ops.cast(weight, x.dtype) for weight in (self.kernel, self.bias))
        out = _affine(ops.reshape(x, (-1, x.shape[-1])), kernel, bias)
        return ops.reshape(out, (*ops.shape(x)[:-1], self.units))


@ops.custom_gradient
def _affine(rows: Any, kernel: Any, bias: Any) -> tuple[Any, Any]:
    """rows (R, C), kernel (C, U), bias (U,) -> (R, U)."""

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        ones = ops.ones((1, ops.shape(rows)[0]), upstream.dtype)
        return (
            ops.matmul(upstream, ops.transpose(kernel)),
            ops.matmul(ops.transpose(rows), upstream),
            ops.matmul(ones, upstream)[0],
        )

    return ops.add(ops.matmul(rows, kernel), bias), gradient


class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's normalisation over the last axis (Ba et al. 2016), computed in float32."""

    def call(self, inputs: Any) -> Any:
        """(..., C) -> the same shape."""
        x = ops.cast(inputs, self.compute_dtype)
        rows = ops.cast(ops.reshape(x, (-1, x.shape[-1])), "float32")
        gamma, beta = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        return ops.reshape(ops.cast(_normalize(rows, gamma, beta, self.epsilon), x.dtype), ops.shape(x))


def _normalize(rows: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """rows (R, C), each with mean 0 and variance 1, times gamma (C,) plus beta (C,) -> (R, C)."""

    @ops.custom_gradient
    def normalize(rows: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        centered = rows - ops.mean(rows, axis=-1, keepdims=True)
        inverse = ops.rsqrt(ops.mean(ops.square(centered), axis=-1, keepdims=True) + epsilon)
        normalized = centered * inverse

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            product = upstream * normalized
            # The mean over a row, weighed by gamma, as a product with a column.
            column = gamma[:, None] / gamma.shape[0]
            inner = upstream * gamma - ops.matmul(upstream, column) - normalized * ops.matmul(product, column)
            return inner * inverse, ops.sum(product, axis=0), ops.sum(upstream, axis=0)

        return normalized * gamma + beta, gradient

    return normalize(rows, gamma, beta)


class Dropout(keras.layers.Layer):
    """Sets a random share of the entries to zero in training, and scales the others up (Srivastava et al. 2014).

    `rate` in [0, 1) is rounded to a multiple of 1/256, since an entry is decided by 8 random bits: drawing a
    32-bit number for each was a tenth of a training step on a CPU (experiments/benchmark_training.py).
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.dropped_of_256 = min(round(rate * 256), 255)
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Any shape -> the same."""
        if not (training and self.dropped_of_256):
            return x
        size = ops.size(x)
        # No limits: all 32 bits of an integer are random.
        words = keras.random.randint(((size + 3) // 4, 1), None, None, "int32", self.seed_generator)
        bits = ops.reshape(ops.reshape(ops.view(words, "uint8"), (-1,))[:size], ops.shape(x))
        kept = bits >= self.dropped_of_256
        return x * ops.where(kept, ops.cast(256 / (256 - self.dropped_of_256), x.dtype), ops.cast(0, x.dtype))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
