"""Baseline: Show and Tell (Vinyals et al. 2015), an LSTM with the image as its first input, on the same features.

Pooled features (the mean over the cells of MobileNet's conv_pw_12) -> dense 256, batch norm -> LSTM 256, then the
words: teacher forcing, or the model's own words with a probability that rises linearly from 0 to `--sampling`
(scheduled sampling, Bengio et al. 2015). Adam with a learning rate that halves every `--decay-epochs` epochs. The
paper uses 512 units instead of 256 and trains its CNN too.

COMMAND
    python experiments/show_tell.py --data DIR --workdir runs/show-tell-zh --language zh --cache DIR \\
        [--sampling 0.1] [--decay-epochs 3] [--backbone-weights FILE]

HARDWARE  2 cores (AMD EPYC), no GPU, shared with other work
TIME      15 to 25 s per epoch on one core

RESULT    one seed; validation split (1,000 photographs), times 100, Chinese in jieba words

    captions                B-1   B-2   B-3   B-4  ROUGE-L  CIDEr  distinct  val_token_loss
    Flickr8k-CN, beam 3    59.2  43.8  33.0  23.7     48.6   74.3       315  2.353 (best epoch 10 of 12)
    Flickr8k-CN, greedy    58.8  43.2  32.4  23.1     47.8   71.2       319
    English, beam 3        58.0  39.2  25.6  16.8     42.0   37.9       548  2.968 (best epoch 12 of 12)
    English, greedy        52.8  34.9  21.5  13.5     40.8   33.6       577

In characters, Flickr8k-CN with beam 3 has B-4 35.0 and CIDEr 116.7. Without batch norm, with `--sampling 0.25` and 8
epochs, the loss on Flickr8k-CN stays at 2.764, and beam 3 gives the same caption for all 1,000 photographs (B-4 7.0,
CIDEr 16.9): the LSTM state is dominated by what all images share, and the model learns only the captions.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from recurrent import BATCH_SIZE, fit, make_parser, prepare, report

from caption_tx.config import BackboneConfig


class ShowTell(keras.Model):
    """An LSTM whose first input is the image, followed by the words (Vinyals et al. 2015).

    In training, each word is replaced with probability `sampling_rate` by a word sampled from the model (scheduled
    sampling, Bengio et al. 2015).

    Args:
        vocabulary_size: V.
        channels: C of the pooled features.
        width: of image, words and LSTM.
        dropout: of the inputs, with one mask for all words of a caption (Gal and Ghahramani 2016), and of the outputs.
    """

    def __init__(self, vocabulary_size: int, channels: int, width: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.image = keras.layers.Dense(width)
        # Without it, what all images share dominates the LSTM, and all captions become the same.
        self.image_norm = keras.layers.BatchNormalization(momentum=0.9)  # 0.99 is too slow for so few steps
        self.embedding = keras.layers.Embedding(vocabulary_size, width)
        self.cell = keras.layers.LSTMCell(width)
        self.output_layer = keras.layers.Dense(vocabulary_size)
        self.input_dropout, self.output_dropout = keras.layers.Dropout(dropout), keras.layers.Dropout(dropout)
        self.seed_generator = keras.random.SeedGenerator()
        self.sampling_rate = self.add_weight((), "zeros", trainable=False, name="sampling_rate")
        self({"features": np.zeros((1, channels), np.float32), "token_ids": np.zeros((1, 2), np.int32)})

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """`features` (B, C) and `token_ids` (B, T) -> logits (B, T, V)."""
        tokens = ops.transpose(inputs["token_ids"])  # (T, B)
        state = self.begin(inputs["features"], training)
        mask = self.input_dropout(ops.ones_like(state[0]), training=training)
        coins, draws = (keras.random.uniform(ops.shape(tokens), seed=self.seed_generator) for _ in range(2))

        def advance(carry: tuple[Any, ...], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            *state, sampled = carry
            words, coin, draw = inputs
            words = ops.where(coin < self.sampling_rate, sampled, words) if training else words
            hidden, state = self.cell(self.embedding(words) * mask, state)
            return (*state, self._sample(hidden, draw) if training else sampled)

        # The first sampled word is the start token, because no word was sampled before.
        hidden, *_ = tf.scan(advance, (tokens, coins, draws), (*state, tokens[0]))  # (T, B, D)
        return self.output_layer(self.output_dropout(ops.transpose(hidden, (1, 0, 2)), training=training))

    def _sample(self, hidden: Any, uniforms: Any) -> Any:
        """One word for each row of (B, D), sampled from the model; `uniforms` (B,) are in [0, 1)."""
        cumulative = ops.cumsum(ops.softmax(ops.stop_gradient(self.output_layer(hidden))), axis=-1)
        words = ops.sum(ops.cast(cumulative < uniforms[:, None], "int32"), axis=-1)
        return ops.minimum(words, cumulative.shape[-1] - 1)  # rounding may keep the sum below 1

    def begin(self, features: Any, training: bool | None = None) -> list[Any]:
        """(B, C) -> the LSTM state after the image."""
        image = self.image_norm(self.image(features), training=training)
        return self.cell(image, [ops.zeros_like(image), ops.zeros_like(image)])[1]

    def step(self, token_ids: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """int (B,) -> logits (B, V) and the new state."""
        hidden, state = self.cell(self.embedding(token_ids), state)
        return self.output_layer(hidden), state


class LinearSampling(keras.callbacks.Callback):
    """Raises the sampling rate linearly from 0 in the first epoch to `rate` in the last."""

    def __init__(self, rate: float, epochs: int) -> None:
        super().__init__()
        self.rates = np.linspace(0.0, rate, max(epochs, 2))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.sampling_rate.assign(self.rates[epoch])


def main() -> None:
    parser = make_parser(__doc__, epochs=12)
    parser.add_argument("--sampling", type=float, default=0.1, help="sampling rate in the last epoch")
    parser.add_argument("--decay-epochs", type=float, default=3, help="epochs after which the learning rate halves")
    arguments = parser.parse_args()
    data, log = prepare(arguments, BackboneConfig())
    model = ShowTell(data.tokenizer.vocabulary_size, data.channels)
    log(f"{model.count_params():,} weights.")
    [packed] = data.prepared.train.values()
    steps = round(arguments.decay_epochs * len(packed.tokens) / BATCH_SIZE)
    rate = keras.optimizers.schedules.ExponentialDecay(2e-3, steps, 0.5, staircase=True)
    sampling = LinearSampling(arguments.sampling, arguments.epochs)
    fit(model, data, keras.optimizers.Adam(rate, clipnorm=5.0), arguments, [sampling])
    report(model, data, arguments.language, arguments.workdir, log)


if __name__ == "__main__":
    main()
