"""Text files in any encoding -> lines.

A line ends at \\n, \\r\\n or a lone \\r only: U+2028 and similar characters belong to a caption.
"""

from __future__ import annotations

import codecs
import functools
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.text.encodings import encoding_advice, is_common_chinese, suggest_encoding
from caption_tx.data.text.merge_conflicts import require_no_conflict, watch_for_conflict
from caption_tx.errors import CorpusError

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs")
"""Encodings that are detected. GB18030 is a superset of GBK, which is a superset of GB2312.

Big5-HKSCS has letters of Hong Kong beside nearly all of Big5.
"""

# UTF-16 is detected from single bytes: in a sample of lines, two bytes in the middle could look like its mark.
_LEGACY = tuple(name for name in ENCODINGS if not name.startswith("utf-16"))
_BIG5 = ("big5", "big5hkscs")

HEAD_BYTES = 1 << 16
"""Bytes at the start of a file that are used to detect its layout and, except for UTF-8, its encoding."""

_SCAN_BYTES = 1 << 30  # a file with embedded images has tens of GB; its first GB is representative
_BLOCK_BYTES = 1 << 20
_SAMPLE_LINES = 100
_MAX_DAMAGED_SHARE = 0.1
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

# A byte that cannot be decoded becomes an unpaired surrogate, which no decoder produces otherwise.
_MARK = "caption_tx_mark"
_MARKS = re.compile("[\udc00-\udcff]")
_NON_ASCII = re.compile("[^\0-\x7f\udc00-\udcff]")


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.end


codecs.register_error(_MARK, _mark)


def find_undecoded_byte(text: str) -> int | None:
    """The first byte in a text of this module that could not be decoded, or None."""
    mark = None if text.isascii() else _MARKS.search(text)
    return ord(mark[0]) - 0xDC00 if mark else None


def _read_error(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"Cannot read the caption file {path}: {getattr(error, 'strerror', None) or error}.")


def read_head(path: Path) -> bytes:
    """The first `HEAD_BYTES` of a file.

    Raises:
        CorpusError: the path is not a file or cannot be read.
    """
    try:
        if not path.is_file():
            raise CorpusError(f"{path} is not a file; pass a caption file or its folder.")
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise _read_error(path, error) from error


def guess_encoding(data: bytes) -> str | None:
    """The encoding of the start of a file, truncated anywhere: a name in `ENCODINGS` or None. Empty data is UTF-8."""
    return _detect_from_bytes(data) or _detect_from_lines(data.splitlines(keepends=True))[0]


def find_encoding(path: Path) -> str:
    """The encoding of a whole file, or of its first GB: a name in `ENCODINGS`.

    A file is UTF-8 even if up to a tenth of its lines or of its non-ASCII letters do not decode: those are damaged. So
    is a file in which more lines with non-ASCII letters decode than not.

    Raises:
        CorpusError: the file cannot be read, or its encoding was not recognized.
    """
    head = read_head(path)
    if name := _detect_from_bytes(head):
        return name
    try:
        with path.open("rb") as file:
            if _decodes(file, "utf-8"):
                return "utf-8"
            file.seek(0)
            name, first_line, sample = _detect_from_lines(file)
            if name == "big5":
                name = next((name for name in _BIG5 if _decodes(file, name)), "big5")
    except (OSError, ValueError) as error:
        raise _read_error(path, error) from error
    if name is None:
        byte = find_undecoded_byte(sample.decode("utf-8", _MARK))
        raise CorpusError(
            f"{path}, line {first_line}: not UTF-8 (byte 0x{byte:02x}), and no other encoding was recognized; "
            f"{encoding_advice(path, [head if not head.isascii() else sample])}."
        )
    return name


