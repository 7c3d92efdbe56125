"""Rendered scenes, and a stand-in for a captioner with known attention."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import BackboneConfig, TextConfig
from caption_tx.data.scenes.corpus import read_scenes, write_scenes
from caption_tx.data.scenes.objects import COLORS
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS


class ColorAttention:
    """Stands in for a Captioner: its features are the mean colors of 7x7 cells, and its attention is known.

    After a color word it attends to the cells of that color, otherwise to all cells equally. The next word is more
    likely the closer the best cell is to that color.
    """

    max_length = 40
    settings = SimpleNamespace(feature_shape=(7, 7, 3), num_layers=2, num_heads=3)

    def __init__(self, tokenizer, colors):
        self.tokenizer, self.vocabulary_size = tokenizer, tokenizer.vocabulary_size
        self.colors = {tokenizer.vocabulary.index(name): color for name, color in colors.items()}

    def __call__(self, inputs, training, return_attention_scores=False, return_self_attention_scores=False):
        features, token_ids = np.asarray(inputs["features"]), np.asarray(inputs["token_ids"])
        cells = features.reshape(len(features), -1, 3)
        scores = np.full((*token_ids.shape, cells.shape[1]), 1 / cells.shape[1], np.float32)
        logits = np.zeros((*token_ids.shape, self.tokenizer.vocabulary_size), np.float32)
        for row, position in np.argwhere(np.isin(token_ids, list(self.colors))):
            distance = np.linalg.norm(cells[row] - self.colors[token_ids[row, position]], axis=1)
            attention = np.exp(-distance / 8)
            scores[row, position] = attention / attention.sum()
            logits[row, position, 4:] = -distance.min() / 50
        if not return_attention_scores:
            return logits
        assert return_self_attention_scores
        batch, length = token_ids.shape
        own = np.broadcast_to(np.eye(length, dtype=np.float32), (batch, 2, 3, length, length))
        return logits, np.repeat(np.repeat(scores[:, None, None], 2, 1), 3, 2), own  # (B, L, N, T, S)

    def logits_of_cells(self, inputs):
        """Of each cell alone: (B, S, T, V)."""

        def read(features, token_ids):
            cells = features.reshape(len(features), -1, 1, 1, 3)
            alone = [{"features": cells[:, cell], "token_ids": token_ids} for cell in range(cells.shape[1])]
            return np.stack([self(one, training=False) for one in alone], axis=1)

        logits = tf.numpy_function(read, [inputs["features"], inputs["token_ids"]], tf.float32)
        return tf.ensure_shape(logits, (None, 49, None, self.vocabulary_size))


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Scene files, the objects of each scene, and its captions."""
    folder = tmp_path_factory.mktemp("scenes")
    files = write_scenes(folder, {"test": 24}, "en", seed=3)
    captions: dict[str, list[str]] = {}
    for line in files.captions.read_text().splitlines()[1:]:
        name, caption, _ = line.split("\t")
        captions.setdefault(name, []).append(caption)
    return files, read_scenes(files.scenes), captions


@pytest.fixture(scope="session")
def color_captioner(scenes):
    """Stands in for an `ImageCaptioner`, with a `ColorAttention` model."""
    words = sorted({word for texts in scenes[2].values() for text in texts for word in text.replace(",", "").split()})
    tokenizer = Tokenizer([*SPECIAL_TOKENS, *words], "en")
    text = TextConfig(language="en")
    bundle = SimpleNamespace(
        segmenter=lambda: Segmenter(text),
        tokenizer=tokenizer,
        captioner=ColorAttention(tokenizer, COLORS),
        text=text,
        backbone=BackboneConfig(image_size=224),
    )

    def features(images):
        images = np.stack(images).astype(np.float32)
        return images.reshape(-1, 7, 32, 7, 32, 3).mean(axis=(2, 4))

    backbone = SimpleNamespace(
        config=BackboneConfig(image_size=224, storage="float32"),
        feature_shape=(7, 7, 3),
        encode=lambda pixels: tf.constant(features(pixels)),
    )
    return SimpleNamespace(bundle=bundle, features=features, backbone=backbone)
