"""Flickr30k Entities (Plummer et al. 2015): Annotations/ID.xml with boxes, Sentences/ID.txt with phrases."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from caption_tx.data.boxes.table import Box, BoxTable, corners_in_image
from caption_tx.data.corpus.values.phrase_markup import ENTITY_PHRASE
from caption_tx.errors import CorpusError

_MAX_XML_BYTES = 10 * 2**20


def is_entities(folder: Path) -> bool:
    """Whether a folder has the two folders of Flickr30k Entities."""
    return (folder / "Annotations").is_dir() and (folder / "Sentences").is_dir()


def head_nouns(phrase: str) -> tuple[str, ...]:
    """The words of a phrase that name its object, in lower case: its last word, and what stands before "of".

    Example:
        >>> head_nouns("A large group of young people")
        ('people', 'group')
    """
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", phrase.lower())
    if not words:
        return ()
    if "of" in words[1:-1]:
        return words[-1], words[words.index("of", 1) - 1]
    return (words[-1],)


def add_entities(folder: Path, table: BoxTable) -> None:
    """Adds the phrases of all sentences of a folder with their boxes.

    Raises:
        CorpusError: a file cannot be read or is damaged.
    """
    for path in sorted((folder / "Annotations").glob("*.xml")):
        name, corners = _read_annotation(path, table)
        sentences = folder / "Sentences" / f"{path.stem}.txt"
        try:
            text = sentences.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CorpusError(f"Cannot read {sentences}, the sentences of {path.name}: {reason}.") from error
        phrases = dict.fromkeys((match[1], match[2], match[3]) for match in ENTITY_PHRASE.finditer(text))
        if "[/EN#" in text and not phrases:
            raise CorpusError(f"{sentences}: no phrase like '[/EN#12/people A man]' found; fix the file.")
        table.add(
            name,
            [
                Box(head_nouns(phrase), box, kinds.split("/")[1], phrase.lower())
                for chain, kinds, phrase in phrases
                for box in corners.get(chain, ())
                if head_nouns(phrase)
            ],
        )


def _read_annotation(path: Path, table: BoxTable) -> tuple[str, dict[str, list]]:
    """The image's name, and the boxes of each chain of phrases that mean one object."""
    try:
        data = path.read_bytes()
        if len(data) > _MAX_XML_BYTES or b"<!ENTITY" in data:
            raise CorpusError(f"{path} is no annotation: it is too large or declares entities.")
        root = ElementTree.fromstring(data)
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        corners: dict[str, list] = {}
        for number, item in enumerate(root.iter("object"), 1):
            for box in item.iter("bndbox"):
                x0, y0, x1, y1 = (float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax"))
                # Pixels are counted from 1 and both ends belong to the box.
                values = ((x0 - 1) / width, (y0 - 1) / height, x1 / width, y1 / height)
                if cut := corners_in_image(table, values, f"{path}, object {number}"):
                    for name in item.iter("name"):
                        corners.setdefault((name.text or "").strip(), []).append(cut)
    except (OSError, ElementTree.ParseError, ValueError, ZeroDivisionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: not an annotation of Flickr30k Entities ({reason}); fix the file.") from error
    return root.findtext("filename") or f"{path.stem}.jpg", corners
