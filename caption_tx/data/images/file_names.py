"""Names of local files that are not UTF-8: Chinese names from Windows, in GBK or Big5."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property

_ENCODINGS = ("gb18030", "big5")
_ACCENTED_WORD = re.compile("[A-Za-z][\u00c0-\u036f]|[\u00c0-\u024f][A-Za-z]")
_CHINESE = re.compile("[\u3400-\u9fff]")
_RARE = re.compile("[\u01dd-\u0217\u021c-\u0258\u025a-\u02b8\u02c0-\u02ff\u0370-\u0373\u0376-\u037d\u03cf-\u03ff]")
_ALPHABETS = [
    re.compile(f"[{letters}]")
    for letters in ("\u00c0-\u024f", "\u0386-\u03ce", "\u0400-\u04ff", "\u0590-\u07ff")  # Latin, Greek, Cyrillic ..
]


def is_decoded(name: str) -> bool:
    """False if a name has bytes that are not UTF-8, which Python keeps as unpaired surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def encoding_of(name: str) -> str | None:
    """The encoding of a name from the disk, "gb18030" or "big5"; None if it is UTF-8 or in neither.

    All parts of a path have one encoding. Bytes of short Chinese names can be UTF-8 by chance (图 in GBK is ͼ): a part
    of such a path counts as Chinese if another part is not UTF-8, or if its letters do not occur together.
    """
    if name.isascii():
        return None
    parts = [part for part in name.split("/") if not part.isascii()]
    if not any(not is_decoded(part) or _is_unlikely(part) for part in parts):
        return None
    data = [os.fsencode(part) for part in parts if not is_decoded(part) or _is_by_chance(part)]
    candidates = [encoding for encoding in _ENCODINGS if all(_decode(part, encoding) for part in data)]
    if len(candidates) == 2 and not all(map(_is_simplified, data)) and all(map(_is_common_big5, data)):
        return "big5"
    return candidates[0] if candidates else None


def decode_name(name: str) -> str:
    """A name from the disk as text: one that is not UTF-8 is decoded as GBK or Big5.

    Returned unchanged if it is in neither. `find_file` finds the file of a decoded name.

    Example:
        >>> decode_name(os.fsdecode("狗.jpg".encode("gbk")))
        '狗.jpg'
    """
    encoding = encoding_of(name)
    if encoding is None:
        return name
    parts = name.split("/")
    return "/".join(
        part if part.isascii() or (is_decoded(part) and not _is_by_chance(part)) else os.fsencode(part).decode(encoding)
        for part in parts
    )


class FolderNames:
    """The names in a folder and below: a short name that is UTF-8 by chance is read like the others.

    `猫` in GBK is `è` in UTF-8. It is Chinese if other names in the folder are not UTF-8, or if it has no other Latin
    letters and other names are Chinese. The folder is searched only if such a name occurs.

    Args:
        root: the folder; a remote one is not searched.
        list_names: returns all paths below it, for tests; by default the folder is searched.

    Example:
        >>> FolderNames("photos").decode("è.jpg")  # beside other names in GBK
        '猫.jpg'
    """

    def __init__(self, root: str, list_names: Callable[[], list[str]] | None = None) -> None:
        self._list_names = list_names or (lambda: _walk(root))

    def encoding_of(self, name: str) -> str | None:
        """The encoding of a path, "gb18030" or "big5"; None if it is UTF-8 or in neither."""
        if name.isascii() or (own := encoding_of(name)):
            return None if name.isascii() else own
        parts = [part for part in name.split("/") if _may_be_chinese(part)]
        if not parts:
            return None
        encoding, has_chinese = self._evidence
        if encoding == "big5":
            return encoding if all(_is_big5(part) for part in parts) else None
        is_alone = has_chinese and all(not re.search("[A-Za-z\u0370-\u07ff]", _stem(part)) for part in parts)
        return "gb18030" if encoding or is_alone else None

    def decode(self, name: str) -> str:
        """A path as text, see `decode_name`."""
        encoding = self.encoding_of(name)
        if encoding is None or encoding == encoding_of(name):
            return decode_name(name)
        parts = name.split("/")
        return "/".join(os.fsencode(part).decode(encoding) if _may_be_chinese(part) else part for part in parts)

    @cached_property
    def _evidence(self) -> tuple[str | None, bool]:
        """The usual encoding of the names that are not UTF-8, and whether other names are Chinese."""
        names = [name for name in self._list_names() if not name.isascii()]
        encodings = Counter(filter(None, map(encoding_of, names)))
        encoding = encodings.most_common(1)[0][0] if encodings else None
        return encoding, any(_CHINESE.search(name) for name in names)


def _walk(root: str) -> list[str]:
    return [name for _, folders, files in os.walk(root) for name in (*folders, *files)]


def _stem(part: str) -> str:
    return os.path.splitext(part)[0]


def _may_be_chinese(part: str) -> bool:
    """Whether a part of a path that is UTF-8 could be common Chinese letters in GBK; Russian words could not."""
    if part.isascii() or not is_decoded(part) or not _is_by_chance(part):
        return False
    letters = [letter for letter in part if not letter.isascii()]
    if len(letters) > 1 and all("\u0410" <= letter <= "\u044f" for letter in letters):
        return False
    return _is_simplified(os.fsencode(part)) or _is_big5(part)


def _is_big5(part: str) -> bool:
    data = os.fsencode(part)
    return _decode(data, "big5") is not None and _is_common_big5(data)


def undecoded_note(encoding: str) -> str:
    """The note about names that are read in another encoding, with advice."""
    name, option = ("Big5", "big5") if encoding == "big5" else ("GBK", "gbk")
    return f"file names that are not UTF-8, read as {name} (`convmv -f {option} -t utf8` renames them)"


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_by_chance(part: str) -> bool:
    """Whether the letters of a name have two bytes in UTF-8, as a Chinese letter has in GBK, and stand alone."""
    return max(part) < "\u0800" and not _ACCENTED_WORD.search(part)


def _is_unlikely(part: str) -> bool:
    """Whether a name has rare letters, or a word with letters of several alphabets."""
    words = re.findall(r"[^\W\d_]+", part)
    is_mixed = any(sum(pattern.search(word) is not None for pattern in _ALPHABETS) > 1 for word in words)
    return _is_by_chance(part) and (is_mixed or _RARE.search(part) is not None)


def _is_simplified(data: bytes) -> bool:
    return _decode(data, "gb2312") is not None


def _is_common_big5(data: bytes) -> bool:
    """Whether all Chinese letters of a name are among the 5,401 common ones of Big5."""
    letters = [letter.encode("big5") for letter in data.decode("big5") if not letter.isascii()]
    return all(b"\xa4\x40" <= letter <= b"\xc6\x7e" for letter in letters)


def find_file(path: str) -> str:
    """The path of the file that `decode_name` decoded, part by part; `path` itself if it exists or nothing is found."""
    if path.isascii() or os.path.lexists(path):
        return path
    found = "/" if path.startswith("/") else ""
    for part in path.strip("/").split("/"):
        candidates = [part, *_encoded(part)]
        found = next(
            (other for name in candidates if os.path.lexists(other := os.path.join(found, name))),
            os.path.join(found, part),
        )
    return found if os.path.lexists(found) else path


def _encoded(part: str) -> list[str]:
    """A name as the file system shows it if it was written in another encoding than UTF-8."""
    names = []
    for encoding in () if part.isascii() else _ENCODINGS:
        try:
            names.append(os.fsdecode(part.encode(encoding)))
        except UnicodeEncodeError:
            continue
    return names
