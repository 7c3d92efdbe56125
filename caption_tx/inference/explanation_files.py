"""Explain images and write the result to a file: a figure, an animation, a web page or raw maps."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from caption_tx.config import POOL_NAMES, ExplanationOptions
from caption_tx.data.images.forms import ImageLike, NamedImage, image_name, name_images
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError, ConfigError, FontError
from caption_tx.escaping import printable
from caption_tx.figure_files import FIGURE_SUFFIXES, save_figure
from caption_tx.inference.attention.health import MapHealth, measure_health
from caption_tx.inference.attention.map_files import write_output
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import POSTERIOR, MapSelection, select_maps
from caption_tx.inference.drawing.style import HeatmapStyle

if TYPE_CHECKING:
    from caption_tx.inference.base_captioner import BaseCaptioner

ANIMATIONS, RAW_MAPS, PAGE = (".gif", ".webp"), (".npz", ".json"), ".html"
SUFFIXES = (*FIGURE_SUFFIXES, *ANIMATIONS, PAGE, *RAW_MAPS)

MAX_IMAGES_PER_PAGE = 500
"""Browsers still open a page with the some 40 MB of this many photographs."""


def check_output(options: ExplanationOptions) -> None:
    """Reject an output file that cannot be written.

    Raises:
        ConfigError: `options.out` has an unknown suffix or a missing folder, or an option requires another suffix.
    """
    suffix = _suffix(options)
    if options.out is not None:
        if suffix not in SUFFIXES:
            raise ConfigError(f"The output file must end in one of {', '.join(SUFFIXES)}, got '{options.out}'.")
        if not options.out.absolute().parent.is_dir():
            raise ConfigError(f"The output folder '{options.out.absolute().parent}' does not exist; create it first.")
    if options.heads_of is not None and suffix not in FIGURE_SUFFIXES:
        raise ConfigError(f"heads_of draws a figure and needs an output file ({', '.join(FIGURE_SUFFIXES)}).")
    if options.page_language is not None and suffix != PAGE:
        raise ConfigError(f"page_language needs a page as output file ({PAGE}).")
    if options.compare is not None and suffix != PAGE:
        raise ConfigError(f"compare needs a page as output file ({PAGE}).")


def _suffix(options: ExplanationOptions) -> str:
    """The lowercase suffix of `options.out`, or an empty string."""
    return "" if options.out is None else options.out.suffix.lower()


def _selection(options: ExplanationOptions, default: str) -> MapSelection:
    """The maps to show; `default` is the pooling of the bundle."""
    return select_maps(options.layer, options.head, options.pool, default)


def heatmap_style(options: ExplanationOptions) -> HeatmapStyle:
    """How maps are drawn."""
    return HeatmapStyle(options.alpha, options.cmap, not options.scale_per_word, not options.flat)


@dataclass(frozen=True)
class ExplanationReport:
    """What `explain_images` did.

    Attributes:
        problems: why images could not be explained.
        health: of all maps, if it was requested.
    """

    problems: list[str]
    health: MapHealth | None


def explain_images(
    captioner: BaseCaptioner,
    images: Iterable[ImageLike] | ImageLike,
    options: ExplanationOptions,
    on_maps: Callable[[str, AttentionMaps], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explain images one after another and write `options.out`. Images that fail are skipped.

    Args:
        images: as for `ImageCaptioner.captions`.
        options: without `decoding`, captions are searched as the bundle's default.
        on_maps: called with the name and the maps of each image as soon as they are known.
        warn: called with each warning.

    Raises:
        ConfigError: there are too many images for the file, or no such layer, head, word or color map.
        CaptionTxError: no image can be explained, or the file cannot be written.

    Example:
        >>> captioner = caption_tx.load("runs/mine/bundle")
        >>> explain_images(captioner, ["dog.jpg", "cat.jpg"], ExplanationOptions(out=Path("page.html")))
    """
    on_maps, warn = on_maps or (lambda name, maps: None), warn or (lambda text: None)
    check_output(options)
    if options.caption is None and options.decoding is None:
        options = replace(options, decoding=captioner.decoding)
    images = name_images(images) if options.out is None else _limit_images(name_images(images), options)
    check_selection(captioner, options)
    _check_words(captioner, options)
    beside = _comparison(captioner, images, options, warn)
    problems: list[str] = []
    kept: list[AttentionMaps] = []

    def explained() -> Iterator[AttentionMaps]:
        for index, (name, maps) in enumerate(_explanations(captioner, images, options, problems, warn)):
            unknown = [word.text for word in maps.shown if maps.is_unknown(word)]
            if unknown and index == 0:  # a typed caption, the same for all images
                warn(f"{', '.join(map(repr, unknown))} not in the model's vocabulary: treated as the unknown word.")
            if options.out is not None:
                kept.extend(beside(name, maps))
            on_maps(name, maps)
            yield maps

    remaining = explained()
    first = next(remaining, None)
    if first is None:
        raise CaptionTxError("None of the images could be explained.")
    all_maps = chain([first], remaining)
    health = measure_health(all_maps) if options.health or _suffix(options) == PAGE else None
    for _ in all_maps:  # without health the maps have not been computed yet
        pass
    if options.out is not None:
        _write_with_warnings(options, kept, health, problems, warn)
    return ExplanationReport(problems, health if options.health else None)


