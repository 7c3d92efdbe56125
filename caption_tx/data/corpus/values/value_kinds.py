"""What kind of value a cell has: an image name, text, a flag or a split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import SPLIT_NAMES, caption_key, split_word
from caption_tx.data.corpus.values.conversations import is_conversation
from caption_tx.data.corpus.values.html_images import img_sources
from caption_tx.data.corpus.values.rich_text import rich_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES

_MIN_EMPTY = 0.3
_LETTERS = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"#\d+$")
_URL = re.compile(r"\w+://\S+|www\.\S+")
_NAME_WITHOUT_SUFFIX = re.compile(r"[\w.\-/\\]*\d[\w.\-/\\]*", re.ASCII)
_BOOLEANS = ("true", "false", "yes", "no", "t", "f", "y", "n", "是", "否", "有", "无", "√", "×")
_FILE_KEYS = ("path", "file_name", "filename", "fileName", "name", "url", "src", "uri")
_QUOTES = "'`\"“”‘’＂"
_SURROGATES = re.compile("[\ud800-\udfff]")


def to_image_name(value: Any) -> str | None:
    """An image name or a numeric image id as text; None if the value can be neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def is_image_name(value: object) -> bool:
    """Whether a value is a file name with an image suffix, or a URL."""
    if not isinstance(value, str):
        return False
    value = value.strip().strip(_QUOTES)
    if ("://" in value or value[:4] == "www.") and _URL.fullmatch(value):
        return True
    if value[:1] == "<":
        return bool(img_sources(value))
    base = (_NUMBER.sub("", value) if "#" in value else value).lower()
    return base.endswith(IMAGE_SUFFIXES) and len(base) < 512 and "\n" not in base


def first_name(value: Any) -> Any:
    """The name of the first file in a list or an object, such as the attachments of a table; other values as they are.

    Example:
        >>> first_name([{"url": "https://x/1", "path": "full/1.jpg"}]), first_name("1.jpg")
        ('full/1.jpg', '1.jpg')
    """
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    return name_in(value) if isinstance(value, dict) else value


def name_in(item: dict[str, Any]) -> Any:
    """The name that an object gives its file, such as an attachment of a table; its URL if it has no name."""
    found = (item[key] for key in _FILE_KEYS if isinstance(item.get(key), (str, int, float)) and item[key])
    return next(found, None)


def is_name_like(value: object) -> bool:
    """Whether a value is an image name, or an id of ASCII letters and digits."""
    return is_image_name(value) or (isinstance(value, str) and bool(_NAME_WITHOUT_SUFFIX.fullmatch(value.strip())))


def is_text(value: object) -> bool:
    """Whether a value, or an item of a list, could be a caption: it has letters and is no image name."""
    if not isinstance(value, str) and (text := rich_text(value)) is not None:
        return is_text(str(text))
    if isinstance(value, (list, tuple)):
        return any(is_text(item) for item in value)
    if isinstance(value, dict):
        return is_conversation([value]) or any(
            (caption_key(str(key)) or key == "raw") and is_text(item) for key, item in value.items()
        )
    return isinstance(value, str) and bool(_LETTERS.search(value)) and not is_name_like(value)


def share(values: Sequence[Any], test: Callable[[Any], bool]) -> float:
    """The share of values that pass a test, ignoring empty ones; 0 if all are empty."""
    present = [value for value in values if value not in (None, "", []) and str(value).strip()]
    return sum(map(test, present)) / len(present) if present else 0.0


def is_file_name(value: object) -> bool:
    """Whether a value is a file name with an image suffix, and no URL."""
    return is_image_name(value) and "://" not in str(value)


def is_flag(values: Sequence[Any]) -> bool:
    """Whether all values are yes or no, or all name splits."""
    return share(values, is_boolean) == 1 or share(values, is_split) == 1


def is_boolean(value: object) -> bool:
    """Whether a value is yes or no, in English or Chinese, or a sign for it."""
    return isinstance(value, bool) or str(value).strip().lower() in _BOOLEANS


def is_split(value: object) -> bool:
    """Whether a value is the name of a split."""
    return split_word(value) in SPLIT_NAMES


def is_constant(values: Sequence[Any]) -> bool:
    """Whether at least three values are all the same text, such as the name of a project or a question."""
    texts = [str(value) for value in values if value not in (None, "", [])]
    return len(texts) > 2 and len(set(texts)) == 1


def typical_length(values: Sequence[Any]) -> float:
    """The median length in Chinese characters; other letters count as two fifths of one."""
    lengths = sorted(sum(0.4 if letter.isascii() else 1 for letter in str(value)) for value in values if value)
    return lengths[len(lengths) // 2] if lengths else 0


def fills_down(values: Sequence[Any]) -> bool:
    """Whether many image names are left out below the first: rows of one image whose cells are merged."""
    empty = sum(not is_filled(value) for value in values)
    return bool(empty) and is_filled(values[0]) and empty >= _MIN_EMPTY * len(values)


def is_sentence(value: object) -> bool:
    """Whether a value is text that is no file name: it has letters of other scripts than Latin, or spaces."""
    return is_text(value) and (not str(value).isascii() or " " in str(value).strip())


def is_filled(value: object) -> bool:
    """Whether a cell has anything but spaces."""
    return value is not None and bool(str(value).strip())


def are_swapped(images: Sequence[Any], captions: Sequence[Any]) -> bool:
    """Whether a column for images holds sentences, and one for captions file names or URLs."""
    sentences, names = share(images, is_sentence), share(captions, is_image_name)
    return sentences > 0.8 and names > 0.8 and share(images, is_image_name) < 0.2


def is_valid_unicode(text: str) -> bool:
    """False for unpaired surrogates: JSON can contain them, but they cannot be encoded."""
    return text.isascii() or _SURROGATES.search(text) is None