def _detect_from_bytes(head: bytes) -> str | None:
    """Encodings that single bytes reveal: a byte order mark, or the zero bytes of UTF-16 without one."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    head = head[:4096]
    if head.count(0) < max(2, len(head) // 100):
        return None
    for name in ("utf-16-le", "utf-16-be"):
        letters = head.decode(name, _MARK)
        common = sum("\0" < letter < "\x7f" or is_common_chinese(letter) for letter in letters)
        if common >= 0.9 * len(letters):
            return name
    return None


def _decodes(file: io.BufferedReader, encoding: str) -> bool:
    """Whether the first GB of a file has an encoding."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for _ in range(0, _SCAN_BYTES, _BLOCK_BYTES):
            block = file.read(_BLOCK_BYTES)
            decoder.decode(block, final=not block)
            if not block:
                break
    except UnicodeDecodeError:
        return False
    return True


def _detect_from_lines(data: Iterable[bytes]) -> tuple[str | None, int, bytes]:
    """The encoding of lines, the number of the first line that is not UTF-8, and a sample of such lines."""
    lines = damaged_lines = valid_lines = letters = marks = size = first_line = 0
    sample = b""
    for line_number, line in enumerate(data, 1):
        lines += bool(line.strip())
        size += len(line)
        if not line.isascii():
            # Equal to _MARK for UTF-8, except that every byte is marked, and faster: no Python call per byte.
            text = line.decode("utf-8", "surrogateescape")
            line_marks = len(_MARKS.findall(text))
            letters += len(_NON_ASCII.findall(text))
            valid_lines += not line_marks
            if line_marks:
                marks += line_marks
                damaged_lines += 1
                first_line = first_line or line_number
                if len(sample) < HEAD_BYTES:
                    sample += _excerpt(line, text).rstrip(b"\r\n") + b"\n"
        if size > _SCAN_BYTES:
            break
    is_damaged = damaged_lines <= _MAX_DAMAGED_SHARE * lines or marks <= _MAX_DAMAGED_SHARE * (marks + letters)
    if is_damaged or damaged_lines < valid_lines:
        return "utf-8", first_line, sample
    return _detect_legacy(sample), first_line, sample


def _excerpt(line: bytes, text: str) -> bytes:
    """At most `HEAD_BYTES` of a line with its first byte that is not UTF-8, which `text` marks."""
    start = len(text[: _MARKS.search(text).start()].encode())
    return line[:HEAD_BYTES] if start < HEAD_BYTES // 2 else line[start : start + HEAD_BYTES]


def _detect_legacy(sample: bytes) -> str | None:
    """The encoding that chardet finds for text that is not UTF-8, if it is in `ENCODINGS`.

    One damaged or truncated letter misleads chardet on the whole sample, but not on most of the lines.
    """
    if (name := _run_chardet(sample)) in _LEGACY:
        return _without_hkscs(sample, name)
    lines = [line for line in sample.split(b"\n") if line.strip()][:_SAMPLE_LINES]
    votes = Counter(_run_chardet(line) or _run_chardet(line[:-1]) for line in lines)
    name, count = votes.most_common(1)[0] if votes else (None, 0)
    if name in _BIG5:
        count = sum(map(votes.__getitem__, _BIG5))
    return _without_hkscs(sample, name) if name in _LEGACY and 2 * count > len(lines) else None


def _without_hkscs(sample: bytes, name: str) -> str:
    """Big5 for a sample in Big5-HKSCS that has no letters of Hong Kong, which are few; other names as they are."""
    is_big5 = name == "big5hkscs" and _marks_in(sample, "big5") <= _marks_in(sample, "big5hkscs")
    return "big5" if is_big5 else name


def _marks_in(sample: bytes, encoding: str) -> int:
    return len(_MARKS.findall(sample.decode(encoding, _MARK)))


@functools.lru_cache(maxsize=64)  # the start of a file is read for its layout, and again as part of the file
def _run_chardet(sample: bytes) -> str | None:
    """Python's name of the encoding that chardet finds, or of its superset."""
    import chardet

    name = chardet.detect(sample)["encoding"]
    try:
        return None if name is None else _superset(codecs.lookup(name).name)
    except LookupError:
        return None


def _superset(name: str) -> str:
    return {"gbk": "gb18030", "gb2312": "gb18030", "cp950": "big5"}.get(name, name)


