"""Text files of any encoding that captions come in -> lines. No TensorFlow.

A line ends at \\n, \\r\\n or a lone \\r, and nowhere else: U+2028 and its like are letters of a caption.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from caption_tx.errors import CorpusError

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5")
"""What is looked for. GB18030 holds GBK, which holds GB2312."""

# UTF-16 shows in single bytes; in a sample of lines, two bytes within the file would pass for its mark.
_LEGACY = tuple(name for name in ENCODINGS if not name.startswith("utf-16"))

HEAD_BYTES = 1 << 16
"""So much of a file's beginning is looked at to tell its layout and, beside UTF-8, its encoding."""

_SCAN_BYTES = 1 << 30  # a file of images in text is tens of GB: what its first GB is, it is
_BLOCK_BYTES = 1 << 20
_SAMPLE_LINES = 100
_DAMAGED_SHARE = 0.1
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

# A byte that cannot be decoded becomes half a surrogate pair, which no decoder yields by itself.
_MARK = "caption_tx_mark"
_MARKS = re.compile("[\udc00-\udcff]")
_FOREIGN = re.compile("[^\0-\x7f\udc00-\udcff]")


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.end


codecs.register_error(_MARK, _mark)


def undecoded(text: str) -> int | None:
    """The first byte in a text of this module that its encoding has no character for."""
    mark = None if text.isascii() else _MARKS.search(text)
    return ord(mark[0]) - 0xDC00 if mark else None


def _unreadable(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"Cannot read the caption file {path}: {getattr(error, 'strerror', None) or error}.")


def read_head(path: Path) -> bytes:
    """The first `HEAD_BYTES` of a file.

    Raises:
        CorpusError: it is no file, or it cannot be read.
    """
    try:
        if not path.is_file():
            raise CorpusError(f"{path} is not a file; name a caption file, or the folder that holds it.")
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def guess_encoding(data: bytes) -> str | None:
    """The name in `ENCODINGS` of a file's beginning (cut anywhere), or None. Empty data is UTF-8."""
    return _marked(data) or _without_mark(data.splitlines(keepends=True))[0]


def find_encoding(path: Path) -> str:
    """The name in `ENCODINGS` that a whole file is in; for one above 1 GB, that its first GB is in.

    UTF-8 is what decodes as UTF-8, but for a tenth of its lines or of its letters: those are damage.

    Raises:
        CorpusError: the file cannot be read, or is in no such encoding.
    """
    if found := _marked(read_head(path)):
        return found
    try:
        with path.open("rb") as file:
            if _is_utf8(file):
                return "utf-8"
            file.seek(0)
            found, first, sample = _without_mark(file)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if found is None:
        byte = undecoded(sample.decode("utf-8", _MARK))
        raise CorpusError(
            f"{path}, line {first}: not UTF-8 (byte 0x{byte:02x}), and no other encoding was recognized; "
            f"name it, e.g. '{path}:encoding=cp1252', or save the file as UTF-8."
        )
    return found


def _marked(head: bytes) -> str | None:
    """Encodings that show in single bytes: a byte order mark, or the zero bytes of UTF-16 without one."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    head = head[:4096]
    if head.count(0) < max(2, len(head) // 100):
        return None
    for name in ("utf-16-le", "utf-16-be"):
        letters = head.decode(name, _MARK)
        usual = sum("\0" < letter < "\x7f" or _is_everyday(letter) for letter in letters)
        if usual >= 0.9 * len(letters):
            return name
    return None


def _is_utf8(file: io.BufferedReader) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for _ in range(0, _SCAN_BYTES, _BLOCK_BYTES):
            block = file.read(_BLOCK_BYTES)
            decoder.decode(block, final=not block)
            if not block:
                break
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(data: Iterable[bytes]) -> tuple[str | None, int, bytes]:
    """The encoding of lines of bytes, the number of the first that is not UTF-8, and a sample of those."""
    lines = damaged = letters = marks = place = first = 0
    sample = b""
    for number, line in enumerate(data, 1):
        lines += bool(line.strip())
        place += len(line)
        if not line.isascii():
            # What _MARK gives for UTF-8, but for every byte, and without a call of Python each time.
            text = line.decode("utf-8", "surrogateescape")
            found = len(_MARKS.findall(text))
            letters += len(_FOREIGN.findall(text))
            if found:
                marks += found
                damaged += 1
                first = first or number
                if len(sample) < HEAD_BYTES:
                    sample += line[:HEAD_BYTES].rstrip(b"\r\n") + b"\n"
        if place > _SCAN_BYTES:
            break
    if damaged <= _DAMAGED_SHARE * lines or marks <= _DAMAGED_SHARE * (marks + letters):
        return "utf-8", first, sample
    return _legacy(sample), first, sample


def _legacy(sample: bytes) -> str | None:
    """The name in `ENCODINGS` that chardet finds for text that is not UTF-8, else None.

    One damaged or cut letter spoils the whole sample for it, but not most of the lines.
    """
    if (found := _detect(sample)) in _LEGACY:
        return found
    lines = [line for line in sample.split(b"\n") if line.strip()][:_SAMPLE_LINES]
    votes = Counter(_detect(line) or _detect(line[:-1]) for line in lines)
    found, count = votes.most_common(1)[0] if votes else (None, 0)
    return found if found in _LEGACY and 2 * count > len(lines) else None


def _detect(sample: bytes) -> str | None:
    """Python's name of the encoding that chardet finds, the larger of those within each other."""
    import chardet

    name = chardet.detect(sample)["encoding"]
    try:
        return None if name is None else _larger(codecs.lookup(name).name)
    except LookupError:
        return None


