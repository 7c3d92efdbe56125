"""The column of a table, or the key of an entry, that names the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, find_named, image_rank, normalize_name, without_numbers
from caption_tx.data.corpus.values.value_kinds import (
    first_name,
    is_file_name,
    is_image_name,
    is_name_like,
    is_text,
    share,
)
from caption_tx.data.images.other_images import is_other_image
from caption_tx.errors import CorpusError

_MAX_SHOWN = 12

Values = Callable[[int], list[Any]]


def select_image(names: Sequence[str], values: Values, wanted: str | None, context: tuple[str, str]) -> int | None:
    """The position of the column that names the image, by its name and then by its contents; None without one.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        wanted: the column that the user names.
        context: the place and the plural of the unit, for messages.

    Raises:
        CorpusError: the column that the user names does not exist.
    """
    if wanted:
        return find_named(names, wanted, *context, "image_column")[0]
    cells, values = values, lambda at: list(map(first_name, cells(at)))
    ranks = {position: image_rank(name) for position, name in enumerate(names)}
    ranked = sorted((rank, position) for position, rank in ranks.items() if rank is not None)
    candidates = [position for _, position in ranked]
    candidates = [position for position in candidates if not is_other_image(names[position])] or candidates
    if candidates and all(share(values(at), _is_url) > 0.5 for at in candidates):
        # Names of downloaded files are better than the URLs that they come from.
        others = [at for at, name in enumerate(names) if at not in candidates and not caption_key(name)]
        if files := [at for at in others if share(values(at), is_file_name) > 0.9]:
            return files[0]
    if len(candidates) > 1:
        # A column of file names is better than a column of numbers or URLs with a better name.
        files = [position for position in candidates if share(values(position), is_file_name) > 0.5]
        urls = [position for position in candidates if share(values(position), is_image_name) > 0.5]
        return (files or urls or candidates)[0]
    if not candidates:
        captions = {position for position, name in enumerate(names) if caption_key(name)}
        candidates = [
            position
            for position in range(len(names))
            if position not in captions and share(values(position), is_image_name) >= 0.5
        ]
        candidates.sort(key=lambda position: share(values(position), is_file_name) < 0.5)  # file names before URLs
    if not candidates:
        candidates = [position for position, name in enumerate(names) if normalize_name(name) == "id"]
    return candidates[0] if candidates else None


def _is_url(value: object) -> bool:
    return "://" in str(value)


def require_one_image(
    names: Sequence[str], values: Values, read: tuple[int, tuple[int, ...]], context: tuple[str, str]
) -> None:
    """Rejects tables with several images in a row, such as image_1, caption_1, image_2, caption_2.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        read: positions of the image, and of the captions.
        context: the place and the plural of the unit, for messages.

    Raises:
        CorpusError: several columns of one name with numbers name an image.
    """
    image, captions = read
    if len(captions) < 2 or "." in names[image] or without_numbers(names[image]) == normalize_name(names[image]):
        return
    alike = [at for at, name in enumerate(names) if without_numbers(name) == without_numbers(names[image])]
    images = [names[at] for at in alike if at == image or share(values(at), is_name_like) > 0.5]
    if len(images) > 1:
        place, plural = context
        raise CorpusError(
            f"{place}: the {plural} {', '.join(images[:_MAX_SHOWN])} each name an image; write one image and its "
            f"captions per row, or read one with image_column (--image-column) {images[0]} and caption_column "
            f"(--caption-column) {names[captions[0]]}."
        )


def require_one_table(
    names: Sequence[str], values: Values, wanted: tuple[str | None, Sequence[str]], context: tuple[str, str]
) -> None:
    """Rejects two tables side by side, each with a column of images and one of captions.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        wanted: the columns of images and of captions that the user names, which may choose one of the tables.
        context: the place and the plural of the unit, for messages.

    Raises:
        CorpusError: there are two tables, and the names of their columns are the same or are not given.
    """
    if sum(caption_key(str(name)) is not None or str(name).isdecimal() for name in names) < 2:
        return
    runs: list[tuple[str, list[int]]] = []
    for at, name in enumerate(names):
        if kind := _kind(str(name), values(at)):
            if not runs or runs[-1][0] != kind:
                runs.append((kind, []))
            runs[-1][1].append(at)
    if len(runs) < 4:
        return
    images, captions = ([run[0] for kind, run in runs if kind == wanted_kind] for wanted_kind in ("image", "caption"))
    pairs = list(zip(images, captions, strict=False))
    others = [pair for pair in pairs[1:] if _names_other_images(names, values, pairs[0][0], pair[0])]
    is_repeated = any(names[at].strip() == names[images[0]].strip() for at in images[1:])
    if not others or (all(wanted) and not is_repeated):
        return
    place, plural = context
    shown = " and ".join(f"{names[image].strip()}, {names[caption].strip()}" for image, caption in (pairs[0], *others))
    listed = ", ".join(names[at].strip() for at, _ in (pairs[0], *others))
    first, second = (names[at].strip() for at in pairs[0])
    advice = f", or read one with image_column (--image-column) {first} and caption_column (--caption-column) {second}"
    raise CorpusError(
        f"{place}: the {plural} {listed[:200]} each name an image; write one image and its captions per row: move "
        f"tables side by side ({shown[:200]}) below each other{'' if is_repeated else advice}."
    )


def _kind(name: str, values: Sequence[Any]) -> str:
    """Whether a column names images or holds captions, by its name and its contents; "" for others."""
    if is_other_image(name):
        return ""
    if share(values, is_file_name) > 0.5 or (image_rank(name) is not None and share(values, is_name_like) > 0.5):
        return "image"
    return "caption" if (caption_key(name) or name.isdecimal()) and share(values, is_text) > 0.5 else ""


def _names_other_images(names: Sequence[str], values: Values, first: int, second: int) -> bool:
    """Whether two columns name different images in the same way, not by a path and a URL or a number."""
    known = {str(value).strip() for value in values(first)} - {""}
    is_alike = without_numbers(names[first]) == without_numbers(names[second]) or all(
        share(values(at), is_file_name) > 0.5 for at in (first, second)
    )
    return is_alike and known.isdisjoint(str(value).strip() for value in values(second))