def _comparison(
    captioner: BaseCaptioner,
    images: Iterable[NamedImage],
    options: ExplanationOptions,
    warn: Callable[[str], None],
) -> Callable[[str, AttentionMaps], list[AttentionMaps]]:
    """What a page shows for an image: its maps, and beside them those of `options.compare`, each with a label.

    Raises:
        BundleError: the other bundle is missing or damaged.
        ConfigError: it has another number of layers or heads, or the other pooling gives the same maps.
    """
    compare = options.compare
    if compare is None:
        return lambda name, maps: [maps]
    if compare in POOL_NAMES:
        own = _selection(options, captioner.pool).pool
        if own == compare or None not in (options.layer, options.head):  # one head of one layer is not pooled
            raise ConfigError(f"compare {compare} would show the same maps twice; choose another pooling or a bundle.")
        return lambda name, maps: [_labelled(maps, own, own), _labelled(maps, compare, compare)]
    from caption_tx.inference.captioner import ImageCaptioner, load

    other, image_of = load(compare), {image_name(image): image for image in images}
    if isinstance(captioner, ImageCaptioner) and captioner.bundle.backbone_key == other.bundle.backbone_key:
        other.backbone = captioner.backbone  # its weights may be in a file that only this bundle was loaded with
    if other.attention_shape != captioner.attention_shape:
        shapes = ["{} layers of {} heads".format(*item.attention_shape) for item in (captioner, other)]
        raise ConfigError(f"compare shows models of one shape: {shapes[0]} here, {shapes[1]} in {compare}.")
    merged: set[str] = set()

    def beside(name: str, maps: AttentionMaps) -> list[AttentionMaps]:
        own = _labelled(maps, captioner.name, maps.pool)
        try:
            same = arrange_words(other.explain(image_of[name], maps.caption), options, merged)
        except CaptionTxError as error:  # such as a caption that was cut at the length limit
            warn(f"{compare} cannot explain the caption of {name}: {error}")
            return [own]
        return [own, _labelled(same, other.name, same.pool)]

    return beside


def _labelled(maps: AttentionMaps, label: str, pool: str) -> AttentionMaps:
    """Maps with a label beside the name of their image, and their own pooling."""
    return replace(maps, image=f"{maps.image} · {printable(os.path.basename(label.rstrip('/')) or label)}", pool=pool)


def word_table(name: str, maps: AttentionMaps) -> dict[str, Any]:
    """A caption and its words with their natural log-probabilities, as JSON-compatible values."""
    return {
        "image": printable(name),
        "caption": maps.caption,
        "log_probability": round(maps.log_probability, 4),
        "words": [
            {"text": word.text, "log_probability": round(value, 4), "unknown": maps.is_unknown(word)}
            for word, value in zip(maps.shown, maps.shown_log_probabilities.tolist(), strict=True)
        ],
    }


def _limit_images(images: Iterable[NamedImage], options: ExplanationOptions) -> list[NamedImage]:
    """The images, readable or not, if the file can show that many."""
    is_page = _suffix(options) == PAGE
    limit = MAX_IMAGES_PER_PAGE if is_page else 1
    limited = list(islice(images, limit + 1))
    if len(limited) > limit:
        if is_page:
            raise ConfigError(f"A page shows at most {limit} images; pass fewer.")
        raise ConfigError(f"{options.out} shows only one image; pass one, or write a page ({PAGE}) for several.")
    return limited


def _needs_cells(captioner: BaseCaptioner, options: ExplanationOptions) -> bool:
    """Whether anything shows what single cells say: the posterior, raw maps, and pages, whose readers can choose it."""
    return _suffix(options) in (PAGE, *RAW_MAPS) or _selection(options, captioner.pool).pool == POSTERIOR