def _larger(name: str) -> str:
    return {"gbk": "gb18030", "gb2312": "gb18030", "cp950": "big5"}.get(name, name)


def _is_everyday(letter: str) -> bool:
    """Whether it stands in the first level of GB 2312 (3755 by pinyin) or of Big5 (5401), or is punctuation."""
    for name, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6)):
        code = letter.encode(name, "ignore")
        if len(code) == 2 and (first <= code[0] <= last or code[0] in (0xA1, 0xA3)):
            return True
    return False


def known_encoding(name: str, path: Path) -> str:
    """The encoding that a person named, in Python's spelling; those within GB18030 become it.

    Raises:
        CorpusError: there is no such encoding of text.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
        found = codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise CorpusError(f"{path}: unknown encoding {name!r}; use one of {', '.join(ENCODINGS)}.") from None
    return _larger(found)


@dataclass(frozen=True)
class TextFile:
    """A file and the encoding to read it in; `source` is what a person named to have it read."""

    path: Path
    encoding: str
    source: Path | None = None

    @classmethod
    def of(cls, path: Path, encoding: str | None = None) -> TextFile:
        """`path` in the encoding that was named, else in the one that is found.

        Raises:
            CorpusError: no file, unreadable, an unknown encoding, or none recognized.
        """
        if encoding:
            read_head(path)
            return cls(path, known_encoding(encoding, path))
        return cls(path, find_encoding(path))

    def lines(self, bad: Callable[[int, str, str], None]) -> Iterator[tuple[int, str]]:
        """(number from 1, text) of every line that could be decoded; `bad(number, reason, message)` of the others.

        Raises:
            CorpusError: the file cannot be read.
        """
        number = 0
        try:
            with self._open() as file:
                for number, line in enumerate(file, 1):
                    if number == 1:
                        line = line.removeprefix("\ufeff")
                    byte = undecoded(line)
                    if byte is None:
                        yield number, line
                    else:
                        advice = "mend the line, or name the encoding"
                        if self.encoding != "gb18030":
                            advice += f" ('{self.source or self.path}:encoding=gb18030')"
                        bad(number, self.reason(byte), f"{self.reason(byte)}; {advice}")
        except (OSError, UnicodeError) as error:
            if isinstance(error, OSError):
                raise _unreadable(self.path, error) from error
            raise CorpusError(f"{self.path}, line {number + 1}: not {self.encoding.upper()} ({error}).") from error

    def text(self) -> str:
        """The whole file; a byte that could not be decoded is found by `undecoded`.

        Raises:
            CorpusError: the file cannot be read.
        """
        try:
            with self._open() as file:
                return file.read().removeprefix("\ufeff")
        except OSError as error:
            raise _unreadable(self.path, error) from error
        except UnicodeError as error:
            raise CorpusError(f"{self.path}: not {self.encoding.upper()} ({error}).") from error

    def reason(self, byte: int) -> str:
        """Why a line was not decoded."""
        return f"not {self.encoding.upper()} (byte 0x{byte:02x})"

    def _open(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self.path.open("rb"), encoding=self.encoding, errors=_MARK, newline=None)
