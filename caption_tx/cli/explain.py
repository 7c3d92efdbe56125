"""The command `explain`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.cli.options import add_bundle, add_command, add_settings, split_words
from caption_tx.cli.output import echo, warn
from caption_tx.cli.settings import decoding_options
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import LANGUAGES, POOL_NAMES, DecodingOptions
from caption_tx.errors import CaptionTxError, ConfigError

if TYPE_CHECKING:
    from caption_tx.data.images.discovery import NamedImage
    from caption_tx.inference.attention.health import MapHealth
    from caption_tx.inference.attention.maps import AttentionMaps
    from caption_tx.inference.captioner import ImageCaptioner
    from caption_tx.model.captioner import CaptionerSettings

FIGURES, ANIMATIONS, RAW, PAGE = (".png", ".svg", ".pdf"), (".gif", ".webp"), (".npz", ".json"), ".html"
SUFFIXES = (*FIGURES, *ANIMATIONS, PAGE, *RAW)

MOST_ON_A_PAGE = 500
"""Pictures of a page: some 40 MB of them are what a browser still opens at once."""


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "explain",
        run,
        usage="IMAGE|DIR|- ..",
        summary="show where the model looked for every word",
        description="Prints each word's log-probability and shows which part of the image the model attended to: as a "
        "figure, an animation, a web page or raw maps.",
        example="caption-tx explain photo.jpg --out photo.html",
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE|DIR|-", help="images as in `caption`; a page (.html) shows several"
    )
    add_bundle(parser)
    caption = parser.add_argument_group("caption")
    caption.add_argument("--caption", metavar="TEXT", help="explain this caption instead of the model's")
    caption.add_argument(
        "--rank",
        type=int,
        default=0,
        metavar="K",
        help="explain the K-th best caption, counted from 0 (default: %(default)s)",
    )
    caption.add_argument(
        "--merge",
        type=split_words,
        default=(),
        metavar="WORD,..",
        help="show adjacent tokens that spell one of these words as one: maps are averaged, log-probabilities added",
    )
    caption.add_argument("--words-only", action="store_true", help="leave out the end token and punctuation")
    add_settings(parser.add_argument_group("search"), "decoding")
    _add_map_options(parser.add_argument_group("maps"))
    _add_output_options(parser.add_argument_group("output"))


def _add_map_options(group: Any) -> None:
    group.add_argument(
        "--layer", type=int, metavar="N", help="one layer, counted from 0; -1 is the last (default: all)"
    )
    group.add_argument("--head", type=int, metavar="N", help="one head, counted from 0 (default: all)")
    group.add_argument(
        "--pool",
        choices=POOL_NAMES,
        default="mean",
        help="how to combine layers and heads; spread selects the head whose maps differ most between words, rollout "
        "follows attention through all layers (default: %(default)s)",
    )
    group.add_argument("--scale-per-word", action="store_true", help="give each map its own color scale")
    group.add_argument("--alpha", type=float, metavar="X", help="opacity of the strongest attention, in (0, 1]")
    group.add_argument("--cmap", metavar="NAME", help="a matplotlib color map, e.g. viridis or cividis")
    group.add_argument("--flat", action="store_true", help="do not interpolate between cells in figures and animations")
    group.add_argument(
        "--heads-of", type=int, metavar="POSITION", help="draw every layer and head for one word, counted from 0"
    )


def _add_output_options(group: Any) -> None:
    group.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="figure (.png, .svg, .pdf), animation (.gif, .webp), web page (.html) or raw maps (.npz, .json)",
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        metavar="X",
        help="seconds per word of an animation (default: %(default)s)",
    )
    group.add_argument(
        "--page-language", choices=LANGUAGES, help="language of a page (default: the language of the captions)"
    )
    group.add_argument(
        "--health", action="store_true", help="report for every layer and head whether its maps are informative"
    )
    group.add_argument("--json", action="store_true", help="print one JSON document")


def _check(arguments: argparse.Namespace) -> DecodingOptions:
    """The options of the search; refuses what cannot be done before anything is loaded."""
    options, out = decoding_options(arguments), arguments.out
    if arguments.rank < 0:
        raise ConfigError(f"--rank must be 0, the best caption, or more, got {arguments.rank}.")
    if arguments.caption is not None and (options != DecodingOptions() or arguments.rank):
        raise ConfigError("--caption is the caption to explain; leave out --rank and the options of a search.")
    if out is not None:
        if out.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"--out must end in one of {', '.join(SUFFIXES)}, got '{out}'.")
        if not out.absolute().parent.is_dir():
            raise ConfigError(f"--out: there is no folder '{out.absolute().parent}'.")
    if arguments.heads_of is not None and (out is None or out.suffix.lower() not in FIGURES):
        raise ConfigError(f"--heads-of draws a figure; name it with --out ({', '.join(FIGURES)}).")
    if arguments.page_language is not None and (out is None or out.suffix.lower() != PAGE):
        raise ConfigError(f"--page-language is of a page; name it with --out ({PAGE}).")
    if arguments.rank >= max(options.beam_width, options.samples):
        raise ConfigError(
            f"--rank {arguments.rank} asks for a caption that is not searched for; "
            f"give --beam-width {arguments.rank + 1} or more (or as many --samples with a --temperature)."
        )
    if arguments.rank >= options.n_best:
        options = DecodingOptions(**(vars(options) | {"n_best": arguments.rank + 1}))
    return options


def run(arguments: argparse.Namespace) -> None:
    """Explains captions."""
    options = _check(arguments)
    from caption_tx.data.images.discovery import find_images

    images = find_images(arguments.images, lambda text: warn(f"skipped: {text}"))
    if arguments.out is not None:
        images = _few_enough(images, arguments)
    start_tensorflow()
    from caption_tx.inference.attention.health import measure_health
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    _check_choice(arguments, captioner.bundle.captioner.settings)
    _check_words(arguments, captioner, options)
    out, json_rows = arguments.out, []
    is_page = out is not None and out.suffix.lower() == PAGE
    problems: list[str] = []
    kept: list[AttentionMaps] = []

    def explained() -> Iterator[AttentionMaps]:
        results = captioner.explanations(images, arguments.caption, arguments.rank, options)
        for number, (name, maps) in enumerate(_shown(results, arguments, problems)):
            unknown = [word.text for word in maps.shown if maps.is_unknown(word)]
            if unknown and number == 0:  # a typed caption, the same for all
                warn(f"the model does not know {', '.join(map(repr, unknown))} and takes it for an unknown word.")
            if out is not None:
                kept.append(maps)
            _tell_words(arguments, name, maps, json_rows)
            yield maps

    source = explained()
    first = next(source, None)
    if first is None:
        raise CaptionTxError("None of the images could be explained.")
    everything = chain([first], source)
    health = measure_health(everything) if arguments.health or is_page else None
    for _ in everything:
        pass
    if out is not None:
        _write(arguments, kept, health, problems)
    if arguments.json:
        document: dict[str, Any] = {"images": json_rows}
        if arguments.health and health is not None:
            document = {"health": health.to_dict()}
        document |= {"errors": problems} | ({} if out is None else {"out": str(out)})
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    if arguments.health and health is not None:
        echo(health.table())
    if out is not None:
        echo(str(out))


def _check_choice(arguments: argparse.Namespace, settings: CaptionerSettings) -> None:
    """Refuses a layer, head, color or opacity that cannot be, before anything is printed."""
    import numpy as np

    from caption_tx.inference.attention.pooling import MapSelection
    from caption_tx.inference.drawing.overlay import color_map
    from caption_tx.inference.drawing.style import DEFAULT_STYLE, HeatmapStyle

    shape = (settings.num_layers, settings.num_heads, 1, 1)
    selection = MapSelection(arguments.layer, arguments.head, arguments.pool)
    selection.pooled(np.ones((*shape, 1)), np.ones(shape))
    alpha = DEFAULT_STYLE.alpha if arguments.alpha is None else arguments.alpha
    color_map(HeatmapStyle(alpha, arguments.cmap or DEFAULT_STYLE.cmap))


def _few_enough(images: Iterator[NamedImage], arguments: argparse.Namespace) -> list[NamedImage]:
    """The images that are named, whether they can be read or not; refuses more than `--out` holds."""
    is_page = arguments.out.suffix.lower() == PAGE
    most = MOST_ON_A_PAGE if is_page else 1
    named = list(islice(images, most + 1))
    if len(named) > most:
        holds = f"A page shows at most {most} images" if is_page else f"{arguments.out} holds one image"
        raise ConfigError(f"{holds}; name fewer{'' if is_page else f', or a page for several ({PAGE})'}.")
    return named


def _check_words(arguments: argparse.Namespace, captioner: ImageCaptioner, options: DecodingOptions) -> None:
    """Refuses words to merge or to draw that the typed caption has not, or no caption can have."""
    position, most = arguments.heads_of, captioner.bundle.captioner.max_length
    count = min(most, options.max_length or most)
    if arguments.caption is not None:
        from caption_tx.inference.explanations import words_of

        maps = words_of(captioner, arguments.caption)
        count = len(_arranged(maps, arguments, merged := set()).shown)
        _check_merged(arguments, merged)
    if position is not None and not -count <= position < count:
        held = "the caption shows" if arguments.caption is not None else "captions have at most"
        raise ConfigError(f"--heads-of: there is no word {position}; {held} {count}, counted from 0.")


def _arranged(maps: AttentionMaps, arguments: argparse.Namespace, merged: set[str]) -> AttentionMaps:
    """Words merged and left out as asked; `merged` grows by those that were there to merge."""
    if arguments.words_only:
        maps = maps.without_punctuation()
    for word in arguments.merge:
        with suppress(CaptionTxError):  # most captions of many do not hold the word
            maps = maps.merged([word])
            merged.add(word)
    return maps


def _check_merged(arguments: argparse.Namespace, merged: set[str]) -> None:
    if missing := [word for word in arguments.merge if word not in merged]:
        raise CaptionTxError(f"--merge: no caption has words in a row that spell {', '.join(map(repr, missing))}.")


def _shown(
    results: Iterator[tuple[str, AttentionMaps | CaptionTxError]], arguments: argparse.Namespace, problems: list[str]
) -> Iterator[tuple[str, AttentionMaps]]:
    """The images that could be explained, their words merged and left out as asked; the others go to `problems`."""
    merged: set[str] = set()
    for name, result in results:
        try:
            if isinstance(result, CaptionTxError):
                raise result
            maps = _arranged(result, arguments, merged)
        except CaptionTxError as error:
            problems.append(str(error))
            warn(f"skipped: {error}")
            continue
        yield name, maps
    _check_merged(arguments, merged)


def _tell_words(arguments: argparse.Namespace, name: str, maps: AttentionMaps, json_rows: list[dict[str, Any]]) -> None:
    """Caption and words with their log-probabilities: a line each, or a row for `--json`; not with `--health`."""
    from caption_tx.inference.drawing.overlay import format_probability
    from caption_tx.inference.predictions import printable

    if arguments.health:
        return
    values = maps.shown_log_probabilities.tolist()
    if arguments.json:
        words = [
            {"text": word.text, "log_probability": round(value, 4), "unknown": maps.is_unknown(word)}
            for word, value in zip(maps.shown, values, strict=True)
        ]
        total = round(maps.log_probability, 4)
        row = {"image": printable(name), "caption": maps.caption, "log_probability": total, "words": words}
        json_rows.append(row)
        return
    echo(f"{printable(name)}\t{maps.caption}")
    for title, value in zip(maps.titles, values, strict=True):
        echo(f"  {title}\t{format_probability(value)}")


def _write(
    arguments: argparse.Namespace, kept: list[AttentionMaps], health: MapHealth | None, problems: list[str]
) -> None:
    from caption_tx.inference.attention.map_files import write_output

    out, suffix, maps = arguments.out, arguments.out.suffix.lower(), kept[0]
    chosen = {"layer": arguments.layer, "head": arguments.head}
    look = {name: getattr(arguments, name) for name in ("alpha", "cmap") if getattr(arguments, name) is not None}
    look["common_scale"] = not arguments.scale_per_word
    makers: dict[str, Callable[[], bytes | str]] = {".npz": maps.to_npz, ".json": maps.to_json}
    if suffix in makers:
        write_output(out, makers[suffix]())
    elif suffix == PAGE:
        from caption_tx.inference.attention.pooling import MapSelection
        from caption_tx.inference.drawing.style import HeatmapStyle
        from caption_tx.inference.page.render import render_page

        selection = MapSelection(arguments.layer, arguments.head, arguments.pool)
        options = {"typed": arguments.caption is not None, "language": arguments.page_language}
        page = render_page(kept, selection, HeatmapStyle(**look), health=health, problems=problems, **options)
        write_output(out, page)
    elif suffix in ANIMATIONS:
        from caption_tx.inference.drawing.animation import encode_animation

        frames = maps.animation(pool=arguments.pool, smooth=not arguments.flat, **chosen, **look)
        write_output(out, encode_animation(frames, suffix[1:], arguments.seconds))
    else:
        from caption_tx.figure_files import save_figure

        look["smooth"] = not arguments.flat
        if arguments.heads_of is not None:
            del look["common_scale"]
            figure = maps.heads_figure(None, arguments.heads_of, **look)
        else:
            figure = maps.figure(pool=arguments.pool, **chosen, **look)
        save_figure(figure, out)
