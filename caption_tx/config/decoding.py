"""How captions are searched: every option and its default, and which combinations mean nothing."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass

from caption_tx.config.checks import check, check_temperature, convert
from caption_tx.errors import ConfigError


@dataclass(frozen=True)
class DecodingOptions:
    """How captions are searched: greedy by default; sampled with a `temperature`; a beam with a `beam_width`.

    Attributes:
        temperature: 0 takes the likeliest word at each step; above it, in 1e-4 to 1e4, words are drawn, at 1
            as likely as the model holds them.
        top_k, top_p: draw among the k likeliest words (Fan et al. 2018), or among the fewest that hold the
            share top_p (Holtzman et al. 2020), after the temperature, first k and then p. Words as likely
            as the last one stay in.
        beam_width: captions that a beam search follows at once.
        beam_groups, diversity_penalty: a beam in groups that are kept from saying the same: a word costs
            the penalty, in nats, at most 1e4, for each caption of earlier groups that took it at this step
            (Vijayakumar et al. 2018).
        length_penalty: captions are ranked by log-probability / length**length_penalty, the length in
            tokens with the end mark (the simple form of Wu et al. 2016, eq. 14). In 0 to 10; 0 favors short ones.
        n_best: captions returned for each image, best first.
        samples: captions drawn for each image, of which the `n_best` by score are returned.
        consensus: choose and rank the captions of a beam, or the samples, not by score but by how much the others
            say the same, each of them counted as likely as probability**consensus: at 0 all alike, at 1 as the
            model holds them (minimum Bayes risk, Kumar and Byrne 2004). None ranks by score.
        repetition_penalty: log-probabilities of words that the caption has already are multiplied by it in
            search and score (after Keskar et al. 2019, eq. 2, which divides logits), at most 1e4; 1 changes nothing.
        no_repeat_ngram: no run of so many words stands twice in a caption (Paulus et al. 2018); 0 allows all.
        min_length: fewest words, those of the prefix included.
        max_length: most tokens, the end mark and the prefix included; None for as many as the model knows.
        suppress_words, force_words: words that no caption, and that every caption holds. Words are forced by
            a beam of `beam_width` for every number of them that is met (Hokamp and Liu 2017).
        prefix: the start of every caption, as a person types it.
        seed: of the drawn words, in [0, 2**31).

    Raises:
        ConfigError: a value is of the wrong type or out of range, or the combination means nothing.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    beam_width: int = 1
    beam_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 0.7
    n_best: int = 1
    samples: int = 1
    consensus: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    min_length: int = 1
    max_length: int | None = None
    suppress_words: tuple[str, ...] = ()
    force_words: tuple[str, ...] = ()
    prefix: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in typing.get_type_hints(type(self)).items():
            object.__setattr__(self, name, convert(getattr(self, name), kind, name))  # lists become tuples
        check_temperature(self.temperature, "temperature")
        # What float32, in which searches compute, still takes with room to spare.
        for name, lowest, highest in (("diversity_penalty", 0, 1e4), ("repetition_penalty", 1, 1e4)):
            check(lowest <= getattr(self, name) <= highest, name, getattr(self, name), f"in {lowest} to {highest:g}")
        check(0 <= self.length_penalty <= 10, "length_penalty", self.length_penalty, "in 0 to 10")
        for name in ("beam_width", "beam_groups", "n_best", "samples", "min_length"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        check(self.no_repeat_ngram >= 0, "no_repeat_ngram", self.no_repeat_ngram, "0 or more words")
        check(self.max_length is None or self.max_length >= 1, "max_length", self.max_length, "at least 1 token")
        consensus = self.consensus
        check(consensus is None or 0 <= consensus <= 10, "consensus", consensus, "in 0 to 10")
        check(self.top_k is None or 1 <= self.top_k < 2**31, "top_k", self.top_k, "at least 1 word, below 2**31")
        check(self.top_p is None or 1e-6 <= self.top_p <= 1, "top_p", self.top_p, "in 1e-6 to 1")
        check(0 <= self.seed < 2**31, "seed", self.seed, "in [0, 2**31)")
        for name in ("suppress_words", "force_words"):
            words = getattr(self, name)
            check(all(word.strip() for word in words), name, words, "words that are not empty")
        for refused, reason in self._contradictions():
            if refused:
                raise ConfigError(reason)

    def _contradictions(self) -> list[tuple[bool, str]]:
        """What must not be, and what is said of it."""
        beam, drawn = self.beam_width > 1, self.temperature > 0
        twice = sorted({word for word in self.force_words if self.force_words.count(word) > 1})
        both = sorted(set(self.force_words) & set(self.suppress_words))
        longest = math.inf if self.max_length is None else self.max_length
        return [
            (beam and drawn, "A beam takes the likeliest words and a temperature draws words; leave one out."),
            (
                not drawn and (self.top_k is not None or self.top_p is not None),
                "top_k and top_p say which words are drawn, and at temperature 0 none are; set a temperature above 0.",
            ),
            (
                not drawn and self.samples > 1,
                "At temperature 0 all samples would be the same; set a temperature above 0.",
            ),
            (
                self.n_best > max(self.beam_width, self.samples),
                f"n_best {self.n_best} asks for more captions than are found; "
                "set beam_width, or samples with a temperature, to as many at least.",
            ),
            (
                self.consensus is not None and max(self.beam_width, self.samples) < 3,
                "Two captions agree with each other equally, and one with itself: for a consensus set beam_width, or "
                "samples with a temperature, to 3 at least.",
            ),
            (
                self.beam_width % self.beam_groups != 0,
                f"beam_groups must divide beam_width, got {self.beam_groups} and {self.beam_width}.",
            ),
            (
                (self.beam_groups > 1) != (self.diversity_penalty > 0),
                "beam_groups above 1 and a diversity_penalty above 0 need each other: "
                "groups without it would all find the same, and it acts between groups only.",
            ),
            (
                bool(self.force_words) and not beam,
                "Words are forced by a beam, which finds a place for them; set beam_width above 1.",
            ),
            (
                bool(self.force_words) and self.beam_groups > 1,
                "Forced words divide the beam by how many are met already; leave out beam_groups.",
            ),
            (bool(twice), f"force_words names {twice} twice; each word is forced once."),
            (bool(both), f"{both} cannot be both forced and suppressed."),
            (self.min_length > longest, f"min_length {self.min_length} is above max_length {self.max_length}."),
            (
                len(self.force_words) > longest,
                f"{len(self.force_words)} forced words do not fit into max_length {self.max_length}.",
            ),
        ]
