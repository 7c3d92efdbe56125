"""Self-critical sequence training (Rennie et al. 2017): a captioner learns from the rewards of its own samples.

For each image, several captions are sampled. A caption becomes more likely if its CIDEr-D is above the mean of the
image's other samples, else less likely (the baseline of Luo 2020, "A Better Variant of Self-Critical Sequence
Training"). The temperature is low, since captions are later decoded by search. The cross-entropy of human captions is
part of the loss, which keeps the captions human-like.

Letters: B images of a batch, M sampled captions per image, T tokens of a row, V vocabulary_size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from caption_tx.config import TuningConfig
from caption_tx.data.batches.packing import PackedCaptions, pack_captions
from caption_tx.data.batches.rows import RowOptions, cached_rows
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.preparation import SegmentedCorpus
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.inference.search.decode import sample_token_ids
from caption_tx.model.captioner import Captioner
from caption_tx.threads import without_tuning
from caption_tx.training.objective import token_losses
from caption_tx.training.optimizer import FusedAdam
from caption_tx.training.tuning.reward import CiderReward

LENGTH_MULTIPLE = 32
"""Rows are padded to a multiple of this many tokens, so that the step is traced for few lengths."""


@dataclass(frozen=True)
class TuningCaptions:
    """The captions of n training images, and the reward that compares other captions with them.

    Attributes:
        packed: the images with the token_ids of their captions.
        reward: takes the index of an image and the word ids of a caption.
        word_ids: the word id of each token of the vocabulary, int (V,).
    """

    packed: PackedCaptions
    reward: CiderReward
    word_ids: np.ndarray


def collect_captions(segmented: SegmentedCorpus, tokenizer: Tokenizer, max_length: int) -> TuningCaptions:
    """The human captions of the last stage of the training split, or its machine translations if there are none."""
    stage = segmented.table.loc[segmented.table["split"] == "train", "stage"].max()
    rows, words = segmented.select("train", stage)
    human = (rows["origin"] == "human").to_numpy()
    if human.any():
        rows, words = rows[human], words.take(human)
    packed = pack_captions(rows["image"], tokenizer.tokenize(words, max_length + 1))
    # All words of the references have ids, even those out of vocabulary; other tokens get ids above them.
    ids = {word: word_id for word_id, word in enumerate(words.distinct_words)}
    word_ids = np.array([ids.get(word, len(ids) + 1 + token) for token, word in enumerate(tokenizer.vocabulary)])
    end_id = word_ids[tokenizer.end_token_id] = len(ids)
    image_indices, _ = pd.factorize(rows["image"].to_numpy(dtype=object))  # the order of `pack_captions`
    references: list[list[list[int]]] = [[] for _ in packed.images]
    for caption, image in enumerate(image_indices):
        begin, end = words.row_splits[caption : caption + 2]
        references[image].append([*words.values[begin:end].tolist(), end_id])
    return TuningCaptions(packed, CiderReward(references), word_ids)


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Each reward minus the mean of the image's other rewards: (B, M), M > 1 -> (B, M)."""
    count = rewards.shape[1]
    return rewards - (rewards.sum(axis=1, keepdims=True) - rewards) / (count - 1)


def pack_weighted(rows: Sequence[Sequence[tuple[Sequence[int], float]]], start_token_id: int) -> dict[str, np.ndarray]:
    """Packs the captions of each image into one row.

    Args:
        rows: for each image its captions: token_ids without the start token, and the weight of each token.
        start_token_id: precedes every caption.

    Returns:
        `token_ids`, `labels`, `positions`, `segment_ids` int32 (B, T) and `weights` float32 (B, T).
    """
    length = max(sum(len(tokens) for tokens, _ in row) for row in rows)
    shape = (len(rows), -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE)
    names = ("token_ids", "labels", "positions", "segment_ids")
    arrays = {name: np.zeros(shape, np.int32) for name in names} | {"weights": np.zeros(shape, np.float32)}
    for index, row in enumerate(rows):
        begin = 0
        for segment, (tokens, weight) in enumerate(row, 1):
            part = (index, slice(begin, begin + len(tokens)))
            arrays["token_ids"][part] = [start_token_id, *tokens[:-1]]
            arrays["labels"][part] = tokens
            arrays["positions"][part] = range(len(tokens))
            arrays["segment_ids"][part] = segment
            arrays["weights"][part] = weight
            begin += len(tokens)
    return arrays


