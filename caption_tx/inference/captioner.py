"""From picture files to captions and attention maps with one bundle: what `caption_tx.load` gives."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from caption_tx.bundle import Bundle, load_bundle
from caption_tx.config import DecodingOptions
from caption_tx.data.features.backbone import Backbone, dequantize
from caption_tx.data.features.extraction import encode_batches
from caption_tx.data.images.discovery import NamedImage
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import prefetch
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.explanations import explanations
from caption_tx.inference.search.decode import Caption, decode


def load(bundle: str | Path, backbone_weights: str | None = None) -> ImageCaptioner:
    """A captioner of the bundle in this folder.

    Args:
        backbone_weights: file with the backbone's weights, where those the bundle names cannot be had.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    return ImageCaptioner(load_bundle(bundle), backbone_weights, str(bundle))


class ImageCaptioner:
    """Captions pictures and shows where it looked. The backbone is loaded at first use."""

    def __init__(self, bundle: Bundle, backbone_weights: str | None = None, name: str = "") -> None:
        self.bundle = bundle
        self.name = name
        self._backbone_weights = backbone_weights

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen image encoder that the bundle was trained on."""
        return self.bundle.load_backbone(self._backbone_weights)

    def features(self, pictures: Sequence[np.ndarray] | np.ndarray) -> tf.Tensor:
        """uint8 pictures (size, size, 3), as `read_image` gives them -> float features (B, h, w, C)."""
        return dequantize(self.backbone.encode(np.stack(pictures)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what decides the captions: settings, weights, vocabulary, language, and the backbone's key."""
        bundle = self.bundle
        facts = [
            asdict(bundle.captioner.settings),
            bundle.tokenizer.vocabulary,
            bundle.tokenizer.language,
            bundle.backbone_key,
        ]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for weight in bundle.captioner.weights:
            digest.update(np.ascontiguousarray(weight.numpy(), "<f4").tobytes())
        return digest.hexdigest()

    @cached_property
    def segmenter(self) -> Segmenter:
        """What divides typed captions, and prefixes, into words."""
        return self.bundle.segmenter()

    def decode_features(
        self, features: tf.Tensor, contents: Sequence[str], options: DecodingOptions | None = None
    ) -> list[list[Caption]]:
        """Features (B, h, w, C) of images with these content hashes -> the captions of each, the best first."""
        seeds = [int(content[:16], 16) for content in contents]
        bundle = self.bundle
        return decode(bundle.captioner, features, bundle.tokenizer, options, seeds, self.segmenter)

    def captions(
        self,
        images: Iterable[NamedImage],
        options: DecodingOptions | None = None,
        batch_size: int = 64,
        location: str | ImageSource = "",
    ) -> Iterator[tuple[str, list[Caption] | ImageError]]:
        """Each image with its captions, the best first, in order; an unreadable one with its error instead.

        tf.data reads the files and a thread encodes them while captions are searched. Some batches are
        held, so that `images` may be a generator of any number.

        Args:
            images: names of files; or pairs of a name and the bytes of an image.
            location: where they lie, as `open_images` takes it: a folder or a TSV file, here or on a
                remote store. By default a name is a path, or `TABLE.tsv/ID`.

        Raises:
            ConfigError: an option is out of range.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1 image, got {batch_size}.")
        source = open_images(location) if isinstance(location, str) else location
        stop = threading.Event()
        encoded = encode_batches(self.backbone, images, source, batch_size, stop)
        for batch, features in prefetch(encoded, depth=2, closed=stop):
            found = iter(self.decode_features(dequantize(features), batch.contents, options) if batch.contents else [])
            for place, name in enumerate(batch.names):
                yield name, batch.errors[place] if place in batch.errors else next(found)

    def n_best(self, image: str | Path, **options: Any) -> list[Caption]:
        """The best captions of one image, named as for `captions`, the best first; options as in `DecodingOptions`.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is out of range or asks for what the model does not know.
        """
        content, picture = open_images("").read_image(str(image), self.bundle.backbone.image_size)
        [captions] = self.decode_features(self.features([picture]), [content], DecodingOptions(**options))
        return captions

    def caption(self, image: str | Path, **options: Any) -> Caption:
        """The best caption of one image file; options and errors as for `n_best`."""
        return self.n_best(image, **options)[0]

    def explain(
        self, image: str | Path, caption: Caption | str | None = None, rank: int = 0, **options: Any
    ) -> AttentionMaps:
        """Where the model looked for every word of a caption of one image, named as for `captions`.

        Args:
            caption: one that the model made, a text that a person typed, or None to let the model make one.
                A typed word that the model does not know is read as unknown, and `unknown` says so.
            rank: which of the captions that the model makes, 0 the best.
            options: of the search, as in `DecodingOptions`.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is out of range, or stands beside a caption.
            CaptionTxError: the caption has no words, or more than the model has positions for; or the search
                found too few captions for that rank.
        """
        if caption is not None and (options or rank):
            extra = [*options, *(["rank"] if rank else [])]
            raise ConfigError(f"The caption to explain is given; leave out {', '.join(extra)}.")
        given = {"n_best": rank + 1} | options if rank > 0 else options
        [(_, result)] = self.explanations([image], caption, rank, DecodingOptions(**given))
        if isinstance(result, CaptionTxError):
            raise result
        return result

    def explanations(
        self,
        images: Iterable[NamedImage],
        caption: Caption | str | None = None,
        rank: int = 0,
        options: DecodingOptions | None = None,
        batch_size: int = 16,
    ) -> Iterator[tuple[str, AttentionMaps | CaptionTxError]]:
        """`explain` for many images, in order, a batch searched together; one that fails comes with its error.

        Args:
            images: as `captions` takes them; a generator may give any number.
            caption: the same for all images, or None to let the model make one for each.
            rank, options: as in `explain`; `options.n_best` must be above `rank`.

        Raises:
            ConfigError: an option is out of range.
            CaptionTxError: the given caption cannot be explained.
        """
        return explanations(self, images, caption, rank, options or DecodingOptions(), batch_size)
