"""Bundles that are served: they check options, answer batches of images, and compile their searches at the start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from caption_tx.assets import short_name
from caption_tx.config import DecodingOptions
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.images.decoding import resize
from caption_tx.default_bundle import choose_bundle
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.teacher_forcing import TeacherForced, teacher_forced_pass
from caption_tx.inference.base_captioner import require_captions
from caption_tx.inference.captioner import ImageCaptioner, load
from caption_tx.inference.explanations import LoadedImage, TargetCaption, explain_targets
from caption_tx.inference.search.caption import Caption
from caption_tx.inference.search.decode import BATCH_SIZES, search_spec
from caption_tx.inference.search.retrieval import require_index
from caption_tx.inference.search.spec import SearchSpec
from caption_tx.serve.engine import Job
from caption_tx.serve.examples import example_scenes

MAX_HYPOTHESES = 64
"""Most hypotheses per image: the beam width or the number of samples, times one more than the forced words."""

MAX_SEARCHES = 24
"""Most kinds of searches that a bundle compiles, since compiled searches stay in memory."""

PAGE_CAPTIONS = 5
"""Captions per image on the web page, if the search finds as many."""

PAGE_TEMPERATURE = 0.7
"""Temperature of the samples on the web page unless the reader chooses another."""


@dataclass(frozen=True)
class Question:
    """What to do with one image.

    Attributes:
        image: with its photograph if it is explained.
        options: the search, or None if `target` was typed.
        target: a typed caption.
        explain: whether to read the maps of the caption.
        rank: which of the captions to explain.
    """

    image: LoadedImage
    options: DecodingOptions | None
    target: TargetCaption | None = None
    explain: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Answer:
    """The captions of one image, best first, the maps of the one that was asked for, and `LoadedImage.found`."""

    captions: list[Caption]
    maps: AttentionMaps | None
    found: Mapping[str, str] = field(default_factory=dict)


class ServedBundle:
    """A bundle that several threads may use.

    Attributes:
        name: as clients name it.
        captioner: the loaded bundle.
    """

    def __init__(self, name: str, captioner: ImageCaptioner) -> None:
        self.name, self.captioner = name, captioner
        self._costs: dict[SearchSpec, dict[int, float]] = {}
        self._specs: set[SearchSpec] = set()
        self._compiled: set[SearchSpec] = set()
        self._lock, self._compiling = threading.Lock(), threading.Lock()

    @property
    def language(self) -> str:
        """The language of the captions."""
        return self.captioner.tokenizer.language

    def check_options(self, options: DecodingOptions) -> DecodingOptions:
        """Reject a search that this server would not finish in a short time, or whose program it has no room for.

        Raises:
            ConfigError: a word or a length does not fit the model, the search is too large, or it is one kind too many.
        """
        require_index(options, self.captioner.bundle.retrieval)
        spec = self._spec(options)
        if spec.num_hypotheses > MAX_HYPOTHESES:
            raise ConfigError(
                f"The search has {spec.num_hypotheses} hypotheses per image; this server searches at most "
                f"{MAX_HYPOTHESES}: lower beam_width, samples or the number of force_words."
            )
        with self._lock:
            if spec not in self._specs and len(self._specs) >= MAX_SEARCHES:
                raise ConfigError(
                    f"This server has compiled {MAX_SEARCHES} kinds of searches and takes no more; use options that it "
                    "has seen, or restart it."
                )
            self._specs.add(spec)
        return options

    def _spec(self, options: DecodingOptions) -> SearchSpec:
        bundle = self.captioner.bundle
        return search_spec(bundle.captioner, bundle.tokenizer, options, self.captioner.segmenter)

    def answer(self, jobs: Sequence[Job[Answer]]) -> list[Answer | Exception]:
        """Encode all images at once, search those with the same options together, and read the maps in one pass."""
        questions: list[Any] = [job.question for job in jobs]
        images = [question.image for question in questions]
        features = dequantize(self.captioner.backbone.encode(np.stack([image.pixels for image in images]))).numpy()
        captions: dict[int, list[Caption]] = {}
        errors: dict[int, Exception] = {}
        targets: dict[int, TargetCaption] = {}
        for options, rows in _group(questions).items():
            found = self._search(features[rows], [images[row].content for row in rows], options)
            captions |= zip(rows, found, strict=True)
        for row, question in enumerate(questions):
            try:
                target = question.target
                if target is None:
                    best = require_captions(question.image.name, captions[row])
                    target = _choose(best, question) if question.explain else None
                if question.explain and target is not None:
                    targets[row] = target
            except CaptionTxError as error:
                errors[row] = error
        maps = self._explain(features, images, targets)
        return [errors.get(row) or Answer(captions.get(row, []), maps.get(row)) for row in range(len(questions))]

    def _search(self, features: np.ndarray, contents: Sequence[str], options: DecodingOptions) -> list[list[Caption]]:
        """The captions of images (B, h, w, C), searched in batches of the sizes that take the least time."""
        spec, captions = self._spec(options), []
        if spec not in self._compiled:
            with self._compiling:
                captions += self.captioner.decode_features(features[:1], contents[:1], options)
                self._compiled.add(spec)
        for count in plan_batches(len(contents) - len(captions), self._costs.get(spec, {1: 1.0})):
            part = slice(len(captions), len(captions) + count)
            captions += self.captioner.decode_features(features[part], contents[part], options)
        return captions

    def _explain(
        self, features: np.ndarray, images: Sequence[LoadedImage], targets: Mapping[int, TargetCaption]
    ) -> dict[int, AttentionMaps]:
        captioner = self.captioner

        def run(token_lists: list[list[int]], rows: list[int]) -> list[TeacherForced]:
            return teacher_forced_pass(captioner.bundle.captioner, features, token_lists, rows, with_cells=True)

        return explain_targets(captioner.tokenizer, images, targets, run, captioner.pool, captioner.map_accuracy)

    def page_options(self) -> DecodingOptions:
        """The search of the web page: the bundle's own, with up to `PAGE_CAPTIONS` captions."""
        options = self.captioner.decoding
        found = max(options.beam_width, options.samples)
        return options.override(n_best=max(options.n_best, min(PAGE_CAPTIONS, found)))

    def warm_up(self, max_batch: int, log: Callable[[str], None]) -> None:
        """Compile the searches of the API and of the page, and measure how long they take in each batch size."""
        captioner, start = self.captioner, time.perf_counter()
        sizes = [size for size in BATCH_SIZES if size <= max_batch]
        scenes = [resize(scene, captioner.image_size) for scene in example_scenes().values()]
        count = sizes[-1]
        pixels = np.stack([scenes[index % len(scenes)] for index in range(count)])
        features = dequantize(captioner.backbone.encode(pixels)).numpy()
        contents = [f"{index:032x}" for index in range(count)]
        sampled = captioner.search_options(temperature=PAGE_TEMPERATURE, samples=PAGE_CAPTIONS, n_best=PAGE_CAPTIONS)
        batched = (captioner.decoding, captioner.search_options(beam_width=1))
        for options in dict.fromkeys((*batched, self.page_options(), sampled)):
            spec = self._spec(self.check_options(options))
            if spec in self._costs:
                continue
            used = sizes if options in batched else sizes[:1]
            self._costs[spec] = {
                size: _time(lambda n=size, o=options: captioner.decode_features(features[:n], contents[:n], o))
                for size in used
            }
            self._compiled.add(spec)
        target = TargetCaption([captioner.tokenizer.end_token_id], ("",), "")
        self._explain(features, [LoadedImage("", "", pixels[0], None)], {0: target})
        log(
            f"{self.name}: searches compiled for batches of up to {', '.join(map(str, sizes))} in "
            f"{time.perf_counter() - start:.0f} s ({captioner.decoding.describe()})."
        )