class Tuner:
    """Fine-tunes one captioner, in epochs over the images of a feature cache."""

    def __init__(
        self, captioner: Captioner, tokenizer: Tokenizer, captions: TuningCaptions, config: TuningConfig
    ) -> None:
        self.captioner, self.tokenizer, self.captions, self.config = captioner, tokenizer, captions, config
        self.optimizer = FusedAdam(config.learning_rate, global_clipnorm=config.clip_norm)
        self.optimizer.build(captioner.trainable_variables)
        self._step = tf.function(self._update, autograph=False, reduce_retracing=True)

    def _update(self, features: tf.Tensor, tokens: dict[str, tf.Tensor], divisors: tf.Tensor) -> tf.Tensor:
        variables = self.captioner.trainable_variables
        inputs = {name: tokens[name] for name in ("token_ids", "positions", "segment_ids")}
        with tf.GradientTape() as tape:
            logits = self.captioner({"features": dequantize(features), **inputs}, training=True)  # (B, T, V)
            losses = token_losses(tokens["labels"], logits / divisors[..., None])  # (B, T)
            loss = tf.reduce_sum(losses * tokens["weights"])
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def run_epoch(self, cache: FeatureCache, augmentations: int, epoch: int) -> dict[str, float]:
        """One pass over the images; returns the mean reward (CIDEr-D in [0, 10]) and the share of distinct samples."""
        config, packed = self.config, self.captions.packed
        rows = cached_rows(cache, packed, RowOptions(config.seed + epoch, augmentations))
        batches = without_tuning(rows.batch(config.batch_size).prefetch(2))
        rewards: list[float] = []
        distinct: set[tuple[int, ...]] = set()
        total = math.ceil(len(packed.images) / config.batch_size)
        with tqdm(batches, total=total, unit="step", desc=f"epoch {epoch + 1}") as bar:
            for batch in bar:
                batch_rewards, samples = self._train_batch(batch["features"], batch["row"].numpy(), epoch)
                rewards.extend(batch_rewards.ravel().tolist())
                distinct.update(tuple(tokens) for captions in samples for tokens in captions)
                bar.set_postfix(cider=f"{100 * np.mean(rewards[-5000:]):.1f}", refresh=False)
        return {"reward": float(np.mean(rewards)), "distinct_share": len(distinct) / len(rewards)}

    def _train_batch(
        self, features: tf.Tensor, images: np.ndarray, epoch: int
    ) -> tuple[np.ndarray, list[list[list[int]]]]:
        """Samples captions of a batch and makes one step; returns their rewards (B, M) and the captions.

        Args:
            features: as stored, (B, h, w, C).
            images: their indices in the captions, (B,).
            epoch: changes the samples.
        """
        config, captions = self.config, self.captions
        seeds = [((config.seed + epoch) << 32) + int(image) for image in images]
        samples = sample_token_ids(
            self.captioner, dequantize(features), self.tokenizer, config.temperature, config.samples, seeds
        )
        rewards = np.array(
            [
                [captions.reward(image, captions.word_ids[tokens].tolist()) for tokens in own]
                for image, own in zip(images.tolist(), samples, strict=True)
            ]
        )
        arrays = self._pack(images, samples, rewards)
        is_human = arrays["segment_ids"] > config.samples
        arrays["weights"] *= ~(is_human & (arrays["labels"] == self.tokenizer.unk_token_id))
        divisors = np.where(is_human, np.float32(1), np.float32(config.temperature))
        tensors = {name: tf.constant(values) for name, values in arrays.items()}
        self._step(features, tensors, tf.constant(divisors))
        return rewards, samples

    def _pack(self, images: np.ndarray, samples: list[list[list[int]]], rewards: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of the sampled captions, weighted by their advantages, followed by the human captions."""
        packed = self.captions.packed
        human = [
            [packed.tokens[caption].tolist()[1:] for caption in range(*packed.caption_splits[image : image + 2])]
            for image in images.tolist()
        ]
        sampled_tokens = sum(len(tokens) for captions in samples for tokens in captions)
        known_tokens = sum(
            token != self.tokenizer.unk_token_id for captions in human for tokens in captions for token in tokens
        )
        human_weight = self.config.caption_share / max(known_tokens, 1)
        rows = [
            [(tokens, value / sampled_tokens) for tokens, value in zip(own_samples, values, strict=True)]
            + [(tokens, human_weight) for tokens in own_human]
            for own_samples, values, own_human in zip(samples, advantages(rewards), human, strict=True)
        ]
        return pack_weighted(rows, self.tokenizer.start_token_id)
