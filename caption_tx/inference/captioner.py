"""Captions and attention maps of image files with one bundle: `ImageCaptioner`, which `caption_tx.load` returns."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import caption_tx
from caption_tx.bundle import Bundle, load_bundle
from caption_tx.bundle_config import brief
from caption_tx.config import DecodingOptions, ExportOptions, make_options
from caption_tx.data.features.backbone import Backbone, dequantize
from caption_tx.data.features.extraction import encode_batches
from caption_tx.data.images.forms import ImageLike, NamedImage, is_one_image, name_image, name_images, read_named_image
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import prefetch
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.default_bundle import choose_bundle
from caption_tx.errors import BundleError, CaptionTxError, ConfigError, ImageError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.teacher_forcing import TeacherForced, teacher_forced_pass
from caption_tx.inference.base_captioner import BaseCaptioner, require_captions
from caption_tx.inference.explanations import LoadedImage, TargetCaption, explain_targets, list_maps
from caption_tx.inference.search.caption import Caption
from caption_tx.inference.search.constraints import resolve_constraints
from caption_tx.inference.search.decode import decode
from caption_tx.startup import start_tensorflow


def load(bundle: str | Path | None = None, backbone_weights: str | None = None) -> ImageCaptioner:
    """Load a bundle.

    Args:
        bundle: name of a shipped bundle, a folder, or an address on the Hugging Face Hub such as `hf://user/name`. None
            is flickr8k-zh; if the weights of its backbone are neither given nor cached and cannot be downloaded, a
            warning says so and flickr8k-zh-small is used.
        backbone_weights: file with the backbone's weights, if the source that the bundle names is not available.

    Raises:
        BundleError: the bundle is missing or damaged, or its default search does not fit its vocabulary.
        ConfigError: the package `huggingface_hub`, which addresses need, is not installed.

    Example:
        >>> captioner = caption_tx.load("runs/mine")
        >>> captioner.caption("photo.jpg")
        Caption('...', log_probability=-...)
    """
    start_tensorflow()
    if bundle is None:
        bundle = choose_bundle(backbone_weights)
    captioner = ImageCaptioner(load_bundle(bundle), backbone_weights, str(bundle))
    _check_stored_words(captioner)
    return captioner


def _check_stored_words(captioner: ImageCaptioner) -> None:
    """Look up the words of the bundle's default search, which `load_bundle` does not."""
    options = captioner.decoding
    if options.suppress_words or options.force_words or options.prefix:
        try:
            resolve_constraints(options, captioner.max_length, captioner.tokenizer, captioner.segmenter)
        except ConfigError as error:
            raise BundleError(f"The bundle's default search does not fit its model: decoding.{brief(error)}") from error


