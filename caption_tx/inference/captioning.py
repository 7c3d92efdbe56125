"""From picture files to captions and attention maps with one bundle: what `caption_tx.load` gives."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.bundle import Bundle, load_bundle
from caption_tx.config import DecodingOptions
from caption_tx.data.backbone import Backbone, dequantize
from caption_tx.data.images import IMAGE_SUFFIXES, read_image, read_picture
from caption_tx.data.segmentation import Segmenter
from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.inference.attention import AttentionMaps, trace
from caption_tx.inference.decoding import Caption, decode

FIGURE_SIDE = 640
"""Pixels of the longer side of the picture that `explain` draws on, at most."""


def load(bundle: str | Path, backbone_weights: str | None = None) -> ImageCaptioner:
    """A captioner of the bundle in this folder.

    Args:
        backbone_weights: file with the backbone's weights, where those the bundle names cannot be had.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    return ImageCaptioner(load_bundle(bundle), backbone_weights)


class ImageCaptioner:
    """Captions pictures and shows where it looked. The backbone is loaded at first use."""

    def __init__(self, bundle: Bundle, backbone_weights: str | None = None) -> None:
        self.bundle = bundle
        self._backbone_weights = backbone_weights

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen image encoder that the bundle was trained on."""
        return self.bundle.load_backbone(self._backbone_weights)

    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 pictures (size, size, 3), as `read_image` gives them -> float features (B, h, w, C)."""
        return np.asarray(dequantize(self.backbone.encode(np.stack(pictures))))

    def captions(
        self, images: Sequence[str | Path], options: DecodingOptions | None = None, batch_size: int = 64
    ) -> Iterator[tuple[str, list[Caption] | ImageError]]:
        """Each image file with its captions, best first, in order; an unreadable one with its error instead."""
        size = self.bundle.backbone.image_size
        for start in range(0, len(images), batch_size):
            results: dict[int, list[Caption] | ImageError] = {}
            readable, pictures, seeds = [], [], []
            names = [str(image) for image in images[start : start + batch_size]]
            for row, name in enumerate(names):
                try:
                    content, picture = read_image(name, size)
                except ImageError as error:
                    results[row] = error
                    continue
                readable.append(row)
                pictures.append(picture)
                seeds.append(int(content[:16], 16))
            if pictures:
                results.update(zip(readable, self._decode(self.features(pictures), options, seeds), strict=True))
            for row, name in enumerate(names):
                yield name, results[row]

    @cached_property
    def _segmenter(self) -> Segmenter:
        return self.bundle.segmenter()

    def _decode(
        self, features: np.ndarray, options: DecodingOptions | None = None, row_seeds: Sequence[int] | None = None
    ) -> list[list[Caption]]:
        bundle = self.bundle
        return decode(bundle.captioner, features, bundle.tokenizer, options, row_seeds, self._segmenter)

    def caption(self, image: str | Path, **options: Any) -> Caption:
        """The best caption of one image file; options as in `DecodingOptions`.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is out of range or asks for what the model does not know.
        """
        return self.n_best(image, **options)[0]

    def n_best(self, image: str | Path, **options: Any) -> list[Caption]:
        """The captions of one image file, best first, as many as the option `n_best` says; errors as `caption`."""
        [(_, result)] = self.captions([image], DecodingOptions(**options))
        if isinstance(result, ImageError):
            raise result
        return result

    def _typed(self, text: str) -> tuple[list[int], list[str]]:
        """token_ids and words of a caption that a person typed, each with its end mark."""
        words = self._segmenter.segment(text)
        if not words:
            raise CaptionTxError(f"There are no words to explain in the caption {text!r}.")
        [token_ids] = self.bundle.tokenizer.tokenize([words])
        return token_ids[1:].tolist(), [*words, "[END]"]

    def explain(self, image: str | Path, caption: Caption | str | None = None) -> AttentionMaps:
        """Where the model looked for every word of a caption of one image file.

        Args:
            caption: one that the model made, a text that a person typed, or None to let the model
                make the likeliest. A typed word that the model does not know is read as unknown, and
                its title says so.

        Raises:
            ImageError: the image cannot be read.
            CaptionTxError: the caption has no words, or more than the model has positions for.
        """
        tokenizer = self.bundle.tokenizer
        size = self.bundle.backbone.image_size
        features = self.features([read_image(str(image), size)[1]])  # (1, h, w, C)
        if caption is None:
            [[caption]] = self._decode(features)
        if isinstance(caption, str):
            token_ids, words = self._typed(caption)
            text = caption
        else:
            token_ids = list(caption.token_ids)
            words = [*caption.words, *(["[END]"] if caption.finished else [])]
            text = caption.text
        unknown = tokenizer.unk_token_id
        titles = [
            f"{word}(?)" if token_id == unknown else word for word, token_id in zip(words, token_ids, strict=True)
        ]
        _, picture = read_picture(str(image))
        scores, log_probabilities = trace(self.bundle.captioner, features[0], token_ids, tokenizer.start_token_id)
        picture.thumbnail((FIGURE_SIDE, FIGURE_SIDE))
        name = os.path.basename(str(image))
        maps = AttentionMaps(scores, tuple(titles), log_probabilities, name, text)
        return replace(maps, picture=np.asarray(picture))


def find_images(paths: Sequence[str | Path]) -> list[str]:
    """Image files as given, and those below the folders given, sorted.

    Raises:
        CaptionTxError: a path does not exist, or a folder holds no image.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
            if not below:
                raise CaptionTxError(f"There are no images ({', '.join(IMAGE_SUFFIXES)}) in the folder {path}.")
            found += below
        elif path.exists():
            found.append(str(path))
        else:
            raise CaptionTxError(f"There is no image or folder '{path}'.")
    return found