def _group(questions: Sequence[Question]) -> dict[DecodingOptions, list[int]]:
    """The rows that are searched, by their options."""
    groups: dict[DecodingOptions, list[int]] = {}
    for row, question in enumerate(questions):
        if question.options is not None:
            groups.setdefault(question.options, []).append(row)
    return groups


def _choose(captions: Sequence[Caption], question: Question) -> TargetCaption:
    """The caption that is explained."""
    if question.rank >= len(captions):
        raise CaptionTxError(
            f"The search found only {len(captions)} captions of {question.image.name}; use a lower rank."
        )
    return TargetCaption.from_search(captions[question.rank])


def _time(run: Callable[[], object]) -> float:
    """Seconds of a second and third run; the first one compiles."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def plan_batches(count: int, costs: Mapping[int, float]) -> list[int]:
    """Divides images into batches that take the least time together.

    Args:
        count: number of images.
        costs: seconds of a batch by the size that it is padded to.

    Example:
        >>> plan_batches(6, {1: 1.0, 4: 1.5, 16: 5.0})
        [4, 2]
    """
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for images in range(1, count + 1):
        options = []
        for size, cost in costs.items():
            part = min(size, images)
            seconds, parts = best[images - part]
            options.append((seconds + cost, [part, *parts]))
        best.append(min(options, key=lambda option: (option[0], len(option[1]))))
    return best[count][1]


def name_bundles(
    bundles: Sequence[str] | None, backbone_weights: str | None, log: Callable[[str], None]
) -> Sequence[str]:
    """The names and folders of bundles: those that are given, or the one to use when none is (None)."""
    return [choose_bundle(backbone_weights, log)] if bundles is None else bundles


def load_captioners(names: Sequence[str], backbone_weights: str | None = None) -> dict[str, ImageCaptioner]:
    """Load bundles without their backbones.

    Returns:
        The bundles by the names that clients use: of a shipped bundle, or of the folder of a bundle or a run.

    Raises:
        BundleError: a bundle is missing or damaged.
        ConfigError: two have the same name, or one is an exported file.

    Example:
        >>> list(load_captioners(["flickr8k-zh-small", "runs/mine"]))
        ['flickr8k-zh-small', 'mine']
    """
    captioners: dict[str, ImageCaptioner] = {}
    for path in dict.fromkeys(names):
        if path.endswith(".tflite"):
            raise ConfigError(f"{path} is an exported file, which answers one image at a time; serve its bundle.")
        name = short_name(path)
        if name in captioners:
            raise ConfigError(f"Two bundles are called '{name}'; rename a folder.")
        captioners[name] = load(path, backbone_weights)
    return captioners


def load_bundles(names: Sequence[str], backbone_weights: str | None = None) -> dict[str, ServedBundle]:
    """Load bundles to compute captions in this process; those with the same backbone share it.

    Returns, raises: as `load_captioners`; also raises if the weights of a backbone are missing.
    """
    served: dict[str, ServedBundle] = {}
    for name, captioner in load_captioners(names, backbone_weights).items():
        for other in served.values():
            if other.captioner.bundle.backbone_key == captioner.bundle.backbone_key:
                captioner.backbone = other.captioner.backbone
        _ = captioner.backbone  # loads it, or reports that its weights are missing
        served[name] = ServedBundle(name, captioner)
    return served
