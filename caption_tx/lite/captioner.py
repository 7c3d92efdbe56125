"""Captions and attention maps from an exported file: `LiteCaptioner`, which `caption_tx.lite.load` returns.

Shape letters: M captions, P positions, V vocabulary_size, L layers, N heads, S = h*w cells.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from caption_tx.config import DecodingOptions
from caption_tx.cores import count_cores
from caption_tx.data.images.forms import NamedImage, image_name, read_named_image
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import parallel_map
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.teacher_forcing import TeacherForced
from caption_tx.inference.base_captioner import BaseCaptioner, require_captions
from caption_tx.inference.explanations import LoadedImage, TargetCaption, explain_targets, list_maps
from caption_tx.inference.search.caption import Caption, make_caption
from caption_tx.inference.search.constraints import Constraints, resolve_constraints
from caption_tx.inference.search.randomness import draw_bits, expand_bits
from caption_tx.inference.search.ranking import rank_captions
from caption_tx.inference.search.spec import SearchSpec
from caption_tx.lite.exported_file import SUFFIX, VOCABULARY, read_description, read_vocabulary
from caption_tx.lite.interpreter import Runner

SIGNATURES, CELLS = ("greedy", "beam", "sample", "explain"), "cells"
"""Every file has the first four; files of older versions have no `cells`."""


def load(path: str | Path) -> LiteCaptioner:
    """Load an exported file, without TensorFlow.

    Args:
        path: a .tflite file, with export.json and vocabulary.txt beside it.

    Raises:
        BundleError: a file is missing or was changed.
        CaptionTxError: ai-edge-litert is not installed.

    Example:
        >>> caption_tx.lite.load("export/captioner.tflite").caption("photo.jpg").text
        '一只狗在草地上奔跑'
    """
    return LiteCaptioner(path)


class LiteCaptioner(BaseCaptioner):
    """Captions images with an exported file.

    It has the methods of `BaseCaptioner`: `caption`, `captions`, `n_best`, `explain`, `explanations` and
    `search_options`. What needs the bundle is missing: `features`, `decode_features`, `export` and `bundle`.

    Attributes:
        description: what export.json says.
    """

    def __init__(self, path: str | Path) -> None:
        if Path(path).suffix != SUFFIX:
            raise ConfigError(f"The name of an exported file ends in {SUFFIX}, got '{path}'.")
        self.name = str(path)
        self.description = description = read_description(path)
        self.tokenizer = read_vocabulary(Path(path).with_name(VOCABULARY), description.text.language)
        self.image_size, self.max_length = description.image_size, description.max_length
        self.attention_shape = (description.layers, description.heads)
        self.pool, self.map_accuracy = description.pool, description.map_accuracy
        own = replace(description.decoding, retrieval=0.0)  # the file has no retrieval index
        self.decoding = DecodingOptions() if self.unsupported(own) else own
        # The captions of a float32 export are those of its bundle, so that either may resume a file of the other.
        self.digest = description.bundle_digest
        if description.precision != "float32":
            self.digest += f" in {description.precision}"
        self.has_cells = CELLS in description.signatures
        self._run = Runner(path, (*SIGNATURES, CELLS) if self.has_cells else SIGNATURES)

    def __repr__(self) -> str:
        about = self.description
        model = f"{about.precision}, {about.text.language}, {self.tokenizer.vocabulary_size:,} tokens"
        return f"LiteCaptioner('{self.name}', {model}, {self.decoding.describe()})"

    @cached_property
    def segmenter(self) -> Segmenter:
        """Splits typed captions and prefixes into words."""
        return Segmenter(self.description.text)

    def unsupported(self, options: DecodingOptions) -> list[str]:
        """The options that the graphs of the file cannot follow, with the value to use instead if there is one."""
        default, width = DecodingOptions(), self.description.beam_width
        names = ("repetition_penalty", "no_repeat_ngram", "beam_groups", "force_words", "retrieval")
        found = [name for name in names if getattr(options, name) != getattr(default, name)]
        if options.beam_width not in (1, width):
            found.append(f"beam_width {options.beam_width} (only {width})")
        if options.beam_width > 1 and options.max_length not in (None, self.max_length):
            found.append("max_length with beam search")
        return found

    def check(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options, or the default ones for None.

        Raises:
            ConfigError: the file does not support an option.
        """
        options = options or self.decoding
        if unsupported := self.unsupported(options):
            raise ConfigError(
                f"The exported file {self.name} does not support {', '.join(unsupported)}; caption with the bundle."
            )
        return options

    def _captions(
        self, images: Iterable[NamedImage], options: DecodingOptions | None, batch_size: int, source: ImageSource
    ) -> Generator[tuple[str, list[Caption] | ImageError]]:
        options = self.check(options)
        search = self._make_search(options)

        def run(image: NamedImage) -> list[Caption] | ImageError:
            try:
                content, pixels = read_named_image(image, source, self.image_size)
            except ImageError as error:
                return error
            return search(content, pixels)

        workers = count_cores()
        for image, result in parallel_map(run, images, workers, max(batch_size, 2 * workers)):
            name = image_name(image)
            yield name, result if isinstance(result, ImageError) else require_captions(name, result)

    def _caption_one(self, image: NamedImage, options: DecodingOptions) -> list[Caption]:
        content, pixels = read_named_image(image, open_images(""), self.image_size)
        return self._make_search(self.check(options))(content, pixels)

    def _explain_batch(
        self,
        images: Sequence[LoadedImage],
        target: TargetCaption | None,
        rank: int,
        options: DecodingOptions,
        with_cells: bool,
    ) -> list[AttentionMaps | CaptionTxError]:
        targets = {} if target is None else dict.fromkeys(range(len(images)), target)
        if target is None:
            search = self._make_search(self.check(options))
            for row, image in enumerate(images):
                captions = search(image.content, image.pixels)
                if rank < len(captions):
                    targets[row] = TargetCaption.from_search(captions[rank])

        def run(token_lists: list[list[int]], rows: list[int]) -> list[TeacherForced]:
            pairs = zip(token_lists, rows, strict=True)
            return [self._explain(images[row].pixels, token_ids[1:], with_cells) for token_ids, row in pairs]

        maps = explain_targets(self.tokenizer, images, targets, run, self.pool, self.map_accuracy)
        return list_maps(images, maps, rank)

    def _explain(self, pixels: np.ndarray, token_ids: list[int], with_cells: bool) -> TeacherForced:
        """The attention of a caption of T tokens, and what each cell alone says about them."""
        count = len(token_ids)
        padded = np.full(self.max_length, self.tokenizer.pad_token_id, np.int32)
        padded[:count] = token_ids
        inputs, grid = {"image": pixels[None], "token_ids": padded}, self.description.grid
        outputs = self._run("explain", **inputs)
        scores = outputs["attention_scores"][:, :, :count]
        cells = None
        if with_cells and self.has_cells:
            cells = self._run(CELLS, **inputs)["cell_log_probs"][:count].reshape(count, *grid)
        return TeacherForced(
            attention_scores=scores.reshape(*scores.shape[:3], *grid),
            log_probabilities=outputs["log_probs"][:count],
            self_attention_scores=outputs["self_attention_scores"][:, :, :count, :count],
            cell_log_probabilities=cells,
        )

    def _make_search(self, options: DecodingOptions) -> _LiteSearch:
        segmenter = self.segmenter if options.prefix or options.suppress_words else None
        constraints = resolve_constraints(options, self.max_length, self.tokenizer, segmenter)
        return _LiteSearch(self, options, constraints)


