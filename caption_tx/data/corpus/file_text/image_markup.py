"""Pages whose lines are images of Markdown, Obsidian, MediaWiki, Hugo or HTML, with their captions inside or below.

Images whose captions are in other lines are found in `image_blocks.py`.

![a dog](a.jpg "A dog runs.")   ![a dog][id]   ![[a.jpg|a dog]]   [[File:a.jpg|thumb|200px|a dog]]
{{< figure src="a.jpg" alt="a dog" >}}   <img src="a.jpg" alt="a dog">
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.file_text.image_blocks import BLOCK_SIGNS, ImageBlocks
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text

_BULLET = re.compile(r"(?:[-*+]|\d+[.)])\s+")
_MARKDOWN = re.compile(r"!\[(?P<alt>(?:\\.|[^\]\\])*)\]\((?P<target>.*)\)(?:\{[^{}]*\})?")
_REFERENCE = re.compile(r"!\[(?P<alt>(?:\\.|[^\]\\])*)\]\s?\[(?P<id>[^\]]*)\]")
_DEFINITION = re.compile(r"\[([^\]]+)\]:\s*<?([^\s>]+)>?(?:\s+[\"'(](.*)[\"')])?")
_WIKI = re.compile(
    r"!?\[\[(?:(?:file|image|media|文件|档案|檔案|图像|圖像)\s*:)?(?P<parts>[^\[\]]+)\]\]", re.IGNORECASE
)
_INNER_LINK = re.compile(r"(?<=[^\[!])\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_FIGURE = re.compile(r"(?:\{\{[<%]\s*(?:figure|img|image)|<img)\s", re.IGNORECASE)
_SIGNS = ("](", "][", "[[", "{{", "<img", "<IMG", *BLOCK_SIGNS)
_VALUE = re.compile(r"\b(\w+)\s*=\s*(?:\"((?:\\.|[^\"\\])*)\"|'([^']*)'|`([^`]*)`|(\S+))")
_NO_TEXTS = (
    "img",
    "image",
    "photo",
    "picture",
    "pic",
    "figure",
    "alt",
    "alt text",
    "图",
    "图片",
    "图像",
    "照片",
    "圖片",
)
_MAX_LINE = 5000
_SETTING = re.compile(
    r"\d*x?\d+(?:px|%)?|upright(?:=.*)?|(?:link|alt|class|lang|page|style)=.*|thumb(?:nail)?|frame(?:d|less)?|border|left"
    r"|right|cent(?:er|re)|none|baseline|middle|top|bottom|sub|super|缩略图|縮圖|左|右|居中|置中|无|無|有框|无框|無框"
)
_LINE_BELOW = re.compile(r"[*_]{0,2}([^#!|<>\[{`].*?)[*_]{0,2}")
_HEADING = re.compile(r"#{1,6}\s|={3,}$|-{3,}$|```")

Image = tuple[str, list[str]]
"""The name of an image and its texts, the alternative text first."""


def image_head(lines: Iterable[str]) -> list[str] | None:
    """The images in the lines at the start of a page, a line with a tab for each; None for other files."""
    numbered = list(enumerate(lines, 1))
    if not any(sign in line for sign in _SIGNS for _, line in numbered):
        return None
    return [line for _, line in read_images(numbered)[0]] or None


def read_images(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    r"""The images of a page as lines of name, tab and caption; none if most lines with an image have other text.

    The longest text of an image is its caption; an image without one has the line below. See `Change`.

    Example:
        >>> read_images([(1, "![a dog](a.jpg)"), (2, ""), (3, "![[b.jpg|two cats|300]]")])[0]
        [(1, 'a.jpg\ta dog'), (3, 'b.jpg\ttwo cats')]
    """
    filled = [(number, line.strip()) for number, line in lines if line.strip()]
    defined = {match[1].lower(): match for _, line in filled if (match := _DEFINITION.fullmatch(line))}
    filled = [(number, line) for number, line in filled if not _DEFINITION.fullmatch(line)]
    has_blocks = any(sign in line.lower() for _, line in filled for sign in BLOCK_SIGNS)
    blocks = ImageBlocks(lines if has_blocks else [])
    filled = [(number, line) for number, line in filled if number not in blocks.others]
    images = {
        number: _image(*blocks.images.get(number, ("", []))) or _find_image(line, defined) for number, line in filled
    }
    found = {number: image for number, image in images.items() if image}
    others = [line for number, line in filled if number not in found]
    if not found or sum(map(_names_image, others)) >= len(found) or not _holds_captions(filled, found):
        return [], Counter()
    read, below = [], set()
    unread: list[str] = []
    for at, (number, _) in enumerate(filled):
        if number not in found:
            continue
        name, texts = found[number]
        caption = max(texts, key=len, default="")
        unread += [text for text in texts if text and text not in caption]
        if not caption and (text := _line_below(filled, found, at)):
            caption = text
            below.add(filled[at + 1][0])
        read.append((number, f"{name}\t{' '.join(caption.split())}"))
    outside = [line for number, line in filled if number not in found and number not in below]
    return read, _notes(filled, found, len(below), unread, outside)


def _notes(
    filled: Sequence[Line], found: dict[int, Image], num_below: int, unread: Sequence[str], outside: Sequence[str]
) -> Counter[str]:
    """What was read differently, with counts."""
    first = next(line for number, line in filled if number in found)
    notes = Counter({f"images of a page, read with their texts as captions (such as {first[:30]!r})": len(found)})
    if num_below:
        notes["captions read from the line below the image"] = num_below
    if unread:
        notes[f"shorter texts of images, not read (such as {unread[0][:30]!r})"] = len(unread)
    if outside:
        notes[f"lines outside images, not read (such as {outside[0][:30]!r})"] = len(outside)
    return notes


def _holds_captions(filled: Sequence[Line], found: dict[int, Image]) -> bool:
    """Whether at least half of the images have a text, inside or below."""
    with_text = sum(
        any(map(is_text, found[number][1])) or bool(_line_below(filled, found, at))
        for at, (number, _) in enumerate(filled)
        if number in found
    )
    return 2 * with_text >= len(found)


def _find_image(line: str, defined: Mapping[str, re.Match[str]]) -> Image | None:
    """The image that is all of a line, behind a bullet at most; `defined` are the targets of references."""
    if len(line) > _MAX_LINE:
        return None
    line = line[match.end() :] if (match := _BULLET.match(line)) else line
    if line.startswith("[![") and (end := line.rfind(")](")) > 0 and line.endswith(")"):  # a link around it
        line = line[1 : end + 1]
    if match := _MARKDOWN.fullmatch(line):
        name, title = _split_target(match["target"].strip())
        return _image(name, [match["alt"], title])
    if match := _REFERENCE.fullmatch(line):
        target = defined.get((match["id"] or match["alt"]).lower())
        return _image(target[2], [match["alt"], target[3] or ""]) if target else None
    if match := _WIKI.fullmatch(_INNER_LINK.sub(r"\1", line)):
        name, *parts = (part.strip() for part in match["parts"].split("|"))
        alternative = next((part[4:] for part in parts if part.startswith("alt=")), "")
        return _image(name, [alternative, *(part for part in parts if not _SETTING.fullmatch(part))])
    if (match := _FIGURE.match(line)) and line.endswith((">}}", "%}}", ">")):
        values = {value[1]: next(filter(None, value.groups()[1:]), "") for value in _VALUE.finditer(line, match.end())}
        return _image(values.get("src", ""), [values.get(key, "") for key in ("alt", "caption", "title")])
    return None


def _split_target(target: str) -> tuple[str, str]:
    """The name and the title in the parentheses of an image: `a.jpg "a dog"`."""
    title, quote = "", target[-1:]
    if quote in ("'", '"') and (start := target.find(f" {quote}")) > 0:
        title, target = target[start + 2 : -1], target[:start].rstrip()
    return target[1:-1] if target.startswith("<") and target.endswith(">") else target, title


def _image(name: str, texts: Sequence[str]) -> Image | None:
    """An image with the texts that are none of its name."""
    texts = [re.sub(r"\\(.)", r"\1", text).strip() for text in texts]
    texts = [text for text in texts if text.lower() not in ("", *_NO_TEXTS) and not is_image_name(text)]
    return (name, texts) if is_image_name(name) else None


def _line_below(filled: Sequence[Line], found: dict[int, Image], at: int) -> str:
    """The text of the line directly below an image, maybe in italics; "" if that is another image or a heading."""
    if at + 1 == len(filled) or filled[at + 1][0] != filled[at][0] + 1 or filled[at + 1][0] in found:
        return ""
    line = filled[at + 1][1]
    match = None if _HEADING.match(line) else _LINE_BELOW.fullmatch(line)
    return match[1].strip() if match and is_text(match[1]) else ""


def _names_image(line: str) -> bool:
    return any(is_image_name(word) for word in re.split(r"[\s,;|\"'()\[\]<>]+", line))
