"""What each cell of an image alone says about the tokens of a caption, as one compiled graph per captioner.

Letters: B captions, T tokens, S = h*w cells, V words.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from weakref import WeakKeyDictionary, ref

import tensorflow as tf

from caption_tx.model.captioner import Captioner

_compiled: WeakKeyDictionary[Captioner, Callable[..., tf.Tensor]] = WeakKeyDictionary()
_compiling = Lock()


def cell_log_probabilities(captioner: Captioner, inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
    """The natural log-probability of each label from each cell alone, float32 (B, S, T).

    Compiled, since eager operations would take longer to start than to run.

    Args:
        inputs: as for `Captioner.call`.
        labels: int32 (B, T), the token that follows each position.
    """
    with _compiling:
        if captioner not in _compiled:
            _compiled[captioner] = _compile(captioner)
    return _compiled[captioner](inputs, labels)


def _compile(captioner: Captioner) -> Callable[..., tf.Tensor]:
    captioner_ref = ref(captioner)  # the cache must not keep it alive

    def read(inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
        logits = captioner_ref().logits_of_cells(inputs)  # (B, S, T, V)
        labels = tf.repeat(labels[:, None], tf.shape(logits)[1], axis=1)  # (B, S, T)
        return tf.gather(logits, labels, batch_dims=3) - tf.reduce_logsumexp(logits, axis=-1)

    tokens = tf.TensorSpec((None, None), tf.int32)
    features = tf.TensorSpec((None, *captioner.settings.feature_shape), tf.float32)
    inputs = {"features": features, "token_ids": tokens, "positions": tokens, "segment_ids": tokens}
    read = tf.function(read, input_signature=[inputs, tokens], autograph=False)
    read.get_concrete_function()  # trace now: several threads may call it later
    return read
