"""Names of local files that are not UTF-8: Chinese names from Windows, in GBK or Big5."""

from __future__ import annotations

import os

_ENCODINGS = ("gb18030", "big5")


def is_decoded(name: str) -> bool:
    """False if a name has bytes that are not UTF-8, which Python keeps as unpaired surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_name(name: str) -> str:
    """A name from the disk as text: one that is not UTF-8 is decoded as GBK or Big5.

    Returned unchanged if it is in neither. `find_file` finds the file of a decoded name.

    Example:
        >>> decode_name(os.fsdecode("狗.jpg".encode("gbk")))
        '狗.jpg'
    """
    if is_decoded(name):
        return name
    return "/".join(map(_decode_part, name.split("/")))


def _decode_part(part: str) -> str:
    if is_decoded(part):
        return part
    data = os.fsencode(part)
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return part


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
