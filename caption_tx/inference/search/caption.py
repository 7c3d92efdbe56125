"""A generated caption. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.data.text.token_words import TokenWords
from caption_tx.inference.search.caption_html import caption_html
from caption_tx.inference.search.ranking import FoundCaption


@dataclass(frozen=True, repr=False)
class Caption:
    """A generated caption.

    Attributes:
        text: the detokenized caption. words: its words.
        token_ids: the generated tokens, including the prefix and, if finished, the end token.
        log_probabilities: the model's natural log-probability of each token at temperature 1, <= 0.
        finished: False if the caption was truncated at the length limit.
        rank: its index among the captions of its image, 0 for the best.
        score: log-probability (with the repetition penalty, if any) / length**length_penalty, <= 0. Captions are
            ranked by it unless `consensus` is set.
        expected_utility: with `consensus`, and perhaps `retrieval`, the value in [0, 1] that captions are ranked by;
            otherwise None.
    """

    text: str
    words: tuple[str, ...]
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finished: bool
    rank: int
    score: float
    expected_utility: float | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Caption({self.text!r}, log_probability={self.log_probability:.2f})"

    def _repr_html_(self) -> str:
        return caption_html(self.text, self.words, self.log_probabilities)

    @property
    def log_probability(self) -> float:
        """The natural log-probability of the whole caption."""
        return float(sum(self.log_probabilities))


def make_caption(found: FoundCaption, rank: int, tokenizer: TokenWords) -> Caption:
    """The caption with its text."""
    return Caption(
        text=tokenizer.detokenize(found.token_ids),
        words=tuple(tokenizer.to_words(found.token_ids)),
        token_ids=found.token_ids,
        log_probabilities=found.log_probs,
        finished=found.finished,
        rank=rank,
        score=found.score,
        expected_utility=found.expected_utility,
    )
