"""What the decoder reads differently from how an image viewer shows it, with one line for each kind."""

from __future__ import annotations

from collections.abc import Mapping

SEVERAL = "several_pictures"

KINDS: dict[str, tuple[str, str]] = {
    SEVERAL: (
        "with several pages or frames, of which only the first is read",
        "save each page as a file of its own to caption them all",
    ),
    "transparent_image": ("that are transparent in places, which are shown on white", ""),
    "float_image": (
        "with floating-point values, whose scale is guessed",
        "save them with 8 bits to choose it yourself",
    ),
    "dark_image": (
        "of 16 or 32 bits whose values are all below 256, read as 8 bits",
        "save them with 8 bits if that is too bright",
    ),
    "color_profile_ignored": (
        "in CMYK whose color profile is not applied, so that colors differ a little",
        "convert them to sRGB for exact colors",
    ),
}
"""Kind -> what is read differently, in words that follow "3 of 40 images", and what to do about it."""

Details = Mapping[str, str]
"""Name of an image -> what was found, such as "4 pages"."""


def interpretation_notes(found: Mapping[str, Details], total: int) -> list[str]:
    """One line for each kind, with the first image.

    Args:
        found: kind -> its images.
        total: number of images that were looked at.

    Example:
        >>> interpretation_notes({"several_pictures": {"scan.tif": "4 pages"}}, 40)
        ['1 of 40 images with several pages or frames, of which only the first is read (scan.tif, 4 pages); save each
        page as a file of its own to caption them all']
    """
    lines = []
    for kind, (text, advice) in KINDS.items():
        if images := found.get(kind):
            name, detail = min(images.items())
            first = f"{'first: ' if len(images) > 1 else ''}{name}{f', {detail}' if detail else ''}"
            lines.append(f"{len(images):,} of {total:,} images {text} ({first}){f'; {advice}' if advice else ''}")
    return lines
