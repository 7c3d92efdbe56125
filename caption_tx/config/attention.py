"""Settings of explanations: which caption, which attention maps, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from caption_tx.config.decoding import DecodingOptions
from caption_tx.config.fields import NOT_NEGATIVE, Bounds, setting, validate
from caption_tx.config.text import LANGUAGES
from caption_tx.errors import ConfigError

DEFAULT_POOL = "sharp"
"""The pooling of bundles that store none."""

POOL_NAMES = (DEFAULT_POOL, "mean", "max", "spread", "rollout", "posterior")
"""Ways to combine the maps of all layers and heads into one (`inference/attention/pooling.py`), the default first."""

HEATMAP_ALPHA = 0.72
HEATMAP_CMAP = "inferno"
"""A perceptually uniform color map, whose brightness increases in the same order for every kind of color vision."""


@dataclass(frozen=True)
class ExplanationOptions:
    """What to explain and how to show it.

    Attributes:
        decoding: options of the search, if no caption is given; None for the bundle's own. Its `n_best` is at least
            `rank` + 1.
        out: file to write, in a format of `inference.explanation_files.SUFFIXES`, or None.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or options are incompatible.
    """

    caption: str | None = setting(None, "explain this caption instead of the model's", flag="--caption")
    rank: int = setting(0, "which caption to explain, counted from 0, the best", flag="--rank", bounds=NOT_NEGATIVE)
    merge: tuple[str, ...] = setting(
        (),
        "show adjacent tokens that spell one of these words as one: maps are averaged, log-probabilities added",
        flag="--merge",
        metavar="WORD,..",
    )
    words_only: bool = setting(False, "leave out the end token and punctuation", flag="--words-only")
    layer: int | None = setting(None, "one layer, counted from 0; -1 is the last", flag="--layer", unset="all")
    head: int | None = setting(None, "one head, counted from 0; -1 is the last", flag="--head", unset="all")
    pool: str | None = setting(
        None,
        "how to combine layers and heads; sharp squares their mean, spread selects the head whose maps differ most "
        "between words, rollout follows attention through all layers, posterior also asks what each cell alone says "
        "about the word",
        flag="--pool",
        choices=POOL_NAMES,
        unset=f"the bundle's, chosen after training, or {DEFAULT_POOL} if it stores none; mean with --layer or --head",
    )
    compare: str | None = setting(
        None,
        "show beside the maps of each image those of another bundle for the same caption, or those of another pooling; "
        "needs a page as output file",
        flag="--compare",
        metavar="BUNDLE|POOL",
    )
    scale_per_word: bool = setting(False, "give each map its own color scale", flag="--scale-per-word")
    alpha: float = setting(
        HEATMAP_ALPHA, "opacity of the strongest attention", flag="--alpha", bounds=Bounds(above=0, maximum=1)
    )
    cmap: str = setting(HEATMAP_CMAP, "matplotlib color map, e.g. viridis or cividis", flag="--cmap", metavar="NAME")
    flat: bool = setting(False, "draw every cell in one color in figures and animations", flag="--flat")
    heads_of: int | None = setting(
        None,
        "draw every layer and head in a figure for one word, counted from 0",
        flag="--heads-of",
        metavar="POSITION",
    )
    seconds: float = setting(
        1.0, "seconds per word of an animation", flag="--seconds", bounds=Bounds(minimum=0.02, maximum=60)
    )
    page_language: str | None = setting(
        None,
        "language of a page",
        flag="--page-language",
        choices=LANGUAGES,
        unset="the language of the captions",
    )
    health: bool = setting(False, "report for every layer and head whether its maps are informative", flag="--health")

    decoding: DecodingOptions | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        validate(self)
        decoding, rank = self.decoding, self.rank
        if self.caption is not None and (decoding is not None or rank):
            raise ConfigError("rank and search options do not apply to a given caption; remove them.")
        if decoding is None:
            return
        if rank >= max(decoding.beam_width, decoding.samples):
            raise ConfigError(
                f"The search finds too few captions for rank {rank}; set beam_width to {rank + 1} or more, or as many "
                "samples with a temperature."
            )
        if rank >= decoding.n_best:
            object.__setattr__(self, "decoding", replace(decoding, n_best=rank + 1))