class _LiteSearch:
    """A search with certain options: pixels, uint8 (size, size, 3), with their content hash -> captions."""

    def __init__(self, captioner: LiteCaptioner, options: DecodingOptions, constraints: Constraints) -> None:
        self.options, self.tokenizer, self.run = options, captioner.tokenizer, captioner._run
        tokenizer, length = captioner.tokenizer, captioner.max_length
        beam = options.beam_width > 1
        self.spec = SearchSpec(
            length=length if beam else constraints.length,
            start_token_id=tokenizer.start_token_id,
            end_token_id=tokenizer.end_token_id,
            pad_token_id=tokenizer.pad_token_id,
            width=options.beam_width if beam else options.samples,
            beam=beam,
            n_best=options.beam_width if beam else 1,
            sampled=options.temperature > 0,
        )
        self.positions = length
        self.is_constrained = bool(constraints.prefix or constraints.suppressed or options.min_length > 1)
        suppressed = np.zeros(tokenizer.vocabulary_size, bool)
        suppressed[[*tokenizer.suppress_tokens, *constraints.suppressed]] = True
        prefix = np.zeros(length, np.int32)
        prefix[: len(constraints.prefix)] = constraints.prefix
        self.inputs = {
            "suppressed": suppressed,
            "prefix": prefix,
            "prefix_length": np.int32(len(constraints.prefix)),
            "min_length": np.int32(options.min_length),
        }

    def __call__(self, content: str, pixels: np.ndarray) -> list[Caption]:
        """The captions of an image, best first."""
        options, image = self.options, pixels[None]
        if self.spec.beam:
            penalty = np.float32(options.length_penalty)
            outputs = [self.run("beam", image=image, length_penalty=penalty, **self.inputs)]
        elif self.spec.sampled:
            outputs = self._samples(content, image)
        elif self.is_constrained:
            outputs = [self._sample(image, 1.0, 1, 1.0, self._equal_noise)]
        else:
            outputs = [self.run("greedy", image=image)]
        names = ("token_ids", "log_probs", "total", "finished")
        result = tuple(np.concatenate([output[name] for output in outputs]) for name in names)
        found = rank_captions(self.spec, options, self.tokenizer.end_token_id, self._truncate(*result))
        return [make_caption(item, rank, self.tokenizer) for rank, item in enumerate(found)]

    def _truncate(
        self, token_ids: np.ndarray, log_probs: np.ndarray, total: np.ndarray, finished: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The captions cut at the requested length."""
        length = self.spec.length
        if length == self.positions:
            return token_ids, log_probs, total, finished
        token_ids, log_probs = token_ids[:, :length], log_probs[:, :length]
        return token_ids, log_probs, log_probs.sum(axis=1), (token_ids == self.tokenizer.end_token_id).any(axis=1)

    @cached_property
    def _equal_noise(self) -> np.ndarray:
        """Uniforms (P, V) with which the most likely token is sampled."""
        return np.full((self.positions, self.tokenizer.vocabulary_size), 0.5, np.float32)

    def _samples(self, content: str, image: np.ndarray) -> list[dict[str, np.ndarray]]:
        options, size = self.options, self.tokenizer.vocabulary_size
        [bits] = draw_bits(options.seed, [int(content[:16], 16)], options.samples, self.positions)  # (M, P, 2)
        top_k = size if options.top_k is None else min(options.top_k, size)
        top_p = 1.0 if options.top_p is None else options.top_p
        return [self._sample(image, options.temperature, top_k, top_p, expand_bits(sample, size)) for sample in bits]

    def _sample(
        self, image: np.ndarray, temperature: float, top_k: int, top_p: float, uniforms: np.ndarray
    ) -> dict[str, np.ndarray]:
        return self.run(
            "sample",
            image=image,
            temperature=np.float32(temperature),
            top_k=np.int32(top_k),
            top_p=np.float32(top_p),
            uniforms=uniforms,
            **self.inputs,
        )
