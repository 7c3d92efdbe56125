"""What captioners have in common, whether they run a bundle in TensorFlow or an exported file. No TensorFlow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from caption_tx.config import DecodingOptions
from caption_tx.data.images.forms import ImageLike, NamedImage, image_name, is_one_image, name_image, name_images
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.token_words import TokenWords
from caption_tx.errors import CaptionTxError, ConfigError, ImageError, NoCaptionError
from caption_tx.escaping import printable
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.explanations import LoadedImage, TargetCaption, load_image
from caption_tx.inference.page import display  # noqa: F401  (adds the display of maps in notebooks)
from caption_tx.inference.search.caption import Caption

T = TypeVar("T")


def require_captions(image: str, captions: list[Caption]) -> list[Caption]:
    """The captions of an image; none is an error, since no output could show it.

    Raises:
        NoCaptionError: there are none.
    """
    if not captions:
        raise NoCaptionError(
            f"The search found no caption of '{printable(image)}'; use less strict options, or another bundle if the "
            "options are the defaults: its weights overflow."
        )
    return captions


def _result(result: T | CaptionTxError) -> T:
    """A result, or raises the error in its place."""
    if isinstance(result, CaptionTxError):
        raise result
    return result


class BaseCaptioner(ABC):
    """Captions images and shows where the model looked.

    Without options, captions are searched with `decoding`. Keywords such as `beam_width=4` override it, see
    `search_options`; `DecodingOptions` replace it.

    Attributes:
        name: of the bundle or file, for reports.
        digest: SHA-256 of everything that determines the captions.
        tokenizer: the words of the model.
        segmenter: splits typed captions and prefixes into words.
        image_size: side in pixels of the images that the model reads.
        max_length: the most tokens in a caption.
        attention_shape: numbers of layers and heads.
        has_cells: whether maps have the log-probabilities of cells, which the posterior needs.
        decoding: the default search.
        pool: the pooling of attention maps unless another is requested.
        map_accuracy: kinds of words -> how often the highest point of their maps is on the object; {} if unknown.
    """

    name: str
    digest: str
    tokenizer: TokenWords
    segmenter: Segmenter
    image_size: int
    max_length: int
    attention_shape: tuple[int, int]
    has_cells: bool = True
    decoding: DecodingOptions
    pool: str
    map_accuracy: Mapping[str, float]

    @abstractmethod
    def _captions(
        self, images: Iterable[NamedImage], options: DecodingOptions | None, batch_size: int, source: ImageSource
    ) -> Generator[tuple[str, list[Caption] | ImageError]]:
        """See `captions`."""

    @abstractmethod
    def _caption_one(self, image: NamedImage, options: DecodingOptions) -> list[Caption]:
        """The captions of one image, best first."""

    @abstractmethod
    def _explain_batch(
        self,
        images: Sequence[LoadedImage],
        target: TargetCaption | None,
        rank: int,
        options: DecodingOptions,
        with_cells: bool,
    ) -> list[AttentionMaps | CaptionTxError]:
        """The maps of each image, or an error if the search found too few captions."""

    def search_options(self, **options: Any) -> DecodingOptions:
        """The default search with some options overridden as `DecodingOptions.override` describes.

        Raises:
            ConfigError: an option is unknown or out of range, or options are incompatible.

        Example:
            >>> captioner.search_options(beam_width=4).describe()
            'beam_width 4'
        """
        return self.decoding.override(**options)

    def _search(
        self, options: DecodingOptions | Mapping[str, Any] | None, keywords: Mapping[str, Any]
    ) -> DecodingOptions:
        """The search that `options` and keywords express, see `captions`."""
        if isinstance(options, DecodingOptions):
            return options.override(**keywords) if keywords else options
        if options is not None and not isinstance(options, Mapping):
            raise ConfigError(
                f"options must be DecodingOptions or a dictionary of its fields, got {type(options).__name__}."
            )
        return self.search_options(**{**(options or {}), **keywords})

    def captions(
        self,
        images: Iterable[ImageLike] | ImageLike,
        options: DecodingOptions | Mapping[str, Any] | None = None,
        batch_size: int = 64,
        location: str | Path | ImageSource = "",
        **keywords: Any,
    ) -> Generator[tuple[str, list[Caption] | ImageError]]:
        """Caption any number of images, in order.

        Files are read, and the next images encoded, during the search.

        Args:
            images: images in any form of `ImageLike`, or a mapping of names to images. A generator is read lazily. An
                image without a name is called "image 1", "image 2" and so on, by its position.
            options: the search; None for the default, a dictionary to override the default.
            location: where names are found, as for `open_images`: a folder or a TSV file, local or remote. By default a
                name is a path, or `TABLE.tsv/ID`.
            keywords: fields of `DecodingOptions`, which override `options` as in `search_options`.

        Yields:
            The name of each image with its captions, best first, or with the error if it cannot be read.

        Raises:
            ConfigError: an option is unknown or out of range.
            ImageError: `images` is a text instead of a list, or an array is not an image.
            CaptionTxError: the search found no caption of an image.

        Example:
            >>> for name, captions in captioner.captions(["photo.jpg", "dog.jpg"], beam_width=4):
            ...     print(name, len(captions))
            photo.jpg 1
            dog.jpg 1
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1 image, got {batch_size}.")
        source = location if isinstance(location, ImageSource) else open_images(str(location))
        return self._captions(name_images(images), self._search(options, keywords), batch_size, source)

    def n_best(self, image: ImageLike | Iterable[ImageLike], **options: Any) -> list[Caption] | list[list[Caption]]:
        """The best captions of one image, best first; for several images, a list of them.

        The content of an image seeds its samples: a file, its bytes and the open file give the same captions, and so do
        an array, a tensor and a PIL image of the same pixels.

        Args:
            image: one image in a form of `ImageLike`: a path, bytes, an open file, a PIL image, a uint8 array (H, W, 3)
                or (H, W), or a tensor. Or several: a list, a generator, or an array (B, H, W, 3).
            options: fields of `DecodingOptions`, which override the default search as in `search_options`.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: an option is unknown or out of range, or contains an unknown word.
            CaptionTxError: the search found no caption.

        Example:
            >>> [caption.rank for caption in captioner.n_best("photo.jpg", beam_width=4, n_best=2)]
            [0, 1]
        """
        options = self.search_options(**options)
        if not is_one_image(image):
            return [_result(captions) for _, captions in self.captions(image, options)]
        image = name_image(image)
        return require_captions(image_name(image), self._caption_one(image, options))

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
            options: fields of `DecodingOptions`, which override the default search as in `search_options`.

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
        options = self.search_options(**options)
        if not is_one_image(image):
            return [_result(maps) for _, maps in self.explanations(image, caption, rank, options)]
        [(_, result)] = self.explanations([name_image(image)], caption, rank, options)
        return _result(result)

    def explanations(
        self,
        images: Iterable[ImageLike] | ImageLike,
        caption: Caption | str | None = None,
        rank: int = 0,
        options: DecodingOptions | Mapping[str, Any] | None = None,
        batch_size: int = 16,
        source: ImageSource | None = None,
        with_cells: bool = True,
        **keywords: Any,
    ) -> Generator[tuple[str, AttentionMaps | CaptionTxError]]:
        """`explain` for any number of images, in order.

        Args:
            images: as for `captions`.
            caption: the same caption for all images, or None to generate one for each.
            rank: as for `explain`; `n_best` of the search must exceed it.
            options, keywords: the search, as for `captions`.
            batch_size: images that are searched together.
            source: reads images that are named, and records what is read differently from how a viewer shows it.
            with_cells: also read what each cell alone says, which the posterior needs; it takes as long as a search.

        Yields:
            The name of each image with its attention maps, or with the error if it cannot be explained.

        Raises:
            ConfigError: an option is unknown or out of range.
            ImageError: `images` is a text instead of a list, or an array is not an image.
            CaptionTxError: the given caption cannot be explained.

        Example:
            >>> for name, maps in captioner.explanations(["photo.jpg", "gone.jpg"]):
            ...     print(maps)
            AttentionMaps('...' of 'photo.jpg', scores (layers, heads, tokens, rows, columns) = (...))
            gone.jpg cannot be read: No such file or directory.
        """
        options = self._search(options, keywords)
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1 image, got {batch_size}.")
        if rank < 0 or (caption is None and rank >= options.n_best):
            raise ConfigError(f"rank must be from 0 to n_best - 1 = {options.n_best - 1}, got {rank}.")
        images, target = name_images(images), self._target(caption)
        return self._explanations(images, target, rank, options, batch_size, source, with_cells)

    def _explanations(
        self,
        images: Iterator[NamedImage],
        target: TargetCaption | None,
        rank: int,
        options: DecodingOptions,
        batch_size: int,
        source: ImageSource | None,
        with_cells: bool,
    ) -> Generator[tuple[str, AttentionMaps | CaptionTxError]]:
        size = self.image_size
        while batch := list(islice(images, batch_size)):
            loaded: dict[int, LoadedImage] = {}
            results: dict[int, AttentionMaps | CaptionTxError] = {}
            for row, image in enumerate(batch):
                try:
                    loaded[row] = load_image(image, size, source=source)
                except ImageError as error:
                    results[row] = error
            if loaded:
                explained = self._explain_batch(list(loaded.values()), target, rank, options, with_cells)
                results |= zip(loaded, explained, strict=True)
            for row, image in enumerate(batch):
                yield image_name(image), results[row]

    def _target(self, caption: Caption | str | None) -> TargetCaption | None:
        if isinstance(caption, str):
            return TargetCaption.from_text(caption, self.tokenizer, self.segmenter, self.max_length)
        if caption is None:
            return None
        if not isinstance(caption, Caption):
            raise CaptionTxError(
                f"The caption to explain must be one text or Caption, got {type(caption).__name__}; for several, call "
                "explain for each."
            )
        return TargetCaption.from_search(caption)
