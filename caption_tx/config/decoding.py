"""Settings of a search: every decoding option, and the combinations that are incompatible."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from caption_tx.config.fields import NOT_NEGATIVE, POSITIVE, SEED, TEMPERATURE, Bounds, check, setting, validate
from caption_tx.config.keywords import make_options
from caption_tx.errors import ConfigError

SEARCH_IMAGES = 1000
"""Validation images on which the searches of a bundle are compared."""

# Searches compute in float32: the upper bounds of the penalties keep scores far from overflow.
_MAX_PENALTY = 1e4

_SELECTORS = ("temperature", "beam_width", "samples")
_KIND = (
    *_SELECTORS, "top_k", "top_p", "beam_groups", "diversity_penalty", "length_penalty", "n_best", "consensus",
    "retrieval",
)  # fmt: skip
"""Options that select a kind of search, and those that describe it; the others apply to every kind."""


@dataclass(frozen=True)
class DecodingOptions:
    """How captions are searched: greedy search by default.

    Greedy search takes the most likely token at each step. A `temperature` above 0 samples tokens. A `beam_width`
    above 1 selects beam search. Lists are accepted for tuples.

    Attributes:
        temperature: 0 for greedy search or beam search; above 0 samples tokens, at 1 from the model's distribution.
        top_k: samples from the k most likely tokens (Fan et al. 2018), after the temperature. Tokens that tie with
            the last one are kept.
        top_p: samples from the most likely tokens whose probabilities sum to top_p (Holtzman et al. 2020), after
            top_k. Tokens that tie with the last one are kept.
        beam_width: number of hypotheses of beam search.
        beam_groups: divides the beam into groups that are pushed apart (Vijayakumar et al. 2018).
        diversity_penalty: subtracted from a token's log-probability, in nats, for each hypothesis of earlier groups
            that took the token at this step.
        length_penalty: captions are ranked by log-probability / length ** length_penalty, with the length in
            tokens including the end token (the simple form of Wu et al. 2016, eq. 14); 0 favors short captions.
        n_best: captions returned per image, best first.
        samples: captions sampled per image; the best `n_best` of them are returned.
        consensus: ranks the hypotheses of a beam, or the samples, by minimum Bayes risk (Kumar and Byrne 2004): by
            expected similarity to the others, each weighted by probability ** consensus. 0 weights all equally.
            None ranks by score.
        retrieval: with consensus, also compares the hypotheses with the captions of the nearest training images, whose
            weight in the expected similarity is `retrieval` times that of the other hypotheses. It requires a bundle
            with a retrieval index; 0 works without one.
        repetition_penalty: multiplies the log-probabilities of words that the caption already contains, in search
            and score (after Keskar et al. 2019, eq. 2, which divides logits); 1 has no effect.
        no_repeat_ngram: no n-gram of this many words occurs twice in a caption (Paulus et al. 2018); 0 allows all.
        min_length: minimum number of words, including those of the prefix.
        max_length: maximum number of tokens, including the end token and the prefix; None for the model's maximum.
        suppress_words: words that must not occur in a caption.
        force_words: words that must occur in every caption. Beam search keeps one beam of `beam_width` for each
            number of words that are satisfied (Hokamp and Liu 2017).
        prefix: text that every caption starts with.
        seed: random seed of sampling.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or options are incompatible.

    Example:
        >>> DecodingOptions(beam_width=20, consensus=0.4).n_best
        1
    """

    temperature: float = setting(
        0.0, "0 for greedy search or beam search; above 0 samples tokens", flag="--temperature", bounds=TEMPERATURE
    )
    top_k: int | None = setting(
        None, "sample from the N most likely tokens", flag="--top-k", bounds=Bounds(minimum=1, below=2**31)
    )
    top_p: float | None = setting(
        None,
        "sample from the most likely tokens with a total probability of X",
        flag="--top-p",
        bounds=Bounds(minimum=1e-6, maximum=1),
    )
    beam_width: int = setting(1, "number of hypotheses of beam search", flag="--beam-width", bounds=POSITIVE)
    beam_groups: int = setting(
        1, "divide the beam into N diverse groups; requires diversity_penalty", flag="--beam-groups", bounds=POSITIVE
    )
    diversity_penalty: float = setting(
        0.0,
        "penalty in nats for a token that an earlier group took at the same step",
        flag="--diversity-penalty",
        bounds=Bounds(minimum=0, maximum=_MAX_PENALTY),
    )
    length_penalty: float = setting(
        0.7,
        "rank captions by log-probability / length ** X; 0 favors short captions",
        flag="--length-penalty",
        bounds=Bounds(minimum=0, maximum=10),
    )
    n_best: int = setting(1, "captions to return per image, best first", flag="--n-best", bounds=POSITIVE)
    samples: int = setting(
        1, "captions to sample per image; returns the n_best of them", flag="--samples", bounds=POSITIVE
    )
    consensus: float | None = setting(
        None,
        "rank beams or samples by minimum Bayes risk, each weighted by probability ** X; "
        "0.4 works well with a beam width of 20",
        flag="--consensus",
        bounds=Bounds(minimum=0, maximum=10),
    )
    retrieval: float = setting(
        0.0,
        "with consensus, also compare with the captions of the nearest training images, with weight X; 8 works well; "
        "requires a bundle with a retrieval index",
        flag="--retrieval",
        bounds=Bounds(minimum=0, maximum=100),
    )
    repetition_penalty: float = setting(
        1.0,
        "multiply the log-probability of words that the caption already contains",
        flag="--repetition-penalty",
        bounds=Bounds(minimum=1, maximum=_MAX_PENALTY),
    )
    no_repeat_ngram: int = setting(
        0, "no N words in a row occur twice in a caption; 0 allows it", flag="--no-repeat-ngram", bounds=NOT_NEGATIVE
    )
    min_length: int = setting(1, "minimum number of words", flag="--min-length", bounds=POSITIVE)
    max_length: int | None = setting(
        None,
        "maximum number of tokens, end token included",
        flag="--max-length",
        bounds=POSITIVE,
        unset="the model's maximum",
    )
    suppress_words: tuple[str, ...] = setting((), "words to forbid", flag="--suppress-words", metavar="WORD,..")
    force_words: tuple[str, ...] = setting(
        (), "words to require; requires beam search", flag="--force-words", metavar="WORD,.."
    )
    prefix: str = setting("", "text that every caption starts with, e.g. 图中", flag="--prefix")
    seed: int = setting(0, "random seed of sampling", flag="--seed", bounds=SEED)

    def __post_init__(self) -> None:
        validate(self)
        for name in ("suppress_words", "force_words"):
            words = getattr(self, name)
            check(all(word.strip() for word in words), name, words, "a list without empty words")
        for incompatible, message in [*self._sampling_conflicts(), *self._beam_conflicts(), *self._word_conflicts()]:
            if incompatible:
                raise ConfigError(message)

    def override(self, **options: Any) -> DecodingOptions:
        """These options with some replaced.

        A temperature, beam width or number of samples selects another search: the options that describe a kind of
        search then return to their defaults, unless they are replaced too.

        Raises:
            ConfigError: an option is unknown, has the wrong type or is out of range, or options are incompatible.

        Example:
            >>> stored = DecodingOptions(beam_width=20, consensus=0.4)
            >>> stored.override(n_best=3).describe(), stored.override(beam_width=4).describe()
            ('beam_width 20, n_best 3, consensus 0.4', 'beam_width 4')
        """
        reset = _KIND if self.selects(options) else ()
        kept = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in reset}
        return make_options(DecodingOptions, kept | options)

    @staticmethod
    def selects(options: Collection[str]) -> bool:
        """Whether options with these names select another search when they override the search of a bundle."""
        return any(name in options for name in _SELECTORS)

    def describe(self) -> str:
        """The search in words: its options that differ from greedy search, for example "beam_width 4"."""
        changed = {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}
        texts = [f"{name} {','.join(value) if isinstance(value, tuple) else value}" for name, value in changed.items()]
        return ", ".join(texts if self.beam_width > 1 or self.temperature > 0 else ["greedy", *texts])

    def _sampling_conflicts(self) -> list[tuple[bool, str]]:
        """Incompatible options of sampling and of the number of captions, with the error message of each."""
        is_sampling, candidates = self.temperature > 0, max(self.beam_width, self.samples)
        return [
            (
                self.beam_width > 1 and is_sampling,
                "beam_width above 1 and a temperature above 0 are incompatible; leave out one of them.",
            ),
            (
                not is_sampling and (self.top_k is not None or self.top_p is not None),
                "top_k and top_p require sampling; set a temperature above 0.",
            ),
            (
                not is_sampling and self.samples > 1,
                "Without sampling all samples are the same; set a temperature above 0.",
            ),
            (
                self.n_best > candidates,
                f"n_best {self.n_best} exceeds the number of captions that are searched; set beam_width, "
                f"or samples with a temperature, to at least {self.n_best}.",
            ),
            (
                self.consensus is not None and candidates < 3,
                "consensus requires at least 3 captions to compare; set beam_width, or samples with a temperature, "
                "to at least 3.",
            ),
            (
                self.retrieval > 0 and self.consensus is None,
                "retrieval is part of the ranking by consensus; set consensus too, for example to 0.4.",
            ),
        ]

    def _beam_conflicts(self) -> list[tuple[bool, str]]:
        """Incompatible options of beam search, with the error message of each."""
        return [
            (
                self.beam_width % self.beam_groups != 0,
                f"beam_groups must divide beam_width, got {self.beam_groups} and {self.beam_width}.",
            ),
            (
                (self.beam_groups > 1) != (self.diversity_penalty > 0),
                "beam_groups and diversity_penalty require each other; set beam_groups above 1 and diversity_penalty "
                "above 0, or leave out both.",
            ),
            (
                bool(self.force_words) and self.beam_width == 1,
                "force_words requires beam search; set beam_width above 1.",
            ),
            (
                bool(self.force_words) and self.beam_groups > 1,
                "force_words and beam_groups are incompatible; leave out beam_groups.",
            ),
        ]

    def _word_conflicts(self) -> list[tuple[bool, str]]:
        """Incompatible words and lengths, with the error message of each."""
        twice = sorted({word for word in self.force_words if self.force_words.count(word) > 1})
        both = sorted(set(self.force_words) & set(self.suppress_words))
        longest = math.inf if self.max_length is None else self.max_length
        return [
            (bool(twice), f"force_words contains {twice} more than once; list each word once."),
            (bool(both), f"force_words and suppress_words both contain {both}; remove them from one."),
            (self.min_length > longest, f"min_length {self.min_length} is above max_length {self.max_length}."),
            (
                len(self.force_words) > longest,
                f"{len(self.force_words)} force_words do not fit in max_length {self.max_length}.",
            ),
        ]