def normalize_encoding(name: str, path: Path) -> str:
    """Python's name of an encoding that the user named, or of its superset.

    Raises:
        CorpusError: there is no text encoding with this name.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
        python_name = codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise CorpusError(f"{path}: unknown encoding {name!r}; use one of {', '.join(ENCODINGS)}.") from None
    return _superset(python_name)


@dataclass(frozen=True)
class TextFile:
    """A file with its encoding.

    Args:
        path: the file.
        encoding: a Python encoding.
        source: the path that the user passed, for messages; default `path`.
    """

    path: Path
    encoding: str
    source: Path | None = None

    @classmethod
    def open(cls, path: Path, encoding: str | None = None) -> TextFile:
        """A file in the given encoding, or in the detected one.

        Raises:
            CorpusError: the path is not a file or cannot be read, or the encoding is unknown or was not recognized.
        """
        if encoding:
            read_head(path)
            return cls(path, normalize_encoding(encoding, path))
        return cls(path, find_encoding(path))

    def lines(self, on_error: Callable[[int, str, str], None]) -> Iterator[tuple[int, str]]:
        """Yields (line number from 1, text) of every line that decodes.

        Args:
            on_error: called with (line number, reason, message) for every other line.

        Raises:
            CorpusError: the file cannot be read, or has a merge conflict.
        """
        line_number, is_legacy, advice = 0, self.encoding in _LEGACY[1:], ""
        try:
            with self._open() as file:
                for line_number, line in watch_for_conflict(enumerate(file, 1), self.path):
                    if line_number == 1:
                        line = line.removeprefix("\ufeff")
                    byte = find_undecoded_byte(line)
                    if is_legacy and self._is_utf8(line):
                        reason = f"UTF-8 in a file in {self.encoding.upper()}"
                        how = f"the line is UTF-8 and others are {self.encoding.upper()}: save all as UTF-8"
                        on_error(line_number, reason, f"not {self.encoding.upper()}; {how}")
                    elif byte is None:
                        yield line_number, line
                    else:
                        advice = advice or self._advise(line)  # that of the first line, which takes long
                        on_error(line_number, self.decode_error(byte), f"{self.decode_error(byte)}; {advice}")
        except (OSError, UnicodeError) as error:
            if isinstance(error, OSError):
                raise _read_error(self.path, error) from error
            raise CorpusError(f"{self.path}, line {line_number + 1}: not {self.encoding.upper()} ({error}).") from error

    def text(self) -> str:
        """The whole file; `find_undecoded_byte` finds bytes that could not be decoded.

        Raises:
            CorpusError: the file cannot be read, or has a merge conflict.
        """
        try:
            with self._open() as file:
                text = file.read().removeprefix("\ufeff")
                require_no_conflict(text, self.path)
                return text
        except OSError as error:
            raise _read_error(self.path, error) from error
        except UnicodeError as error:
            raise CorpusError(f"{self.path}: not {self.encoding.upper()} ({error}).") from error

    def decode_error(self, byte: int) -> str:
        """A short message about a byte that could not be decoded."""
        return f"not {self.encoding.upper()} (byte 0x{byte:02x})"

    def _is_utf8(self, line: str) -> bool:
        """Whether a line in a file of another encoding is UTF-8 with Chinese, which few other texts are by chance."""
        if line.isascii():
            return False
        try:
            text = self._bytes(line).decode("utf-8")
        except UnicodeError:
            return False
        return any(map(is_common_chinese, text))

    def _advise(self, line: str) -> str:
        """What to do about a line that does not decode."""
        try:
            name = suggest_encoding([self._bytes(line)])
        except UnicodeError:  # an encoding with a state
            name = None
        advice = "fix the line, or name the encoding if all lines have another one"
        return advice if name is None else f"{advice} ('{self.source or self.path}:encoding={name}')"

    def _bytes(self, line: str) -> bytes:
        """The bytes of a line, some of which may be marked."""
        pieces = re.split(f"({_MARKS.pattern})", line)
        return b"".join(
            bytes([ord(piece) - 0xDC00]) if _MARKS.fullmatch(piece) else piece.encode(self.encoding) for piece in pieces
        )

    def _open(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self.path.open("rb"), encoding=self.encoding, errors=_MARK, newline=None)
