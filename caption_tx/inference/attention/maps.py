"""Cross-attention of one caption: the raw scores, and what is shown of them. No TensorFlow.

Letters: L layers, N heads, T tokens, W shown words, h and w rows and columns of the feature grid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caption_tx.data.text.vocabulary import END, SPECIAL_TOKENS
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import AXES, POOL_NAMES, POOLINGS, pool, unit, unit_of_heads

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

__all__ = ["AXES", "END_MARK", "POOLINGS", "POOL_NAMES", "AttentionMaps", "ShownWord", "pool"]

END_MARK = SPECIAL_TOKENS[END]
END_TEXT = "(end)"
"""What people are shown for the end mark, which is no word of any language."""

_JOINED = re.compile(r"\w+(?:[-'\u2010\u2011\u2019]\w+)+", re.ASCII)


@dataclass(frozen=True)
class ShownWord:
    """What is shown as one word, and the places of its tokens among the T of the caption."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """Where the model looked for each token of one caption of one image.

    Attributes:
        scores: (L, N, T, h, w) post-softmax cross-attention; layers and heads are kept apart.
        words: T tokens; `scores[:, :, t]` was read when `words[t]` was predicted. The last may be `END_MARK`.
        log_probabilities: (T,) natural logarithm of each token's probability.
        image: name of the image.
        caption: the caption as it is shown.
        picture: (H, W, 3) uint8 RGB, what `figure` draws on unless it is given another; not saved to files
            of raw maps.
        self_scores: (L, N, T, T) post-softmax self-attention, which rollout needs.
        unknown: T flags; where one is set the model read the word as unknown, and the log-probability is
            that of any unknown word.
        shown: W words that figures and pages show, each of one token or more; all tokens one by one by default.
        language: "zh", "en" or "" for the caption.

    Raises:
        CaptionTxError: the shapes do not fit each other, or a score is not finite.
    """

    scores: np.ndarray
    words: tuple[str, ...]
    log_probabilities: np.ndarray
    image: str = ""
    caption: str = ""
    picture: np.ndarray | None = None
    self_scores: np.ndarray | None = None
    unknown: tuple[bool, ...] = ()
    shown: tuple[ShownWord, ...] = ()
    language: str = ""

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores)
        log_probabilities = np.asarray(self.log_probabilities)
        words = tuple(str(word) for word in self.words)
        if scores.ndim != len(AXES) or 0 in scores.shape:
            raise CaptionTxError(
                f"Attention scores need five filled axes ({', '.join(AXES)}), got the shape {scores.shape}."
            )
        tokens = len(words)
        if scores.shape[2] != tokens:
            raise CaptionTxError(
                f"One row of attention per word is needed: the scores have the shape {scores.shape}, "
                f"so {scores.shape[2]} tokens, but the words have the shape ({tokens},)."
            )
        if log_probabilities.shape != (tokens,):
            raise CaptionTxError(
                f"One log-probability per word is needed: the words have the shape ({tokens},), "
                f"the log-probabilities {log_probabilities.shape}."
            )
        wanted = (*scores.shape[:2], tokens, tokens)
        if self.self_scores is not None and np.shape(self.self_scores) != wanted:
            raise CaptionTxError(f"Self-attention of the shape {wanted} is needed, got {np.shape(self.self_scores)}.")
        unknown = tuple(bool(flag) for flag in self.unknown) or (False,) * tokens
        shown = tuple(self.shown) or tuple(ShownWord(word, (place,)) for place, word in enumerate(words))
        places = [place for word in shown for place in word.tokens]
        if len(unknown) != tokens or not all(word.tokens for word in shown) or not set(places) <= set(range(tokens)):
            raise CaptionTxError(f"Flags and shown words must be of the {tokens} tokens, got {unknown} and {shown}.")
        if not np.isfinite(scores).all():
            raise CaptionTxError(f"The attention scores of '{self.image}' hold values that are not finite.")
        checked = {"scores": scores, "log_probabilities": log_probabilities, "words": words}
        for name, value in (checked | {"unknown": unknown, "shown": shown}).items():
            object.__setattr__(self, name, value)

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the feature grid."""
        return self.scores.shape[3], self.scores.shape[4]

    @property
    def titles(self) -> list[str]:
        """The W shown words as people read them: `END_TEXT` for the end mark, "(?)" behind what was read as unknown."""
        texts = [END_TEXT if word.text == END_MARK else word.text for word in self.shown]
        return [f"{text}(?)" if self.is_unknown(word) else text for text, word in zip(texts, self.shown, strict=True)]

    def is_unknown(self, word: ShownWord) -> bool:
        """Whether any token of a shown word is unknown to the model."""
        return any(self.unknown[place] for place in word.tokens)

    @property
    def shown_log_probabilities(self) -> np.ndarray:
        """(W,) of the shown words, each the sum over its tokens, as the chain rule has it."""
        return np.array([self.log_probabilities[list(word.tokens)].sum() for word in self.shown])

    @property
    def log_probability(self) -> float:
        """Of the whole caption."""
        return float(self.log_probabilities.sum())

    def merged(self, texts: Sequence[str]) -> AttentionMaps:
        """Each of these words is shown as one where several tokens in a row spell it.

        Its map is the mean of its tokens' maps (as Clark et al. 2019 do for words in pieces), so what
        summed to 1 still does; its log-probability is their sum.

        Raises:
            CaptionTxError: no run of tokens spells one of them.
        """
        maps = self
        for text in texts:
            spelled = _letters(text)
            runs = [
                range(first, last)
                for first in range(len(self.words))
                for last in range(first + 1, len(self.words) + 1)
                if spelled and _letters("".join(self.words[first:last])) == spelled
            ]
            # Punctuation before or behind the word spells the same; the shortest run is the word itself.
            runs = [run for run in runs if all(_letters(self.words[place]) for place in (run[0], run[-1]))]
            if not runs:
                raise CaptionTxError(
                    f"No words in a row spell {text!r}; the caption's words are {', '.join(self.words)}."
                )
            for run in runs:
                rest = [word for word in maps.shown if not set(word.tokens) & set(run)]
                shown = sorted([*rest, ShownWord(text, tuple(run))], key=lambda word: word.tokens)
                maps = replace(maps, shown=tuple(shown))
        return maps

    def without_marks(self) -> AttentionMaps:
        """Punctuation and the end mark are not shown; the scores stay whole.

        Raises:
            CaptionTxError: nothing else is there.
        """
        shown = tuple(word for word in self.shown if word.text != END_MARK and _letters(word.text))
        if not shown:
            raise CaptionTxError(f"The caption {self.caption!r} of '{self.image}' has no words to show.")
        return replace(self, shown=shown)

    def pooled(self, layer: int | None = None, head: int | None = None, pool: str = "mean") -> np.ndarray:
        """(W, h, w) maps of the shown words; see `pooling.pool` for arguments and errors."""
        maps = _pool(self.scores, layer, head, pool, self.self_scores)
        return np.stack([maps[list(word.tokens)].mean(axis=0) for word in self.shown])

    def figure(
        self,
        image: np.ndarray | None = None,
        layer: int | None = None,
        head: int | None = None,
        pool: str = "mean",
        **options: Any,
    ) -> Figure:
        """The photograph and one overlay per shown word.

        Args:
            image: (H, W, 3) uint8 RGB to draw on, or None for `picture`.
            layer: see `pool`.
            head: see `pool`.
            pool: name of the pooling.
            options: passed on to `figures.attention_figure` (columns, alpha, common_scale, cmap, ...).

        Raises:
            CaptionTxError: as `pool` and `figures.attention_figure`.
        """

        maps = self.pooled(layer, head, pool)
        options = {"caption": self.caption, "unit": unit(self.scores, layer, head, pool)} | options
        values = self.shown_log_probabilities
        from caption_tx.inference.drawing import figures

        return figures.attention_figure(self.picture_or(image), maps, self.titles, log_probabilities=values, **options)

    def picture_or(self, image: np.ndarray | None = None) -> np.ndarray:
        """`image`, or `picture` where it is None.

        Raises:
            CaptionTxError: both are None.
        """
        image = self.picture if image is None else image
        if image is None:
            raise CaptionTxError("These attention maps came without their picture; pass it to draw on.")
        return image

    def heads_figure(self, image: np.ndarray | None, position: int, **options: Any) -> Figure:
        """Every layer and head apart, for the shown word at `position` (0 to W - 1, or negative from the end).

        Args:
            image: (H, W, 3) uint8 RGB, or None for `picture`.
            position: which word.
            options: passed on to `figures.attention_heads_figure`.

        Raises:
            CaptionTxError: there is no such word, or as `figures.attention_heads_figure`.
        """

        count = len(self.shown)
        if not -count <= position < count:
            raise CaptionTxError(f"There is no word {position}: {count} are shown, so give 0 to {count - 1}.")
        scores = self.scores[:, :, list(self.shown[position].tokens)].mean(axis=2)
        options = {"unit": unit_of_heads(self.scores)} | options
        from caption_tx.inference.drawing import figures

        return figures.attention_heads_figure(self.picture_or(image), scores, self.titles[position], **options)

    def animation(
        self,
        image: np.ndarray | None = None,
        layer: int | None = None,
        head: int | None = None,
        pool: str = "mean",
        **options: Any,
    ) -> list[Image.Image]:
        """Frames word by word; arguments and errors as for `figure`, options of `animation.animation_frames`."""
        from caption_tx.inference.drawing.animation import animation_frames

        maps = self.pooled(layer, head, pool)
        options = {"unit": unit(self.scores, layer, head, pool)} | options
        values = self.shown_log_probabilities
        return animation_frames(self.picture_or(image), maps, self.titles, values, **options)

    def save_npz(self, path: str | Path) -> None:
        """Writes the raw maps to an NPZ, whole or not at all; see `map_files.to_npz`.

        Raises:
            CaptionTxError: the file cannot be written.
        """
        from caption_tx.inference.attention.map_files import save_npz

        save_npz(self, path)


def joined_words(text: str) -> list[str]:
    """Words of a typed text that hyphens or apostrophes hold together, and a segmenter may cut."""
    return list(dict.fromkeys(_JOINED.findall(text)))


def _letters(text: str) -> str:
    """Lowercase letters and digits of a text, for comparing spellings."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


# `AttentionMaps.pooled` and `figure` take an argument of the same name.
_pool = pool
