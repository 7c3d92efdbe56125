"""Captions and attention maps of image files with one bundle: `ImageCaptioner`, which `caption_tx.load` returns."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from caption_tx.bundle import Bundle, load_bundle
from caption_tx.config import DecodingOptions, make_options
from caption_tx.data.features.backbone import Backbone, dequantize
from caption_tx.data.features.extraction import encode_batches
from caption_tx.data.images.forms import ImageLike, NamedImage, image_name, is_one_image, name_image, name_images
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import prefetch
from caption_tx.data.images.reader import read_named_image
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.escaping import printable
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.explanations import LoadedImage, TargetCaption, explain_targets, load_image
from caption_tx.inference.search.decode import Caption, decode

T = TypeVar("T")


def load(bundle: str | Path, backbone_weights: str | None = None) -> ImageCaptioner:
    """Load a bundle.

    Args:
        bundle: name of a shipped bundle, or a folder.
        backbone_weights: file with the backbone's weights, if the source that the bundle names is not available.

    Raises:
        BundleError: the bundle is missing or damaged.

    Example:
        >>> captioner = caption_tx.load("runs/mine/bundle")
        >>> captioner.caption("photo.jpg").text
        '一只狗在草地上奔跑'
    """
    return ImageCaptioner(load_bundle(bundle), backbone_weights, str(bundle))


def _require_captions(image: str, captions: list[Caption]) -> list[Caption]:
    """The captions of an image; none is an error, since no output could show it."""
    if not captions:
        raise CaptionTxError(
            f"The search found no caption of '{printable(image)}'; use less strict options, or another bundle if the "
            "options are the defaults: its weights overflow."
        )
    return captions


def _result(result: T | CaptionTxError) -> T:
    """A result, or raises the error in its place."""
    if isinstance(result, CaptionTxError):
        raise result
    return result


class ImageCaptioner:
    """Captions images and shows where the model looked. The backbone is loaded at first use.

    Attributes:
        bundle: the trained captioner with its tokenizer and settings.
        name: the bundle's name or folder, for reports.
    """

    def __init__(self, bundle: Bundle, backbone_weights: str | None = None, name: str = "") -> None:
        self.bundle = bundle
        self.name = name
        self._backbone_weights = backbone_weights

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen image encoder that the bundle was trained with."""
        return self.bundle.load_backbone(self._backbone_weights)

    @cached_property
    def segmenter(self) -> Segmenter:
        """Splits typed captions and prefixes into words."""
        return self.bundle.segmenter()

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

        Returns:
            The captions of each image, best first.
        """
        seeds = [int(content[:16], 16) for content in contents]
        bundle = self.bundle
        return decode(bundle.captioner, features, bundle.tokenizer, options, seeds, self.segmenter)

    def captions(
        self,
        images: Iterable[ImageLike] | ImageLike,
        options: DecodingOptions | None = None,
        batch_size: int = 64,
        location: str | Path | ImageSource = "",
    ) -> Generator[tuple[str, list[Caption] | ImageError]]:
        """Caption any number of images, in order.

        tf.data reads the files, and a thread encodes the next batches during the search.

        Args:
            images: images in any form of `ImageLike`, or a mapping of names to images. A generator is read lazily. An
                image without a name is called "image 1", "image 2" and so on, by its position.
            location: where names are found, as for `open_images`: a folder or a TSV file, local or remote. By default a
                name is a path, or `TABLE.tsv/ID`.

        Yields:
            The name of each image with its captions, best first, or with the error if it cannot be read.

        Raises:
            ConfigError: an option is out of range.
            ImageError: `images` is a text instead of a list, or an array is not an image.
            CaptionTxError: the search found no caption of an image.

        Example:
            >>> for name, captions in captioner.captions(["photo.jpg", "dog.jpg"], DecodingOptions(beam_width=4)):
            ...     print(name, len(captions))
            photo.jpg 1
            dog.jpg 1
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1 image, got {batch_size}.")
        source = location if isinstance(location, ImageSource) else open_images(str(location))
        return self._captions(name_images(images), options, batch_size, source)

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
                yield name, batch.errors[row] if row in batch.errors else _require_captions(name, next(captions))

    def n_best(self, image: ImageLike | Iterable[ImageLike], **options: Any) -> list[Caption] | list[list[Caption]]:
        """The best captions of one image, best first; for several images, a list of them.

        The content of an image seeds its samples: a file, its bytes and the open file give the same captions, and so do
        an array, a tensor and a PIL image of the same pixels.

        Args:
            image: one image in a form of `ImageLike`: a path, bytes, an open file, a PIL image, a uint8 array (H, W, 3)
                or (H, W), or a tensor. Or several: a list, a generator, or an array (B, H, W, 3).
            options: fields of `DecodingOptions`.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: an option is unknown or out of range, or contains an unknown word.
            CaptionTxError: the search found no caption.

        Example:
            >>> captions = captioner.n_best("photo.jpg", beam_width=4, n_best=2)
            >>> len(captions), captions[0].log_probability >= captions[1].log_probability
            (2, True)
        """
        options = make_options(DecodingOptions, options)
        if not is_one_image(image):
            return [_result(captions) for _, captions in self.captions(image, options)]
        image = name_image(image)
        content, pixels = read_named_image(image, open_images(""), self.bundle.backbone.image_size)
        [captions] = self.decode_features(self._encode([pixels]), [content], options)
        return _require_captions(image_name(image), captions)

    def caption(self, image: ImageLike | Iterable[ImageLike], **options: Any) -> Caption | list[Caption]:
        """The best caption of one image, or a list with that of each of several images.

        Arguments and errors as for `n_best`.

        Example:
            >>> caption = captioner.caption("photo.jpg", temperature=0.5)
            >>> with open("photo.jpg", "rb") as file:
            ...     caption == captioner.caption(file.read(), temperature=0.5)
            True
        """
        best = self.n_best(image, **options)
        return best[0] if is_one_image(image) else [captions[0] for captions in best]

    def explain(
        self,
        image: ImageLike | Iterable[ImageLike],
        caption: Caption | str | None = None,
        rank: int = 0,
        **options: Any,
    ) -> AttentionMaps | list[AttentionMaps]:
        """Where the model looked for every word of a caption of one image; for several images, a list.

        Args:
            image: as for `n_best`.
            caption: a generated caption, a typed text, or None to generate one. Typed words that are out of
                vocabulary become the unknown token; `AttentionMaps.unknown` marks them.
            rank: which of the generated captions to explain, 0 for the best.
            options: fields of `DecodingOptions`.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: an option is unknown or out of range, or was passed together with a caption.
            CaptionTxError: the caption contains no words or more than the model's limit, or the search found too few
                captions for `rank`.

        Example:
            >>> maps = captioner.explain("photo.jpg")
            >>> maps.figure().savefig("attention.png")
            >>> maps.pooled(pool="rollout").shape == (len(maps.titles), *maps.grid)
            True
        """
        if caption is not None and (options or rank):
            extra = [*options, *(["rank"] if rank else [])]
            raise ConfigError(f"Options of the search do not apply to a given caption; remove {', '.join(extra)}.")
        if rank > 0:
            options = {"n_best": rank + 1} | options
        options = make_options(DecodingOptions, options)
        if not is_one_image(image):
            return [_result(maps) for _, maps in self.explanations(image, caption, rank, options)]
        [(_, result)] = self.explanations([name_image(image)], caption, rank, options)
        return _result(result)

    def explanations(
        self,
        images: Iterable[ImageLike] | ImageLike,
        caption: Caption | str | None = None,
        rank: int = 0,
        options: DecodingOptions | None = None,
        batch_size: int = 16,
    ) -> Generator[tuple[str, AttentionMaps | CaptionTxError]]:
        """`explain` for any number of images, in order.

        Args:
            images: as for `captions`.
            caption: the same caption for all images, or None to generate one for each.
            rank, options: as for `explain`; `options.n_best` must exceed `rank`.
            batch_size: images that are searched together.

        Yields:
            The name of each image with its attention maps, or with the error if it cannot be explained.

        Raises:
            ConfigError: an option is out of range.
            ImageError: `images` is a text instead of a list, or an array is not an image.
            CaptionTxError: the given caption cannot be explained.

        Example:
            >>> dict(captioner.explanations(["photo.jpg", "gone.jpg"]))["gone.jpg"]
            ImageError('gone.jpg cannot be read: No such file or directory.')
        """
        options = options or DecodingOptions()
        if rank < 0 or (caption is None and rank >= options.n_best):
            raise ConfigError(f"rank must be from 0 to n_best - 1 = {options.n_best - 1}, got {rank}.")
        return self._explanations(name_images(images), self._target(caption), rank, options, batch_size)

    def _explanations(
        self,
        images: Iterator[NamedImage],
        target: TargetCaption | None,
        rank: int,
        options: DecodingOptions,
        batch_size: int,
    ) -> Generator[tuple[str, AttentionMaps | CaptionTxError]]:
        size = self.backbone.config.image_size
        while batch := list(islice(images, batch_size)):
            loaded: dict[int, LoadedImage] = {}
            results: dict[int, AttentionMaps | CaptionTxError] = {}
            for row, image in enumerate(batch):
                try:
                    loaded[row] = load_image(image, size)
                except ImageError as error:
                    results[row] = error
            if loaded:
                explained = self._explain_batch(list(loaded.values()), target, rank, options)
                results |= zip(loaded, explained, strict=True)
            for row, image in enumerate(batch):
                yield image_name(image), results[row]

    def _target(self, caption: Caption | str | None) -> TargetCaption | None:
        if isinstance(caption, str):
            return TargetCaption.from_text(caption, self.bundle, self.segmenter)
        return None if caption is None else TargetCaption.from_search(caption)

    def _explain_batch(
        self, images: Sequence[LoadedImage], target: TargetCaption | None, rank: int, options: DecodingOptions
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
        maps = explain_targets(self.bundle, features, images, targets)
        return [
            maps[row]
            if row in maps
            else CaptionTxError(f"The search found fewer than {rank + 1} captions of {image.name}; use a lower rank.")
            for row, image in enumerate(images)
        ]
