"""Self-critical sequence training (Rennie et al. 2017): a captioner learns from how its drawn captions are rated.

Of each image several captions are drawn, and each is made likelier or less likely by how much its CIDEr-D lies above
the mean of the others (the baseline of Luo 2020, "A Better Variant of Self-Critical Sequence Training"). They are drawn
at a low temperature, since that is how captions are searched later, and people's captions are learned beside them,
which keeps the model to what people say.

Letters: B images of a batch, M captions drawn of each, T tokens of a row, V vocabulary_size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

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

MULTIPLE = 32
"""Rows are padded to a multiple of so many tokens: the step is traced for few lengths."""


@dataclass(frozen=True)
class TuningCaptions:
    """The captions that a run ended with, of n images, and the reward that they give.

    Attributes:
        packed: the images, in the order in which they are numbered, with their captions' token_ids.
        reward: by an image's number and `words` of a caption's tokens.
        words: the number that each token of the vocabulary has for the reward, int (V,).
    """

    packed: PackedCaptions
    reward: CiderReward
    words: np.ndarray


def collect_captions(words: SegmentedCorpus, tokenizer: Tokenizer, max_length: int) -> TuningCaptions:
    """People's captions of the last stage of the training split; machine translations where there are no others."""
    stage = words.table.loc[words.table["split"] == "train", "stage"].max()
    rows, lists = words.select("train", stage)
    human = (rows["origin"] == "human").to_numpy()
    if human.any():
        rows, lists = rows[human], lists.take(human)
    packed = pack_captions(rows["image"], tokenizer.tokenize(lists, max_length + 1))
    # Words of the references, also those that the vocabulary lacks, have numbers; other tokens get some beyond.
    numbers = {word: number for number, word in enumerate(lists.distinct_words)}
    of_tokens = np.array(
        [numbers.get(word, len(numbers) + 1 + token) for token, word in enumerate(tokenizer.vocabulary)]
    )
    end = of_tokens[tokenizer.end_token_id] = len(numbers)
    codes, _ = pd.factorize(rows["image"].to_numpy(dtype=object))  # numbered as `pack_captions` does
    references: list[list[list[int]]] = [[] for _ in packed.images]
    for number, code in enumerate(codes):
        begin, stop = lists.row_splits[number : number + 2]
        references[code].append([*lists.values[begin:stop].tolist(), end])
    return TuningCaptions(packed, CiderReward(references), of_tokens)


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Each reward (B, M), M > 1, less the mean of the image's others."""
    count = rewards.shape[1]
    return rewards - (rewards.sum(axis=1, keepdims=True) - rewards) / (count - 1)


def lay_out(rows: Sequence[Sequence[tuple[Sequence[int], float]]], start: int) -> dict[str, np.ndarray]:
    """Captions of images, one row an image, as the captioner reads them.

    Args:
        rows: of each image its captions: token_ids without the start mark, and the weight of each of them.

    Returns:
        `token_ids`, `labels`, `positions`, `segment_ids` int32 (B, T) and `weights` float32 (B, T).
    """
    length = max(sum(len(tokens) for tokens, _ in row) for row in rows)
    shape = (len(rows), -(-length // MULTIPLE) * MULTIPLE)
    names = ("token_ids", "labels", "positions", "segment_ids")
    arrays = {name: np.zeros(shape, np.int32) for name in names} | {"weights": np.zeros(shape, np.float32)}
    for number, row in enumerate(rows):
        begin = 0
        for segment, (tokens, weight) in enumerate(row, 1):
            part = (number, slice(begin, begin + len(tokens)))
            arrays["token_ids"][part] = [start, *tokens[:-1]]
            arrays["labels"][part] = tokens
            arrays["positions"][part] = range(len(tokens))
            arrays["segment_ids"][part] = segment
            arrays["weights"][part] = weight
            begin += len(tokens)
    return arrays


class Tuner:
    """One captioner that is tuned: epochs over the images of a feature cache."""

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
            logits = self.captioner({"features": dequantize(features), **inputs}, training=True)
            losses = token_losses(tokens["labels"], logits / divisors[..., None])
            loss = tf.reduce_sum(losses * tokens["weights"])
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def run_epoch(self, cache: FeatureCache, views: int, epoch: int) -> dict[str, float]:
        """One pass over the images; the mean reward (CIDEr-D in [0, 10]) and the share of distinct samples."""
        config, packed = self.config, self.captions.packed
        rows = cached_rows(cache, packed, RowOptions(config.seed + epoch, views)).batch(config.batch_size).prefetch(2)
        rows = without_tuning(rows)
        rewards: list[float] = []
        distinct: set[tuple[int, ...]] = set()
        total = math.ceil(len(packed.images) / config.batch_size)
        with tqdm(rows, total=total, unit="step", desc=f"epoch {epoch + 1}") as bar:
            for batch in bar:
                numbers = batch["row"].numpy()
                rated, samples = self._learn(batch["features"], numbers, epoch)
                rewards.extend(rated.ravel().tolist())
                distinct.update(tuple(tokens) for each in samples for tokens in each)
                bar.set_postfix(cider=f"{100 * np.mean(rewards[-5000:]):.1f}", refresh=False)
        return {"reward": float(np.mean(rewards)), "distinct_share": len(distinct) / len(rewards)}

    def _learn(self, features: tf.Tensor, numbers: np.ndarray, epoch: int) -> tuple[np.ndarray, list[list[list[int]]]]:
        """Draws captions of a batch and makes one step; their rewards (B, M), and the captions."""
        config, packed, captions = self.config, self.captions.packed, self.captions
        seeds = [((config.seed + epoch) << 32) + int(number) for number in numbers]
        samples = sample_token_ids(
            self.captioner, dequantize(features), self.tokenizer, config.temperature, config.samples, seeds
        )
        rewards = np.array(
            [
                [captions.reward(number, captions.words[tokens].tolist()) for tokens in each]
                for number, each in zip(numbers.tolist(), samples, strict=True)
            ]
        )
        drawn = sum(len(tokens) for each in samples for tokens in each)
        written = [
            [packed.tokens[caption].tolist()[1:] for caption in range(*packed.caption_splits[number : number + 2])]
            for number in numbers.tolist()
        ]
        known = sum(token != self.tokenizer.unk_token_id for each in written for tokens in each for token in tokens)
        rows = [
            [(tokens, value / drawn) for tokens, value in zip(each, values, strict=True)]
            + [(tokens, config.caption_share / max(known, 1)) for tokens in own]
            for each, values, own in zip(samples, advantages(rewards), written, strict=True)
        ]
        arrays = lay_out(rows, self.tokenizer.start_token_id)
        of_people = arrays["segment_ids"] > config.samples
        arrays["weights"] *= ~(of_people & (arrays["labels"] == self.tokenizer.unk_token_id))
        divisors = np.where(of_people, np.float32(1), np.float32(config.temperature))
        tensors = {name: tf.constant(values) for name, values in arrays.items()}
        self._step(features, tensors, tf.constant(divisors))
        return rewards, samples
