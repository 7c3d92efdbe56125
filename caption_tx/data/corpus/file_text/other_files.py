"""Kinds of files that are no caption files, by their first bytes."""

from __future__ import annotations

import re

_COMPRESSED = "a compressed file (decompress it first)"
_SQL, _WEB = "a dump of an SQL database (export the table as CSV)", "a web page (save its table as CSV)"
_UTF_32 = "text in UTF-32 (save it as UTF-8)"
_ZIP = "a zip archive (unpack it) or a document of Word or another program (save it as plain text)"
_PICKLE = "a Python pickle (save its content as JSON or CSV)"
_ARROW = "an Arrow file (save it as Parquet)"
_OTHER_FILES = {
    b"PK\x03\x04": _ZIP, b"\x1f\x8b": _COMPRESSED, b"\xfd7zXZ": _COMPRESSED,
    b"BZh91AY": _COMPRESSED, b"\x28\xb5\x2f\xfd": _COMPRESSED, b"7z\xbc\xaf": "a 7z archive (unpack it first)",
    b"Rar!\x1a": "a RAR archive (unpack it first)", b"%PDF-": "a PDF document", b"\xff\xd8\xff": "an image",
    b"\x89PNG": "an image", b"SQLite format 3\0": "a database", b"ARROW1\0": _ARROW, b"\xff\xff\xff\xff": _ARROW,
    b"INSERT INTO": _SQL, b"CREATE TABLE": _SQL, b"-- MySQL": _SQL, b"<?xml": "an XML file (convert it to CSV)",
    b"<html": _WEB, b"<!DOCTYPE": _WEB, b"\x80\x04": _PICKLE, b"\x80\x05": _PICKLE,
    b"\x93NUMPY": "a NumPy array (save it as CSV)", b"\xff\xfe\x00\x00": _UTF_32, b"\x00\x00\xfe\xff": _UTF_32,
    b"{\\rtf": "a document in RTF (save it as plain text in UTF-8)",
    b"\xd0\xcf\x11\xe0": "an old document of Word or another program (save it as plain text in UTF-8)",
    b"FEA1": "a Feather file (save it as Parquet)", b"\x89HDF": "an HDF5 file (save it as Parquet)",
}  # fmt: skip
_EXPORT = "export it as CSV with a column of image names and one of captions"
_XML = rb"(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*|<!DOCTYPE[^>]*>\s*)*"
_TRANSLATIONS = (
    (re.compile(_XML + rb"<xliff[\s>]", re.S), f"an XLIFF file of translations ({_EXPORT})"),
    (re.compile(_XML + rb"<tmx[\s>]", re.S), f"a TMX file of translations ({_EXPORT})"),
    (
        re.compile(rb'(?:#[^\n]*\n\s*)*(?:msgctxt "[^\n]*\n\s*)?msgid "[^\n]*\n\s*(?:"[^\n]*\n\s*)*msg'),
        f"a PO file of translations ({_EXPORT})",
    ),
    (
        re.compile(rb'(?:/\*[^*]*\*/\s*|//[^\n]*\n\s*)*"[^"\n]+"\s*=\s*"[^"\n]*";'),
        f"a .strings file of translations ({_EXPORT})",
    ),
)
_PROGRAM = re.compile(
    rb"#![^\n]*\bsh\b|#![^\n]*\bbash\b|<\?php\b|(?:(?:#|//)[^\n]*\n\s*)*(?:from [\w.]+ import [\w(*]|#include [<\"]"
    rb"|import [\w.]+(?: as \w+)?;?\s*\n(?:.*\n)?(?:import |from [\w.]+ import |def |class |[\w.]+ = |[\w.]+\())",
    re.DOTALL,
)
_TAR_MARK = slice(257, 262)


def other_kind(data: bytes) -> str | None:
    """What a file is by the bytes at its start, if it is surely no text."""
    if data[_TAR_MARK] == b"ustar":
        return "a tar archive (unpack it with `mkdir folder && tar -xf file.tar -C folder` and pass the folder)"
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if found := next((kind for pattern, kind in _TRANSLATIONS if pattern.match(start)), None):
        return found
    if _PROGRAM.match(start):
        return "a program (give the file of captions that it reads or writes)"
    return next((kind for mark, kind in _OTHER_FILES.items() if data.startswith(mark)), None)
