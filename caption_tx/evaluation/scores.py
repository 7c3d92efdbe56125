"""Scores of captions against references, with confidence intervals and caption statistics, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from caption_tx.config import MIN_IMAGES
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.intervals import DEFAULT_BOOTSTRAP, Bootstrap, Interval
from caption_tx.evaluation.metrics import METRICS, TITLES, ImageMetrics, measure, require_scorers, with_intervals
from caption_tx.evaluation.protocol import Protocol


@dataclass(frozen=True)
class CaptionStatistics:
    """Statistics that help to judge the scores. Shares are in [0, 1]; None means unknown.

    Attributes:
        images: number of images scored.
        mean_length, reference_length: mean number of words of the captions and of all references.
        distinct: number of different captions after normalization.
        empty: number of captions without a word.
        cut: share truncated at the length limit.
        repeated: share that repeats one or more words in direct succession.
        copied: share that also occurs as a caption of the training split.
    """

    images: int
    mean_length: float
    reference_length: float
    distinct: int
    empty: int
    cut: float | None
    repeated: float
    copied: float | None


@dataclass(frozen=True, repr=False)
class Scores:
    """Scores of one system, times 100.

    Attributes:
        protocol: the language, and the segmentation of the first row.
        rows: scores by unit ("words", "characters") and metric, see `METRICS`. Chinese words of jieba come with a
            second row of characters.
        by_image: scores of each image in the first unit: "bleu4" (see `sentence_bleu`), "rouge_l" and "cider".
        metrics: the metrics of every image by unit, in the order of `by_image`.
        left_out: images that cannot be scored because no reference has a word.
        resamples: of the bootstrap; 0 if there are no intervals.
    """

    protocol: Protocol
    rows: dict[str, dict[str, Interval]]
    statistics: CaptionStatistics
    by_image: dict[str, dict[str, float]] = field(repr=False)
    metrics: dict[str, ImageMetrics] = field(repr=False, compare=False)
    left_out: tuple[str, ...] = ()
    resamples: int = 0

    def __repr__(self) -> str:
        titles = dict(zip(METRICS, TITLES, strict=True))
        values = ", ".join(f"{titles[name]} {value.value:.1f}" for name, value in self.rows[self.protocol.unit].items())
        return f"Scores('{self.protocol.language}', {self.statistics.images:,} images: {values})"

    def __getitem__(self, metric: str) -> float:
        """The score in the first unit, times 100, for example `scores["cider"]`."""
        return self.rows[self.protocol.unit][metric].value

    @property
    def labels(self) -> dict[str, str]:
        """The name of each row with its segmentation, by unit."""
        return {protocol.unit: protocol.label for protocol in (self.protocol, *self.protocol.others())}

    def to_dict(self) -> dict[str, Any]:
        """Everything but the scores of each image, ready for JSON; the statistics have the key "health"."""
        return {
            "language": self.protocol.language,
            "segmentation": self.protocol.segmentation,
            "rows": {unit: {name: asdict(value) for name, value in row.items()} for unit, row in self.rows.items()},
            "health": asdict(self.statistics),
            "left_out": list(self.left_out),
            "resamples": self.resamples,
        }


def score(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    language: str | Protocol = "zh",
    *,
    finished: Mapping[str, bool] | None = None,
    training: Iterable[str] | None = None,
    characters: bool = True,
    bootstrap: Bootstrap | None = DEFAULT_BOOTSTRAP,
) -> Scores:
    """Scores one caption per image against the references of the image.

    Captions and references are ordinary text; `protocol` describes how they are normalized and tokenized.

    The intervals come from a bootstrap over images (Efron 1979). BLEU is computed again from the summed counts
    (Koehn 2004); ROUGE-L and CIDEr are means over images, with the idf of all images. An interval shows how much
    another choice of images would change the score, not how much another training run would.

    Args:
        hypotheses: a caption for every image of `references`; "" is allowed and scores 0.
        language: "zh" or "en"; or a `Protocol`, which also has a segmentation.
        finished: whether the caption of an image ended before the length limit.
        training: captions of the training split, to find copied captions.
        characters: whether words of jieba come with a second row of characters.
        bootstrap: None computes no intervals; neither do fewer than `MIN_IMAGES` images.

    Example:
        >>> scores = score({"1.jpg": "一只狗在奔跑"}, {"1.jpg": ["一只狗在草地上奔跑。", "狗在跑"]}, language="zh")
        >>> scores["bleu4"], scores.rows["words"]["cider"], scores.statistics.distinct

    Raises:
        CaptionTxError: there are no images, or the two mappings have different images.
        ConfigError: pycocoevalcap is missing, or the language is unknown.
    """
    require_scorers()
    protocol = Protocol.of(language)
    _check_same_images(hypotheses, references)
    targets = {name: tokenized for name, texts in references.items() if (tokenized := _tokenize_all(texts, protocol))}
    if not targets:
        raise CaptionTxError("Nothing to score: no image has a reference with a word.")
    captions = {name: protocol.tokenize(hypotheses[name]) for name in targets}
    metrics = {protocol.unit: measure(list(captions.values()), list(targets.values()))}
    for other in protocol.others() if characters else ():
        split = [other.tokenize(hypotheses[name]) for name in targets]
        metrics[other.unit] = measure(split, [_tokenize_all(references[name], other) for name in targets])
    return Scores(
        protocol=protocol,
        rows={unit: with_intervals(measured, bootstrap) for unit, measured in metrics.items()},
        statistics=_statistics(captions, targets, protocol, finished, training),
        by_image={
            name: dict(zip(("bleu4", "rouge_l", "cider"), values.tolist(), strict=True))
            for name, values in zip(targets, 100 * metrics[protocol.unit].per_image(), strict=True)
        },
        metrics=metrics,
        left_out=tuple(name for name in references if name not in targets),
        resamples=0 if bootstrap is None or len(targets) < MIN_IMAGES else bootstrap.resamples,
    )


def score_humans(
    references: Mapping[str, Sequence[str]], language: str | Protocol = "zh"
) -> dict[str, dict[str, float]]:
    """Scores of human captions by unit and metric: caption k of each image against its others, averaged over k.

    Images with a single caption are ignored. A system has one more reference per image than a human caption has
    here, which favors the system slightly.

    Raises:
        CaptionTxError: no image has two captions.
    """
    rows: dict[str, list[dict[str, Interval]]] = {}
    longest = max((len(texts) for texts in references.values()), default=0)
    for k in range(longest if longest > 1 else 0):
        others = {name: list(texts) for name, texts in references.items() if len(texts) > max(k, 1)}
        captions = {name: texts.pop(k) for name, texts in others.items()}
        for unit, row in score(captions, others, language, bootstrap=None).rows.items():
            rows.setdefault(unit, []).append(row)
    if not rows:
        raise CaptionTxError("The human baseline needs an image with at least two captions.")
    return {
        unit: {metric: float(np.mean([row[metric].value for row in scored])) for metric in METRICS}
        for unit, scored in rows.items()
    }


def repeats(words: Sequence[str]) -> bool:
    """Whether one or more words occur twice in direct succession."""
    words = list(words)
    return any(
        words[start : start + size] == words[start + size : start + 2 * size]
        for size in range(1, len(words) // 2 + 1)
        for start in range(len(words) - 2 * size + 1)
    )


def _check_same_images(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> None:
    for what, value in (("captions", hypotheses), ("references", references)):
        if not isinstance(value, Mapping):
            raise CaptionTxError(
                f"The {what} to score must be a mapping of image names, such as {{'1.jpg': ..}}, got a value of type "
                f"{type(value).__name__}."
            )
    if missing := [name for name in references if name not in hypotheses]:
        raise CaptionTxError(
            f"{len(missing):,} of {len(references):,} images have no caption, for example {missing[0]!r}."
        )
    if unexpected := [name for name in hypotheses if name not in references]:
        raise CaptionTxError(f"{len(unexpected):,} captions have no references, for example {unexpected[0]!r}.")


def _tokenize_all(texts: Iterable[str], protocol: Protocol) -> list[list[str]]:
    """The texts that have a word, tokenized."""
    return [tokens for text in texts if (tokens := protocol.tokenize(text))]


def _statistics(
    captions: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[Sequence[str]]],
    protocol: Protocol,
    finished: Mapping[str, bool] | None,
    training: Iterable[str] | None,
) -> CaptionStatistics:
    texts = [protocol.join(words) for words in captions.values()]
    known_finished = [finished[name] for name in captions if name in finished] if finished else []
    copies = None if training is None else {protocol.normalize(text) for text in training}.intersection(texts)
    reference_lengths = [len(words) for tokenized in references.values() for words in tokenized]
    return CaptionStatistics(
        images=len(texts),
        mean_length=float(np.mean([len(words) for words in captions.values()])),
        reference_length=float(np.mean(reference_lengths)),
        distinct=len(set(texts)),
        empty=texts.count(""),
        cut=1 - float(np.mean(known_finished)) if known_finished else None,
        repeated=float(np.mean([repeats(words) for words in captions.values()])),
        copied=None if copies is None else float(np.mean([text in copies for text in texts])),
    )
