"""The attention of one caption: raw scores, and the words, maps and figures made from them.

Letters: L layers, N heads, T tokens, W shown words, h/w feature grid.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caption_tx.config import DEFAULT_POOL, LANGUAGES, make_options
from caption_tx.data.text.vocabulary import end_label
from caption_tx.data.text.word_kinds import is_content_word
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.map_files import encode_json, encode_npz, read_npz, write_output
from caption_tx.inference.attention.pooling import AXES, select_maps, unit_of_heads
from caption_tx.inference.attention.words import (
    END_TOKEN,
    ShownWord,
    find_spelling,
    letters_and_digits,
    word_log_probabilities,
)
from caption_tx.inference.drawing.style import HeatmapStyle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from caption_tx.inference.drawing.animation import Animation


_NOTEBOOK_DPI = 72
"""A displayed object is saved in the notebook, which figures at full resolution make large."""


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMaps:
    """Where the model looked for each token of one caption of one image.

    Attributes:
        scores: (L, N, T, h, w) cross-attention after the softmax; layers and heads are separate.
        words: T tokens; `scores[:, :, t]` was computed when `words[t]` was predicted. The last may be `END_TOKEN`.
        log_probabilities: (T,) natural logarithm of each token's probability.
        image: name of the image.
        caption: the caption as text.
        picture: (H, W, 3) uint8 RGB to draw on; not saved to NPZ or JSON.
        self_scores: (L, N, T, T) self-attention after the softmax; rollout needs it.
        unknown: T flags. A flagged word is out of vocabulary: the model read the unknown token instead, and
            the log-probability is that of the unknown token.
        shown: W words for figures and pages, each of one or more tokens; by default every token is a word.
        language: language of the caption, "zh", "en" or "".
        cell_log_probabilities: (T, h, w), see `teacher_forcing.read_cells`; the posterior needs it.
        pool: the pooling of maps and figures unless another is requested.
        accuracy: kinds of words -> how often the highest point of their maps is on the object, as measured for the
            bundle; empty if it was not. `pool` and `accuracy` are not saved to NPZ or JSON.

    Raises:
        CaptionTxError: the shapes do not match, or a score is not finite.

    Example:
        >>> maps = captioner.explain("photo.jpg")
        >>> maps.pooled(layer=-1).shape == (len(maps.titles), *maps.grid)
        True
        >>> maps.figure(alpha=0.6).savefig("maps.png")
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
    cell_log_probabilities: np.ndarray | None = None
    pool: str = DEFAULT_POOL
    accuracy: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = tuple(str(word) for word in self.words)
        shown = tuple(self.shown) or tuple(ShownWord(word, (position,)) for position, word in enumerate(words))
        values = {
            "scores": np.asarray(self.scores),
            "words": words,
            "log_probabilities": np.asarray(self.log_probabilities),
            "unknown": tuple(bool(flag) for flag in self.unknown) or (False,) * len(words),
            "shown": shown,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        scores, tokens = self.scores, len(self.words)
        if scores.ndim != len(AXES) or 0 in scores.shape:
            raise CaptionTxError(
                f"Attention scores need five non-empty axes ({', '.join(AXES)}), got the shape {scores.shape}."
            )
        if scores.shape[2] != tokens:
            raise CaptionTxError(
                f"Expected one row of attention per word: the scores have the shape {scores.shape}, "
                f"so {scores.shape[2]} tokens, but the words have the shape ({tokens},)."
            )
        if self.log_probabilities.shape != (tokens,):
            raise CaptionTxError(
                f"Expected one log-probability per word: the words have the shape ({tokens},), "
                f"the log-probabilities {self.log_probabilities.shape}."
            )
        expected = (*scores.shape[:2], tokens, tokens)
        if self.self_scores is not None and np.shape(self.self_scores) != expected:
            raise CaptionTxError(f"Expected self-attention of shape {expected}, got {np.shape(self.self_scores)}.")
        shape, cells = (tokens, *scores.shape[3:]), self.cell_log_probabilities
        if cells is not None and np.shape(cells) != shape:
            raise CaptionTxError(f"Expected log-probabilities of cells of shape {shape}, got {np.shape(cells)}.")
        positions = {position for word in self.shown for position in word.tokens}
        shown_is_valid = all(word.tokens for word in self.shown) and positions <= set(range(tokens))
        if len(self.unknown) != tokens or not shown_is_valid:
            raise CaptionTxError(
                f"Unknown flags and shown words must match the {tokens} tokens, got {self.unknown} and {self.shown}."
            )
        if not np.isfinite(scores).all():
            raise CaptionTxError(f"The attention scores of '{self.image}' contain values that are not finite.")
        if cells is not None and not np.isfinite(cells).all():
            raise CaptionTxError(f"The log-probabilities of cells of '{self.image}' are not all finite.")

    def __repr__(self) -> str:
        shape = "(layers, heads, tokens, rows, columns)"
        unknown = [word for word, flag in zip(self.words, self.unknown, strict=True) if flag]
        note = f", out of vocabulary: {' '.join(unknown)}" if unknown else ""
        return f"AttentionMaps({self.caption!r} of {self.image!r}, scores {shape} = {self.scores.shape}{note})"

    def _repr_png_(self) -> bytes | None:
        """The figure, for a notebook; None if there is no picture to draw on, or no font."""
        if self.picture is None:
            return None
        try:
            figure = self.figure()
        except CaptionTxError:
            return None
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=_NOTEBOOK_DPI)
        return stream.getvalue()

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the feature grid."""
        return self.scores.shape[3], self.scores.shape[4]

    @property
    def titles(self) -> list[str]:
        """The W shown words for display: `end_label` for the end token, "(?)" after a word with an unknown token."""
        end = end_label(self.language)
        texts = [end if word.text == END_TOKEN else word.text for word in self.shown]
        return [f"{text}(?)" if self.is_unknown(word) else text for text, word in zip(texts, self.shown, strict=True)]

    def is_unknown(self, word: ShownWord) -> bool:
        """Whether any token of a shown word is out of vocabulary."""
        return any(self.unknown[position] for position in word.tokens)

    def is_function(self, word: ShownWord) -> bool:
        """Whether a shown word, such as "of" or the end token, names nothing that an image can show."""
        texts = [self.words[position] for position in word.tokens]
        known = self.language in LANGUAGES
        return all(text == END_TOKEN or (known and not is_content_word(text.lower(), self.language)) for text in texts)

    @property
    def shown_log_probabilities(self) -> np.ndarray:
        """(W,) log-probabilities of the shown words, each the sum over its tokens."""
        return word_log_probabilities(self.shown, self.log_probabilities)

    @property
    def log_probability(self) -> float:
        """Log-probability of the whole caption."""
        return float(self.log_probabilities.sum())

    def merged(self, texts: Sequence[str]) -> AttentionMaps:
        """Shows each of these words as one word wherever consecutive tokens spell it.

        The map of a merged word is the mean of its tokens' maps (as Clark et al. 2019 do for word pieces), so
        a map that sums to 1 still does. Its log-probability is the sum of its tokens'.

        Args:
            texts: words such as "T-shirt"; case and punctuation do not matter. A later word wins an overlap.

        Raises:
            CaptionTxError: no consecutive tokens spell one of the words.
        """
        maps = self
        for text in texts:
            runs = find_spelling(self.words, text)
            if not runs:
                raise CaptionTxError(
                    f"No consecutive words spell {text!r}; the words of the caption are {', '.join(self.words)}."
                )
            for run in runs:
                rest = [word for word in maps.shown if not set(word.tokens) & set(run)]
                shown = sorted([*rest, ShownWord(text, tuple(run))], key=lambda word: word.tokens)
                maps = replace(maps, shown=tuple(shown))
        return maps

    def without_punctuation(self) -> AttentionMaps:
        """Hides punctuation and the end token; the scores do not change.

        Raises:
            CaptionTxError: the caption has no other words.
        """
        shown = tuple(word for word in self.shown if word.text != END_TOKEN and letters_and_digits(word.text))
        if not shown:
            raise CaptionTxError(f"The caption {self.caption!r} of '{self.image}' has no words to show.")
        return replace(self, shown=shown)

    def pooled(self, layer: int | None = None, head: int | None = None, pool: str | None = None) -> np.ndarray:
        """(W, h, w) maps of the shown words; arguments and errors as for `pooling.MapSelection`.

        Without a pooling, all layers and heads are pooled as the bundle says, and selected ones by their mean.
        """
        own = self.scores, self.self_scores, self.cell_log_probabilities
        maps = select_maps(layer, head, pool, self.pool).pooled(*own)  # (T, h, w)
        return np.stack([maps[list(word.tokens)].mean(axis=0) for word in self.shown])

    def picture_or_error(self, image: np.ndarray | None = None) -> np.ndarray:
        """`image`, or `picture` if it is None.

        Raises:
            CaptionTxError: both are None.
        """
        image = self.picture if image is None else image
        if image is None:
            raise CaptionTxError("These attention maps have no picture; pass an image to draw on.")
        return image

    def figure(
        self,
        image: np.ndarray | None = None,
        layer: int | None = None,
        head: int | None = None,
        pool: str | None = None,
        *,
        caption: str | None = None,
        columns: int | None = None,
        **style: Any,
    ) -> Figure:
        """A matplotlib figure of the photograph and one overlay per shown word.

        Args:
            image: (H, W, 3) uint8 RGB to draw on; `picture` by default.
            layer: one layer, see `pooling.MapSelection`.
            head: one head, see `pooling.MapSelection`.
            pool: a pooling, see `pooling.MapSelection`; None for the bundle's.
            caption: text at the top; this object's caption by default.
            columns: cells per row; by default chosen from the shape of the image.
            style: fields of `HeatmapStyle`, such as `alpha`, `cmap` or `common_scale`.

        Raises:
            CaptionTxError: a layer, head, pooling, image or style is invalid.
            FontError: `font_path` lacks a character, or no CJK font is installed for East Asian text.
        """
        from caption_tx.inference.drawing.figures import attention_figure

        return attention_figure(
            self.picture_or_error(image),
            self.pooled(layer, head, pool),
            self.titles,
            self.shown_log_probabilities,
            caption=self.caption if caption is None else caption,
            columns=columns,
            style=self._style(layer, head, pool, style),
        )

    def heads_figure(self, image: np.ndarray | None, position: int, **style: Any) -> Figure:
        """A matplotlib figure of every layer and head for one shown word.

        Args:
            image: (H, W, 3) uint8 RGB to draw on; `picture` if None.
            position: index of the word, 0 to W - 1, or negative from the end.
            style: fields of `HeatmapStyle`.

        Raises:
            CaptionTxError: there is no such word, or an image or style is invalid.
            FontError: `font_path` lacks a character, or no CJK font is installed for East Asian text.
        """
        from caption_tx.inference.drawing.figures import attention_heads_figure

        count = len(self.shown)
        if not -count <= position < count:
            raise CaptionTxError(f"There is no word {position}: {count} are shown, so use 0 to {count - 1}.")
        scores = self.scores[:, :, list(self.shown[position].tokens)].mean(axis=2)  # (L, N, h, w)
        style = {"unit": unit_of_heads(self.scores)} | style
        return attention_heads_figure(
            self.picture_or_error(image), scores, self.titles[position], make_options(HeatmapStyle, style)
        )

    def animation(
        self,
        image: np.ndarray | None = None,
        layer: int | None = None,
        head: int | None = None,
        pool: str | None = None,
        **style: Any,
    ) -> Animation:
        """Frames of an animation word by word; arguments and errors as for `figure`.

        Example:
            >>> maps.animation().save("attention.gif", seconds=0.5)
        """
        from caption_tx.inference.drawing.animation import animation_frames

        return animation_frames(
            self.picture_or_error(image),
            self.pooled(layer, head, pool),
            self.titles,
            self.shown_log_probabilities,
            self._style(layer, head, pool, style),
        )

    def _style(self, layer: int | None, head: int | None, pool: str | None, style: dict[str, Any]) -> HeatmapStyle:
        unit = select_maps(layer, head, pool, self.pool).unit(self.scores)
        return make_options(HeatmapStyle, {"unit": unit} | style, ("layer", "head", "pool"))

    def to_npz(self) -> bytes:
        """Everything except `picture` as a compressed NPZ; see `map_files.encode_npz`."""
        return encode_npz(vars(self))

    def to_json(self) -> str:
        """Everything except `picture` as JSON; see `map_files.encode_json`."""
        return encode_json(vars(self))

    def save_npz(self, path: str | Path) -> None:
        """Writes `to_npz` to a file, atomically; `load_npz` reads it.

        Raises:
            CaptionTxError: the file cannot be written.
        """
        write_output(path, self.to_npz())

    @classmethod
    def load_npz(cls, path: str | Path) -> AttentionMaps:
        """Reads the maps that `save_npz` wrote; they have no `picture`.

        Raises:
            CaptionTxError: the file is missing or not an NPZ, an array is missing, or the axes have another order.
        """
        return cls(**read_npz(path))