def check_selection(captioner: BaseCaptioner, options: ExplanationOptions) -> None:
    """Reject a missing layer or head and an invalid style before any image is read.

    Raises:
        ConfigError: there is no such layer, head or color map, or the file lacks what the posterior needs.
    """
    from caption_tx.inference.drawing.overlay import color_map

    shape, selection = (*captioner.attention_shape, 1, 1), _selection(options, captioner.pool)
    if not captioner.has_cells and POSTERIOR in (selection.pool, options.compare):
        raise ConfigError(
            f"{captioner.name} has no signature cells, which the posterior needs; export the bundle again, or choose "
            "another pooling."
        )
    selection.pooled(np.ones((*shape, 1)), np.ones(shape), np.zeros((1, 1, 1)))
    color_map(heatmap_style(options))


def _check_words(captioner: BaseCaptioner, options: ExplanationOptions) -> None:
    """Reject words to merge or to draw that the given caption, or any caption, does not have."""
    from caption_tx.inference.explanations import TargetCaption

    limit = captioner.max_length
    if options.caption is None:
        count, description = min(limit, options.decoding.max_length or limit), "captions have at most"
    else:
        maps = TargetCaption.from_text(options.caption, captioner.tokenizer, captioner.segmenter, limit).preview()
        count, description = len(arrange_words(maps, options, merged := set()).shown), "the caption shows"
        _check_merged(options, merged)
    position = options.heads_of
    if position is not None and not -count <= position < count:
        raise ConfigError(f"heads_of: there is no word {position}; {description} {count}, counted from 0.")


def arrange_words(maps: AttentionMaps, options: ExplanationOptions, merged: set[str]) -> AttentionMaps:
    """Leave out and merge words; adds the words that were merged to `merged`."""
    if options.words_only:
        maps = maps.without_punctuation()
    for word in options.merge:
        with suppress(CaptionTxError):  # not every caption contains the word
            maps = maps.merged([word])
            merged.add(word)
    return maps


def _check_merged(options: ExplanationOptions, merged: set[str]) -> None:
    if missing := [word for word in options.merge if word not in merged]:
        raise CaptionTxError(f"merge: no caption has adjacent tokens that spell {', '.join(map(repr, missing))}.")


def _explanations(
    captioner: BaseCaptioner,
    images: Iterable[NamedImage],
    options: ExplanationOptions,
    problems: list[str],
    warn: Callable[[str], None],
) -> Iterator[tuple[str, AttentionMaps]]:
    """The maps of the images that can be explained; adds the errors of the others to `problems`.

    Warns of images that were read differently from how a viewer shows them.
    """
    merged: set[str] = set()
    source = open_images("")
    details = {"source": source, "with_cells": _needs_cells(captioner, options)}
    for name, result in captioner.explanations(images, options.caption, options.rank, options.decoding, **details):
        try:
            if isinstance(result, CaptionTxError):
                raise result
            maps = arrange_words(result, options, merged)
        except CaptionTxError as error:
            problems.append(printable(str(error)))
            warn(f"skipped: {error}")
            continue
        yield name, maps
    for note in source.interpretation_notes():
        warn(note)
    _check_merged(options, merged)


def _write_with_warnings(
    options: ExplanationOptions,
    explained: Sequence[AttentionMaps],
    health: MapHealth | None,
    problems: Sequence[str],
    warn: Callable[[str], None],
) -> None:
    """Write `options.out`, and report fonts and characters that are missing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            _write(options, explained, health, problems)
        except FontError as error:
            text = str(error).removesuffix(".")
            raise FontError(f"{text}; or write a page ({PAGE}), which needs none.") from error
    for text in dict.fromkeys(str(item.message) for item in caught):
        warn(text)


def _write(
    options: ExplanationOptions, explained: Sequence[AttentionMaps], health: MapHealth | None, problems: Sequence[str]
) -> None:
    """Write `options.out` in the format of its suffix."""
    out, suffix, maps, selection = options.out, _suffix(options), explained[0], _selection(options, explained[0].pool)
    style = {name: getattr(heatmap_style(options), name) for name in ("alpha", "cmap", "common_scale", "smooth")}
    if suffix in RAW_MAPS:
        write_output(out, maps.to_npz() if suffix == ".npz" else maps.to_json())
    elif suffix == PAGE:
        from caption_tx.inference.page.render import render_page

        typed, language = options.caption is not None, options.page_language
        page = render_page(
            explained,
            selection,
            heatmap_style(options),
            typed=typed,
            language=language,
            health=health,
            problems=problems,
        )
        write_output(out, page)
    elif suffix in ANIMATIONS:
        from caption_tx.inference.drawing.animation import encode_animation

        frames = maps.animation(layer=selection.layer, head=selection.head, pool=selection.pool, **style)
        write_output(out, encode_animation(frames, suffix[1:], options.seconds))
    else:
        if options.heads_of is not None:
            figure = maps.heads_figure(None, options.heads_of, **(style | {"common_scale": True}))
        else:
            figure = maps.figure(layer=selection.layer, head=selection.head, pool=selection.pool, **style)
        save_figure(figure, out)
