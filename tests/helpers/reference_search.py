"""A slow reference of every search in plain NumPy, and a model that knows its captions."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import END, PAD, SPECIAL_TOKENS, START, UNK
from caption_tx.inference.search.decode import decode

CAPTIONS = {
    "zh": ("一只 狗 在 草地 上 奔跑", "两个 女人 在 街道 上", "一只 狗 和 一只 猫", "图中 有 一个 女人", "女人"),
    "en": ("a dog runs on the grass", "two women in the street", "a dog and a cat", "there is a woman", "woman"),
}
LENGTH = 9

NUM_IMAGES = 16
"""One full batch of a compiled search, so that each case compiles once."""

MANY_IMAGES = 37
"""More images than the largest batch."""


class Speller:
    """A stand-in for Captioner that prefers one known caption per image.

    A token's logit is the sum of the image's noise for the pair of the previous token and this one, a contribution of
    every earlier token that decays with the distance, and `clarity` if it continues the known caption.
    """

    def __init__(self, language, clarity):
        self.captions = [caption.split() for caption in CAPTIONS[language]]
        words = sorted({word for caption in self.captions for word in caption})
        self.tokenizer = Tokenizer([*SPECIAL_TOKENS, *words], language)
        self.vocabulary_size, self.max_length = len(words) + len(SPECIAL_TOKENS), LENGTH
        self.settings = SimpleNamespace(feature_shape=(1, 1, 1))
        random = np.random.default_rng(0)
        size = self.vocabulary_size
        self.noise = random.normal(0, 1.5, (MANY_IMAGES, size, size)).astype(np.float32)
        self.past = random.normal(0, 1.0, (size, size)).astype(np.float32)
        self.bonus = np.zeros((MANY_IMAGES, LENGTH, size), np.float32)
        for image in range(MANY_IMAGES):
            known = self.captions[image % len(self.captions)]
            token_ids = self.tokenizer.tokenize([known])[0][1:]
            self.bonus[image, np.arange(len(token_ids)), token_ids] = clarity

    def log_probs(self, image, history):
        """float64 (V,), log-probabilities of the next token; `history` starts with START."""
        index = len(history) - 1
        logits = self.noise[image, history[-1]].astype(np.float64) + self.bonus[image, index]
        for position, token in enumerate(history):
            logits += self.past[token] * 0.5 ** (index - position)
        return logits - np.logaddexp.reduce(logits)

    def keys_values(self, features, training):
        return tf.cast(features[:, 0, 0, 0], tf.int32)

    def empty_cache(self, batch_size, length, group):
        return [(tf.zeros((batch_size, length, group, self.vocabulary_size)),)]

    def step(self, token_ids, index, images, cache, ancestors=None):
        [(written,)] = cache
        _, length, group, size = written.shape
        is_current = (tf.range(length) == index)[:, None, None]
        written = tf.where(is_current, tf.one_hot(token_ids, size)[:, None], written)  # (B, P, G, V)
        captions = tf.range(group)
        own = captions[:, None, None] == captions if ancestors is None else ancestors[..., None] == captions
        weight = tf.where(tf.range(length) <= index, 0.5 ** tf.cast(index - tf.range(length), tf.float32), 0.0)
        weight = tf.broadcast_to(tf.cast(own, tf.float32) * weight[:, None], (written.shape[0], group, length, group))
        logits = tf.einsum("bgps,bpsv->bgv", weight, written) @ self.past
        logits += tf.gather(tf.gather(tf.constant(self.noise), images), token_ids, batch_dims=1)
        return logits + tf.gather(tf.gather(tf.constant(self.bonus), images), index, axis=1)[:, None], [(written,)]


FEATURES = np.arange(MANY_IMAGES, dtype=np.float32)[:, None, None, None]


def mix(bits):
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ((bits ^ (bits >> shift)) * factor) % 2**32
    return bits ^ (bits >> 16)


def noise_of(seed, row_seed, sample, index, size):
    """Gumbel noise (V,) of one step of one sample, from the same bits as in the search."""
    bits = np.random.Philox(key=np.array([seed, row_seed], np.uint64)).random_raw((sample + 1) * LENGTH)
    first, second = (int(part) for part in bits[sample * LENGTH + index : sample * LENGTH + index + 1].view(np.uint32))
    bits = [mix(mix((token * 0x9E3779B9 + first) % 2**32) ^ second) for token in range(size)]
    return -np.log(-np.log1p(-(np.array(bits) + 0.5) / 2**32))


class ReferenceSearch:
    """A reference search with loops over lists; captions are (token_ids, log-probabilities, score, finished)."""

    def __init__(self, speller, image, options):
        self.speller, self.image, self.options = speller, image, options
        self.length = options.max_length or LENGTH
        ids = {word: token for token, word in enumerate(speller.tokenizer.vocabulary)}
        self.prefix = [ids[word] for word in options.prefix.split()]
        self.forced = [ids[word] for word in options.force_words]
        self.suppressed = {PAD, UNK, START, *(ids[word] for word in options.suppress_words)}

    def values(self, tokens):
        """The model's log-probabilities after `tokens`, without and with suppression and penalties."""
        own = self.speller.log_probs(self.image, [START, *tokens])
        values, size = own.copy(), self.options.no_repeat_ngram
        for token in set(tokens):
            values[token] *= self.options.repetition_penalty
        values[list(self.suppressed)] = -np.inf
        if len(tokens) < self.options.min_length:
            values[END] = -np.inf
        for start in range(len(tokens) - size + 1 if size else 0):
            run = tokens[start : start + size]
            if run[:-1] == tokens[len(tokens) - size + 1 :]:
                values[run[-1]] = -np.inf
        if size and np.isinf(values).all():
            values[END] = own[END]
        return own, values

    def score(self, total, tokens):
        return total / len(tokens) ** self.options.length_penalty

    def draw(self, sample, row_seed):
        options, tokens, log_probs, total = self.options, [], [], 0.0
        while len(tokens) < self.length and END not in tokens:
            own, values = self.values(tokens)
            if len(tokens) < len(self.prefix):
                token, values = self.prefix[len(tokens)], own
            else:
                adjusted = values
                if options.temperature:
                    adjusted = values / options.temperature
                    order = np.argsort(-adjusted, kind="stable")
                    if options.top_k is not None:
                        adjusted[order[options.top_k :]] = -np.inf
                    if options.top_p is not None:
                        probs = np.exp(adjusted - np.logaddexp.reduce(adjusted))[order]
                        adjusted[order[np.cumsum(probs) - probs >= options.top_p]] = -np.inf
                    adjusted = adjusted + noise_of(options.seed, row_seed, sample, len(tokens), len(own))
                token = int(np.argmax(adjusted))
            tokens, log_probs, total = [*tokens, token], [*log_probs, own[token]], total + values[token]
        return tokens, log_probs, total

    def drawn(self, row_seed):
        hypotheses = [self.draw(sample, row_seed) for sample in range(self.options.samples)]
        return self.ranked([(0, *caption) for caption in hypotheses])

    def ranked(self, hypotheses):
        """The best of (group rank, tokens, log-probabilities, total), without duplicates."""
        entries = {}
        for group_rank, tokens, log_probs, total in hypotheses:
            entry = (tokens[-1] != END, group_rank, -self.score(total, tokens), tokens, log_probs)
            entries[tuple(tokens)] = min(entry, entries.get(tuple(tokens), entry))
        best = sorted(entries.values())[: self.options.n_best]
        best.sort(key=lambda entry: (entry[0], entry[2]))
        return [(tokens, log_probs, -negative, not cut) for cut, _, negative, tokens, log_probs in best]

    def beams(self):
        """Beam search over all positions; a hypothesis is (tokens, log-probabilities, total)."""
        options = self.options
        tracks = len(self.forced) + 1 if self.forced else options.beam_groups
        width = options.beam_width // options.beam_groups
        beams = [[([], [], 0.0)] for _ in range(tracks)]
        if self.forced:
            beams = [[([], [], 0.0)] if track == 0 else [] for track in range(tracks)]
        ended = [[] for _ in range(tracks)]
        for index in range(self.length):
            if index < len(self.prefix):
                token, grown = self.prefix[index], [[] for _ in range(tracks)]
                for track, several in enumerate(beams):
                    for tokens, log_probs, total in several:
                        own, _ = self.values(tokens)
                        longer = [*tokens, token]
                        to = len(set(longer) & set(self.forced)) if self.forced else track
                        grown[to].append((longer, [*log_probs, own[token]], total + own[token]))
                beams = grown
                continue
            candidates, taken = [[] for _ in range(tracks)], {}
            for track, several in enumerate(beams):
                for tokens, log_probs, total in several:
                    own, values = self.values(tokens)
                    for token in np.flatnonzero(values > -np.inf).tolist():
                        longer = ([*tokens, token], [*log_probs, own[token]], total + values[token])
                        if token != END:
                            to = len(set(longer[0]) & set(self.forced)) if self.forced else track
                            candidates[to].append(longer)
                        elif not self.forced or track == tracks - 1:
                            ended[track].append(longer)
            for track in range(tracks):
                candidates[track].sort(key=lambda beam: options.diversity_penalty * taken.get(beam[0][-1], 0) - beam[2])
                beams[track] = candidates[track][:width]
                for tokens, _, _ in beams[track] if options.beam_groups > 1 else []:
                    taken[tokens[-1]] = taken.get(tokens[-1], 0) + 1
        hypotheses = []
        for track in [tracks - 1] if self.forced else range(tracks):
            best = sorted(ended[track], key=lambda beam: -self.score(beam[2], beam[0]))[: options.n_best]
            for beams_of_a_kind in (best, beams[track]):
                for group_rank, beam in enumerate(beams_of_a_kind):
                    hypotheses.append((group_rank if options.beam_groups > 1 else 0, *beam))
        return self.ranked(hypotheses)

    def run(self, row_seed=0):
        return self.beams() if self.options.beam_width > 1 else self.drawn(row_seed)


def assert_equals_reference(speller, options, images=range(NUM_IMAGES), captions=None):
    """Checks that each image has the captions that the reference search finds, and returns them."""
    images = list(images)
    captions = captions or decode(speller, FEATURES[images], speller.tokenizer, options, images)
    for image, image_captions in zip(images, captions, strict=True):
        expected = ReferenceSearch(speller, image, options).run(image)
        assert [list(caption.token_ids) for caption in image_captions] == [tokens for tokens, *_ in expected], (
            image,
            options,
        )
        assert [caption.finished for caption in image_captions] == [finished for *_, finished in expected]
        assert [caption.rank for caption in image_captions] == list(range(len(expected)))
        for caption, (_, log_probs, score, _) in zip(image_captions, expected, strict=True):
            np.testing.assert_allclose(caption.log_probabilities, log_probs, atol=1e-4)
            assert caption.score == pytest.approx(score, abs=1e-4)
    return captions