class ImageCaptioner(BaseCaptioner):
    """Captions images and shows where the model looked. The backbone is loaded at first use.

    Attributes:
        bundle: the trained captioner with its tokenizer, settings and default search.
        name: the bundle's name or folder, for reports.
    """

    def __init__(self, bundle: Bundle, backbone_weights: str | None = None, name: str = "") -> None:
        self.bundle = bundle
        self.name = name
        self._backbone_weights = backbone_weights

    def __repr__(self) -> str:
        return f"ImageCaptioner('{self.name}', {self.bundle!r})"

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen image encoder that the bundle was trained with."""
        return self.bundle.load_backbone(self._backbone_weights)

    @cached_property
    def segmenter(self) -> Segmenter:
        """Splits typed captions and prefixes into words."""
        return self.bundle.segmenter()

    @property
    def tokenizer(self) -> Tokenizer:
        """The bundle's."""
        return self.bundle.tokenizer

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the backbone reads."""
        return self.bundle.backbone.image_size

    @property
    def max_length(self) -> int:
        """The most tokens in a caption."""
        return self.bundle.captioner.max_length

    @property
    def attention_shape(self) -> tuple[int, int]:
        """Numbers of layers and heads."""
        settings = self.bundle.captioner.settings
        return settings.num_layers, settings.num_heads

    @property
    def decoding(self) -> DecodingOptions:
        """The default search of the bundle."""
        return self.bundle.decoding

    @property
    def pool(self) -> str:
        """The bundle's pooling of attention maps."""
        return self.bundle.pool

    @property
    def map_accuracy(self) -> dict[str, float]:
        """See `Bundle.map_accuracy`."""
        return self.bundle.map_accuracy

    @cached_property
    def digest(self) -> str:
        """See `Bundle.digest`."""
        return self.bundle.digest()

    def features(self, images: ImageLike | Iterable[ImageLike]) -> tf.Tensor:
        """The features of one or several images: float (B, h, w, C).

        Args:
            images: one image or several, each in a form of `ImageLike`; a uint8 array (B, H, W, 3) is several.

        Raises:
            ImageError: an image cannot be read, or there is none.

        Example:
            >>> captioner.features(["photo.jpg", "dog.jpg"]).shape[0]
            2
        """
        size, source = self.bundle.backbone.image_size, open_images("")
        several = [name_image(images)] if is_one_image(images) else name_images(images)
        pixels = [read_named_image(image, source, size)[1] for image in several]
        if not pixels:
            raise ImageError("There is no image to encode.")
        return self._encode(pixels)

    def _encode(self, images: Sequence[np.ndarray]) -> tf.Tensor:
        """uint8 images (size, size, 3) -> float features (B, h, w, C)."""
        return dequantize(self.backbone.encode(np.stack(images)))

    def decode_features(
        self, features: tf.Tensor, contents: Sequence[str], options: DecodingOptions | None = None
    ) -> list[list[Caption]]:
        """Caption images whose features are known.

        Args:
            features: float (B, h, w, C).
            contents: the hex content hash of each image, which seeds its samples.
            options: the search; None for that of the bundle.

        Returns:
            The captions of each image, best first.
        """
        seeds = [int(content[:16], 16) for content in contents]
        bundle, options = self.bundle, options or self.decoding
        index = bundle.retrieval
        return decode(bundle.captioner, features, bundle.tokenizer, options, seeds, self.segmenter, index)

    def export(self, out: str | Path, to: str = "litert", **options: Any) -> Any:
        """Export the bundle to a target without Python: a LiteRT file or a SavedModel.

        Args:
            out: a file NAME.tflite or a folder, see `caption_tx.export_captioner`.
            to: "litert" or "savedmodel".
            options: other fields of `config.ExportOptions`, such as `precision="float16"`.

        Returns:
            An `ExportReport`: what was written, and how its captions differ from those of the bundle.

        Raises:
            ConfigError: an option is unknown or out of range, or `out` has something else.
            CaptionTxError: the captions of the export differ too much; nothing is written.

        Example:
            >>> report = captioner.export("phone/captioner.tflite", precision="float16")  # doctest: +SKIP
            >>> report.verification.agreement  # doctest: +SKIP
            1.0
        """
        return caption_tx.export_captioner(self, out, make_options(ExportOptions, {"to": to} | options))

    def _captions(
        self, images: Iterable[ImageLike], options: DecodingOptions | None, batch_size: int, source: ImageSource
    ) -> Generator[tuple[str, list[Caption] | ImageError]]:
        stop = threading.Event()
        encoded = encode_batches(self.backbone, images, source, batch_size, stop)
        for batch, features in prefetch(encoded, depth=2, closed=stop):
            captions = iter(
                self.decode_features(dequantize(features), batch.contents, options) if batch.contents else []
            )
            for row, name in enumerate(batch.names):
                yield name, batch.errors[row] if row in batch.errors else require_captions(name, next(captions))

    def _caption_one(self, image: NamedImage, options: DecodingOptions) -> list[Caption]:
        content, pixels = read_named_image(image, open_images(""), self.image_size)
        [captions] = self.decode_features(self._encode([pixels]), [content], options)
        return captions

    def _explain_batch(
        self,
        images: Sequence[LoadedImage],
        target: TargetCaption | None,
        rank: int,
        options: DecodingOptions,
        with_cells: bool,
    ) -> list[AttentionMaps | CaptionTxError]:
        """The maps of each image, or an error if the search found too few captions."""
        features = self._encode([image.pixels for image in images])  # (B, h, w, C)
        if target is not None:
            targets = dict.fromkeys(range(len(images)), target)
        else:
            captions = self.decode_features(features, [image.content for image in images], options)
            targets = {
                row: TargetCaption.from_search(best[rank]) for row, best in enumerate(captions) if rank < len(best)
            }

        def run(token_lists: list[list[int]], rows: list[int]) -> list[TeacherForced]:
            return teacher_forced_pass(self.bundle.captioner, features, token_lists, rows, with_cells=with_cells)

        maps = explain_targets(self.tokenizer, images, targets, run, self.pool, self.map_accuracy)
        return list_maps(images, maps, rank)
