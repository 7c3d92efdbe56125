"""Caption sources -> rows: finds each file, detects its format and reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from caption_tx.config import Source, parse_source
from caption_tx.data.corpus.formats import READERS, FileHead, detect_format, known_formats
from caption_tx.data.corpus.image_names import join_prefix, resolve_image_names
from caption_tx.data.corpus.readers import folder
from caption_tx.data.corpus.rows import SPLIT_NAMES, CaptionRows
from caption_tx.data.text.text_files import TextFile, normalize_encoding
from caption_tx.errors import CorpusError

# captions_val2014.json (COCO), caption_validation_annotations_20170910.json (AI Challenger)
_RELEASE_NAME = re.compile(r"captions?_(train|val|validation|test)(?:20\d\d|\w*_annotations_\d{8})\.json")
_CAPTION_FILE_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".token", ".parquet")


def read_sources(sources: Iterable[str | Path | Source], format: str | None) -> list[tuple[Source, CaptionRows]]:
    """Reads every source.

    Args:
        sources: as `read_corpus` takes them.
        format: caption format of sources without one; None detects it.

    Raises:
        CorpusError: a source cannot be read or is given twice.
    """
    located: dict[Path, tuple[Source, Path, str]] = {}
    for item in sources:
        source = Source(str(item)) if isinstance(item, Path) else parse_source(item) if isinstance(item, str) else item
        if "://" in source.path:
            raise CorpusError(f"{source.path} is on a remote store; copy it here first: caption files must be local.")
        name = source.format or format
        if name is not None and name not in READERS:
            raise CorpusError(f"Unknown format {name!r}; known formats: {known_formats()}")
        try:
            path, name = find_caption_file(Path(source.path), name, source.encoding)
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links
            raise CorpusError(f"Cannot read the caption source {source.path!r}: {error}.") from error
        if resolved in located:
            raise CorpusError(f"{path} is given twice; list it once.")
        located[resolved] = (source, path, name)
    if not located:
        raise CorpusError("No caption source; pass a caption file or its folder.")
    return [(source, read_source(source, path, name)) for source, path, name in located.values()]


def find_caption_file(path: Path, format: str | None = None, encoding: str | None = None) -> tuple[Path, str]:
    """The file to read for a path, and its format.

    A folder stands for the only caption file in it, or, with captions in a text file per image, for itself.

    Raises:
        CorpusError: the path does not exist or cannot be read, or no single caption file was recognized.
    """
    if not path.exists():
        raise CorpusError(f"There is no caption file or folder {path}; check the path.")
    if format == "folder" and not path.is_dir():
        raise CorpusError(f"{path} is a file; format 'folder' needs a folder of images and text files.")
    if not path.is_dir():
        return path, format or _detect_or_fail(path, encoding)
    if format == "folder":
        return path, format
    formats = {file: detect_format(file, encoding) for file in folder.list_caption_files(path, _CAPTION_FILE_SUFFIXES)}
    matches = [file for file, name in formats.items() if name and format in (None, name)]
    if not matches and format:
        matches = [file for file in formats if file.suffix.lower() in READERS[format].suffixes]
    if len(matches) > 1:
        names = ", ".join(file.name for file in matches)
        raise CorpusError(f"{path} contains several caption files ({names}); pass the one to read.")
    if matches:
        return matches[0], format or formats[matches[0]] or ""
    if format is None and folder.has_image_text_pairs(path):
        return path, "folder"
    raise CorpusError(f"No caption file was recognized in {path}; pass the file itself. Formats: {known_formats()}")


def _detect_or_fail(path: Path, encoding: str | None) -> str:
    """The format of a file by its content, else by its suffix."""
    name = detect_format(path, encoding)
    if name is None:
        name = next((key for key, reader in READERS.items() if path.suffix.lower() in reader.suffixes), None)
    if name is None:
        lines = FileHead.read(path, encoding).lines
        start = lines[0][:60] if lines else ""
        raise CorpusError(f"{path}: unknown caption format (the file starts with {start!r}); known: {known_formats()}")
    return name


def read_source(source: Source, path: Path, format: str) -> CaptionRows:
    """Reads the file of one source, as located by `find_caption_file`; options of the source override the file.

    Raises:
        CorpusError: the file is unreadable, damaged, in an unknown encoding, of another layout or without captions.
    """
    reader = READERS[format]
    if reader.binary:
        file = TextFile(path, normalize_encoding(source.encoding, path) if source.encoding else "")
    else:
        file = TextFile.open(path, source.encoding)
    rows = CaptionRows(str(path), format, file.encoding, split_override=source.split)
    if source.origin:
        rows.machine_override = source.origin == "machine"
    release = _RELEASE_NAME.fullmatch(path.name)
    if reader.split_in_file_name and release:
        rows.file_name_split = SPLIT_NAMES[release[1]]
    reader.read(file, rows)
    rows.check()
    return rows


def complete_image_names(sources: list[tuple[Source, CaptionRows]], images: str | Path | None) -> None:
    """Replaces image names by their names in the image folder, so that they agree between sources."""
    for source, rows in sources:
        names = {name: join_prefix(source.images, name) for name in dict.fromkeys(rows.images)}
        rows.images = [names[name] for name in rows.images]
    completed = resolve_image_names(dict.fromkeys(name for _, rows in sources for name in rows.images), images)
    if not completed:
        return
    for _, rows in sources:
        count = sum(name in completed for name in set(rows.images))
        if count:
            rows.images = [completed.get(name, name) for name in rows.images]
            rows.notes["image names completed"] += count
