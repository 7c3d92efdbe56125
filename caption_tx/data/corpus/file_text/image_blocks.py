"""Images of pages whose captions are in other lines: galleries of MediaWiki, reStructuredText, AsciiDoc and Org.

<gallery>             .. figure:: a.jpg      .A dog runs.        #+CAPTION: A dog runs.
File:a.jpg|A dog.        :alt: a dog         image::a.jpg[]      [[file:a.jpg]]
</gallery>
                         A dog runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.broken_lines import join_broken

BLOCK_SIGNS = ("<gallery", "figure::", "image::", "#+")
"""Texts of which one is in each of these pages."""

_GALLERY = re.compile(r"<gallery\b[^<>]{0,500}>", re.IGNORECASE)
_GALLERY_END = "</gallery"
_FILE = re.compile(r"(?:file|image|文件|档案|檔案|图像|圖像)\s*:\s*", re.IGNORECASE)
_INNER_LINK = re.compile(r"\[\[(?:[^\[\]|]{0,200}\|)?([^\[\]|]{0,200})\]\]")
_DIRECTIVE = re.compile(r"\.\.\s+(?:\|[^|]+\|\s+)?(figure|image)::\s*(\S.*)")
_OPTION = re.compile(r":([\w-]+):(?:\s+(.*))?")
_ASCIIDOC = re.compile(r"image::([^\[\]]+)\[([^\[\]]*)\]")
_ASCIIDOC_TITLE = re.compile(r"\.(?![.\s])(.+)")
_ATTRIBUTE_LINE = re.compile(r"\[[^\[\]]+\]")
_ATTRIBUTE = re.compile(r"\s*(?:(\w+)\s*=\s*)?(?:\"([^\"]*)\"|([^,]*))\s*(?:,|$)")
_ORG = re.compile(r"\[\[(?:file:|attachment:|\./)?([^\[\]]+)\](?:\[([^\[\]]*)\])?\]")
_ORG_CAPTION = re.compile(r"#\+caption(?:\[[^\]]*\])?:\s*(.*)", re.IGNORECASE)
_MAX_ABOVE, _MAX_LINE = 6, 5000


class ImageBlocks:
    """The images of a page whose captions are in other lines.

    Args:
        lines: (number, text) of the page, blank lines included.

    Attributes:
        images: name and texts of an image, by the line that names it.
        others: numbers of the other lines that belong to these images.

    Example:
        >>> blocks = ImageBlocks([(1, ".A dog runs."), (2, "image::a.jpg[dog,300]")])
        >>> blocks.images, blocks.others
        ({2: ('a.jpg', ['dog', 'A dog runs.'])}, {1})
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = [(number, text[:_MAX_LINE].rstrip()) for number, text in lines]
        self.images: dict[int, tuple[str, list[str]]] = {}
        self.others: set[int] = set()
        at = 0
        while at < len(self._lines):
            at = self._read(at)

    def _read(self, at: int) -> int:
        """Reads the image that begins in a line, if one does; returns the place of the line after it."""
        number, text = self._lines[at][0], self._lines[at][1].strip()
        if _GALLERY.fullmatch(text):
            return self._read_gallery(at)
        if match := _DIRECTIVE.fullmatch(text):
            return self._read_directive(at, match)
        if match := _ASCIIDOC.fullmatch(text):
            self.images[number] = (match[1].strip(), [*_asciidoc_texts(match[2]), self._title_above(at)])
        elif (match := _ORG.fullmatch(text)) and (caption := self._caption_above(at)):
            self.images[number] = (match[1].strip(), [match[2] or "", caption])
        return at + 1

    def _read_gallery(self, at: int) -> int:
        """Reads the lines of a gallery: a name, a bar and the caption."""
        self.others.add(self._lines[at][0])
        for place in range(at + 1, len(self._lines)):
            number, text = self._lines[place]
            if text.strip().lower().startswith(_GALLERY_END):
                self.others.add(number)
                return place + 1
            name, *parts = (part.strip() for part in _INNER_LINK.sub(r"\1", _FILE.sub("", text.strip(), 1)).split("|"))
            if name:
                texts = [part.removeprefix("alt=") for part in parts if "=" not in part or part.startswith("alt=")]
                self.images[number] = (name, texts)
        return len(self._lines)

    def _read_directive(self, at: int, match: re.Match[str]) -> int:
        """Reads the options of a figure or an image and the paragraph below them, which are indented."""
        indent, place = _indent(self._lines[at][1]), at + 1
        options: dict[str, str] = {}
        name = ""
        while place < len(self._lines) and _indent(self._lines[place][1]) > indent:
            text = self._lines[place][1].strip()
            option = _OPTION.fullmatch(text)
            if option is None and not name:
                break
            name = option[1] if option else name
            options[name] = join_broken([options.get(name, ""), (option[2] or "") if option else text])
            self.others.add(self._lines[place][0])
            place += 1
        caption: list[str] = []
        start = place
        while start < len(self._lines) and not self._lines[start][1]:
            start += 1
        while match[1] == "figure" and start < len(self._lines) and _indent(self._lines[start][1]) > indent:
            caption.append(self._lines[start][1].strip())
            self.others.add(self._lines[start][0])
            start += 1
        self.images[self._lines[at][0]] = (match[2].strip(), [options.get("alt", ""), join_broken(caption)])
        return start if caption else place

    def _title_above(self, at: int) -> str:
        """The title of a block of AsciiDoc, above it and its attributes."""
        for place in range(at - 1, max(-1, at - _MAX_ABOVE), -1):
            text = self._lines[place][1]
            if match := _ASCIIDOC_TITLE.fullmatch(text):
                self.others.update(self._lines[between][0] for between in range(place, at))
                return match[1].strip()
            if not _ATTRIBUTE_LINE.fullmatch(text):
                return ""
        return ""

    def _caption_above(self, at: int) -> str:
        """The caption of an Org image, which may be continued, among the keywords above it."""
        found: list[str] = []
        place = at - 1
        while place >= max(0, at - _MAX_ABOVE) and self._lines[place][1].lstrip().startswith("#+"):
            if match := _ORG_CAPTION.fullmatch(self._lines[place][1].strip()):
                found.insert(0, match[1].strip())
            place -= 1
        if found:
            self.others.update(self._lines[between][0] for between in range(place + 1, at))
        return join_broken(found)


def _indent(text: str) -> int:
    """The number of spaces before a text; -1 for a blank line."""
    return len(text) - len(text.lstrip()) if text.strip() else -1


def _asciidoc_texts(attributes: str) -> list[str]:
    """The alternative text and the title among the attributes of an image."""
    values: dict[str, str] = {}
    for at, match in enumerate(_ATTRIBUTE.finditer(attributes)):
        values.setdefault(match[1] or str(at), (match[2] or match[3] or "").strip())
    return [text for text in (values.get("0"), values.get("alt"), values.get("title")) if text]
