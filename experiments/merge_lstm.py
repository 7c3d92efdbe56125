"""Baseline: the merge captioner (Tanti et al. 2017 and 2018), an LSTM that never sees the image, on the same features.

Pooled features -> dropout -> dense 256; embedding -> dropout -> LSTM 256; sum; dense 256; softmax. Each preset stands
for a published model. `--features mobilenet` runs the decoder of a preset on MobileNet's pooled features (the mean
over the 49 cells of conv_pw_12), for machines without the weights of its own backbone. Without `--word-vectors`, a
preset with frozen word vectors learns an embedding of the same size instead, and logs so.

COMMAND
    python experiments/merge_lstm.py --data DIR --workdir runs/merge-zh --language zh --epochs 12 --cache DIR \\
        [--preset mobilenet] [--features mobilenet] [--word-vectors FILE] [--backbone-weights FILE]

`flickr8k.py` describes DIR.

HARDWARE  2 cores (AMD EPYC), no GPU, shared with other work
TIME      20 s per epoch with little other work

RESULT    preset mobilenet, one seed; validation split (1,000 photographs), times 100, Chinese in jieba words

    captions                B-1   B-2   B-3   B-4  ROUGE-L  CIDEr  distinct  val_token_loss
    Flickr8k-CN, beam 3    54.5  39.7  29.4  21.1     46.1   68.3       220  2.332 (best epoch 10 of 12)
    Flickr8k-CN, greedy    53.5  37.9  27.9  19.4     45.1   61.3       261
    English, beam 3        57.5  37.8  24.5  15.9     41.1   35.9       609  2.881 (best epoch 10 of 12)
    English, greedy        55.0  35.6  21.9  13.7     40.9   32.6       672

In characters, Flickr8k-CN with beam 3 has B-4 31.9 and CIDEr 106.1. The other presets, and word vectors from a file,
were only tested for one training step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from recurrent import fit, make_parser, prepare, report

from caption_tx.config import BackboneConfig
from caption_tx.data.text.word_vectors import WordVectors, read_word_vectors
from caption_tx.errors import ConfigError

WIDTH = 256


@dataclass(frozen=True)
class Preset:
    """A published baseline. `vectors` is the size of its frozen word vectors; 0 means a learned embedding."""

    description: str
    backbone: BackboneConfig
    lstm_layers: int = 1
    vectors: int = 0
    min_frequency: int = 4


class MergeCaptioner(keras.Model):
    """Predicts the next word from the sum of the encoded image and the encoded words (Tanti et al. 2018, "merge").

    The LSTM never sees the image. One pass over a caption is equivalent to the usual training on each prefix, because
    the LSTM state of a prefix is the state of the caption at that position.

    Args:
        vocabulary_size: V.
        channels: C of the pooled features.
        width: of the image, the LSTM, their sum and the hidden layer.
        lstm_layers: number of stacked LSTMs.
        embeddings: (V, E) frozen word vectors; without them, an embedding of `embedding_dim` is learned.
    """

    def __init__(
        self,
        vocabulary_size: int,
        channels: int,
        width: int = WIDTH,
        lstm_layers: int = 1,
        embedding_dim: int = WIDTH,
        embeddings: np.ndarray | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        embedding_dim = embedding_dim if embeddings is None else embeddings.shape[1]
        self.image_dropout, self.word_dropout = keras.layers.Dropout(dropout), keras.layers.Dropout(dropout)
        self.image = keras.layers.Dense(width, activation="relu")
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, trainable=embeddings is None)
        self.lstms = [keras.layers.LSTM(width, return_sequences=True) for _ in range(lstm_layers)]
        self.hidden = keras.layers.Dense(width, activation="relu")
        self.output_layer = keras.layers.Dense(vocabulary_size)
        self({"features": np.zeros((1, channels), np.float32), "token_ids": np.zeros((1, 2), np.int32)})
        if embeddings is not None:
            self.embedding.embeddings.assign(embeddings)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """`features` (B, C) and `token_ids` (B, T) -> logits (B, T, V)."""
        image = self.image(self.image_dropout(inputs["features"], training=training))
        words = self.word_dropout(self.embedding(inputs["token_ids"]), training=training)
        for lstm in self.lstms:
            words = lstm(words)
        return self.output_layer(self.hidden(image[:, None] + words))

    def begin(self, features: Any) -> list[Any]:
        """(B, C) -> the encoded image and the two states of every LSTM."""
        image = self.image(features)
        return [image, *(ops.zeros_like(image) for _ in range(2 * len(self.lstms)))]

    def step(self, token_ids: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """int (B,) -> logits (B, V) and the new state."""
        image, words, states = state[0], self.embedding(token_ids), []
        for index, lstm in enumerate(self.lstms):
            words, new = lstm.cell(words, state[1 + 2 * index : 3 + 2 * index])
            states += new
        return self.output_layer(self.hidden(image + words)), [image, *states]


PRESETS = {
    "mobilenet": Preset("no published model: MobileNet's pooled features, which need no download", BackboneConfig()),
    "vgg16": Preset(
        "the merge captioner of tutorials (Brownlee 2017, after Tanti et al. 2017): 4096 values of VGG16 before its "
        "classifier, learned embedding",
        BackboneConfig("VGG16", feature_layer="fc2"),
    ),
    "resnet50": Preset(
        "ResNet50's 2048 pooled values, four LSTM layers, frozen 300-d word vectors",
        BackboneConfig("ResNet50", feature_layer="avg_pool"),
        lstm_layers=4,
        vectors=300,
    ),
    "inceptionv3": Preset(
        "InceptionV3's 2048 pooled values, frozen 200-d GloVe vectors, words seen at least 10 times",
        BackboneConfig("InceptionV3", feature_layer="avg_pool"),
        vectors=200,
        min_frequency=10,
    ),
}
"""Presets whose paper states no minimum word frequency use 4, the default of caption_tx."""


def fill_missing(vectors: WordVectors, seed: int) -> np.ndarray:
    """The vectors (V, E), with random ones of the same scale for words and special tokens that the file lacks."""
    scale = float(np.sqrt(np.mean(np.square(vectors.matrix[vectors.has_vector]))))
    random = np.random.default_rng(seed).normal(0, scale, vectors.matrix.shape)
    return np.where(vectors.has_vector[:, None], vectors.matrix, random).astype(np.float32)


def main() -> None:
    parser = make_parser(__doc__, epochs=20)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="mobilenet")
    parser.add_argument("--features", choices=("mobilenet",), help="instead of the features of the preset's backbone")
    parser.add_argument("--word-vectors", metavar="FILE", help="word2vec, GloVe or fastText text file")
    arguments = parser.parse_args()
    preset = PRESETS[arguments.preset]
    backbone = BackboneConfig() if arguments.features else preset.backbone
    data, log = prepare(arguments, backbone, preset.min_frequency)
    log(f"Preset {arguments.preset}: {preset.description}.")
    embeddings = None
    if arguments.word_vectors is not None:
        if not preset.vectors:
            raise ConfigError(f"Preset {arguments.preset} learns its embedding; remove --word-vectors.")
        vectors = read_word_vectors(arguments.word_vectors, data.tokenizer.vocabulary)
        log(vectors.summary(data.prepared.label_counts))
        embeddings = fill_missing(vectors, arguments.seed)
    elif preset.vectors:
        log(
            f"No --word-vectors: learning an embedding of size {preset.vectors} instead of the preset's frozen vectors."
        )
    model = MergeCaptioner(
        data.tokenizer.vocabulary_size,
        data.channels,
        lstm_layers=preset.lstm_layers,
        embedding_dim=preset.vectors or WIDTH,
        embeddings=embeddings,
    )
    log(f"{model.count_params():,} weights.")
    fit(model, data, keras.optimizers.Adam(1e-3), arguments)
    report(model, data, arguments.language, arguments.workdir, log)


if __name__ == "__main__":
    main()
