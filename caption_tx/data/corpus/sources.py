"""Caption sources -> rows: finds each file, detects its format and reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from caption_tx.config import Source, parse_source
from caption_tx.data.corpus.beside import (
    list_metadata_files,
    list_parquet_files,
    note_side_files,
    read_split_lists,
)
from caption_tx.data.corpus.captions.caption_values import restore_captions
from caption_tx.data.corpus.captions.word_rows import add_sentences
from caption_tx.data.corpus.drawn.files import read_drawn
from caption_tx.data.corpus.file_text.anki_files import read_notes
from caption_tx.data.corpus.file_text.backslashes import EscapedFile, open_escaped
from caption_tx.data.corpus.file_text.changed_lines import ChangedFile
from caption_tx.data.corpus.file_text.chats import chat_message, explain_chat
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.file_text.image_markup import read_images
from caption_tx.data.corpus.file_text.log_lines import read_entries
from caption_tx.data.corpus.file_text.missing_breaks import SplitFile, open_split
from caption_tx.data.corpus.file_text.other_files import other_kind
from caption_tx.data.corpus.file_text.printed_lines import read_printed
from caption_tx.data.corpus.file_text.scripts import ScriptFile
from caption_tx.data.corpus.file_text.text_kinds import half_kind, text_kind
from caption_tx.data.corpus.file_text.token_lines import read_tokens
from caption_tx.data.corpus.file_text.via_tables import read_via
from caption_tx.data.corpus.formats import GUIDE, READERS, Reader, detect_format, known_formats, likely_formats
from caption_tx.data.corpus.memory import CaptionSource, CaptionTable
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.partitions import (
    apply_partitions,
    list_partition_files,
    note_rejecting_names,
    split_of_partitions,
)
from caption_tx.data.corpus.readers import folder
from caption_tx.data.corpus.readers.sidecars import find_xmp, sidecar_suffixes
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.splits import is_release_name, split_of_file_name, splits_of_folders
from caption_tx.data.corpus.tables.columns import DEFAULT_OPTIONS, ReadOptions
from caption_tx.data.images.suffixes import is_readable
from caption_tx.data.images.system_files import is_system_name
from caption_tx.data.text.diffs import require_no_diff
from caption_tx.data.text.merge_conflicts import require_no_conflict
from caption_tx.data.text.text_files import TextFile, normalize_encoding, read_head
from caption_tx.errors import CorpusError

_OTHER_ANNOTATIONS = re.compile(r"(?:instances|person_keypoints|keypoints|stuff|panoptic|image_info)_.*\.json")
_IMAGE_SUFFIX = re.compile(rb'\.(?:jpe?g|png|gif|bmp|webp|tiff?)"', re.IGNORECASE)
_View = EscapedFile | SplitFile | ChangedFile | ScriptFile
_CHANGES = {
    "anki": read_notes,
    "drawn": read_drawn,
    "images": read_images,
    "log": read_entries,
    "printed": read_printed,
    "tokens": read_tokens,
    "via": read_via,
}
"""The view of a file's head -> how its lines are read."""
_MAX_NAMED = 5
_CHAT_SUFFIXES = (".txt", ".log", ".md", "")
_CAPTION_FILE_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".token", ".parquet", ".xlsx")


def read_sources(
    sources: Iterable[CaptionSource | CaptionTable], format: str | None, options: ReadOptions | None = None
) -> list[tuple[Source, CaptionRows]]:
    """Reads every source.

    Args:
        sources: as `list_captions` returns them.
        format: caption format of sources without one; None detects it.
        options: columns and suffixes of sources that name none.

    Raises:
        CorpusError: a source cannot be read or is given twice.
    """
    located: dict[Path, tuple[Source, Path, str]] = {}
    options = options or DEFAULT_OPTIONS
    sources = list(sources)
    tables = [item for item in sources if isinstance(item, CaptionTable)]
    for source in _expand_folders([item for item in sources if not isinstance(item, CaptionTable)], format):
        name = source.format or format
        if name is not None and name not in READERS:
            raise CorpusError(f"Unknown format {name!r}; known formats: {known_formats()}")
        try:
            path, name = find_caption_file(Path(source.path), name, source.encoding, source_options(source, options))
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links
            raise CorpusError(f"Cannot read the caption source {source.path!r}: {error}.") from error
        if resolved in located:
            raise CorpusError(f"{path} is given twice; list it once.")
        located[resolved] = (source, path, name)
    if not located and not tables:
        raise CorpusError("No caption source; pass a caption file or its folder.")
    read = [
        (source, _read_in_format(source, path, name, source_options(source, options), source.format or format))
        for source, path, name in located.values()
    ]
    folders_read = [path.resolve() for _, path, name in located.values() if name == "folder"]
    for source, rows in read:
        if rows.format != "folder":
            note_side_files(rows, Path(source.path).is_dir(), folders_read)
    note_rejecting_names([rows for _, rows in read])
    if read and not any(len(rows) for _, rows in read):
        read[0][1].check()
    for (_, rows), split in zip(read, splits_of_folders([path for _, path, _ in located.values()]), strict=True):
        rows.file_name_split = rows.file_name_split or split
    return [(Source(table.name), table.read(options)) for table in tables] + read


def _expand_folders(sources: Iterable[str | Path | Source], format: str | None) -> Iterator[Source]:
    """The sources, and instead of a folder of a Parquet data set, or of partitions, its files."""
    for item in sources:
        source = Source(str(item)) if isinstance(item, Path) else parse_source(item) if isinstance(item, str) else item
        if "://" in source.path:
            raise CorpusError(f"{source.path} is on a remote store; copy it here first: caption files must be local.")
        is_open = (source.format or format) in (None, "parquet") and "\0" not in source.path
        files = list_parquet_files(Path(source.path)) if is_open else []
        if not files and source.format is None and format is None and "\0" not in source.path:
            files = list_metadata_files(Path(source.path)) or list_partition_files(Path(source.path))
        yield from [replace(source, path=str(file)) for file in files] or [source]


def _read_in_format(source: Source, path: Path, name: str, options: ReadOptions, given: str | None) -> CaptionRows:
    """Reads a source; the error about a format that the user gives names the one that fits."""
    try:
        return read_source(source, path, name, options)
    except CorpusError as error:
        fitting = None
        if given and path.is_file():
            with suppress(CorpusError):
                fitting = detect_format(path, source.encoding, options)
        if fitting in (None, given):
            raise
        text = str(error).rstrip(".")
        raise CorpusError(
            f"{text}; the file looks like format '{fitting}': leave out format (--format) {given}."
        ) from error


def source_options(source: Source, options: ReadOptions) -> ReadOptions:
    """The options of one source, which override those of all sources."""
    return replace(
        options,
        caption_columns=(source.caption_column,) if source.caption_column else options.caption_columns,
        image_column=source.image_column or options.image_column,
        text_suffix=source.text_suffix or options.text_suffix,
    )


def find_caption_file(
    path: Path, format: str | None = None, encoding: str | None = None, options: ReadOptions | None = None
) -> tuple[Path, str]:
    """The file to read for a path, and its format.

    A folder stands for the only caption file in it, or, with captions in a text file per image, for itself.

    Raises:
        CorpusError: the path does not exist or cannot be read, or no single caption file was recognized.
    """
    options = options or DEFAULT_OPTIONS
    if not path.exists():
        raise CorpusError(
            f"There is no caption file or folder {path}; check the path. A text is always a path: pass captions in "
            "memory as a DataFrame with the columns image and caption, or as a mapping of image names to captions."
            if not path.suffix and len(path.parts) == 1
            else f"There is no caption file or folder {path}; check the path."
        )
    if format == "folder" and not path.is_dir():
        raise CorpusError(f"{path} is a file; format 'folder' needs a folder of images and text files.")
    if not path.is_dir():
        return path, format or _detect_or_fail(path, encoding, options)
    if format == "folder" or (format is None and options.text_suffix):
        return path, "folder"
    return _find_in_folder(path, format, encoding, options)


def _find_in_folder(path: Path, format: str | None, encoding: str | None, options: ReadOptions) -> tuple[Path, str]:
    formats: dict[Path, str | None] = {}
    ambiguous: dict[Path, CorpusError] = {}
    chats: dict[Path, str] = {}
    files = folder.list_caption_files(path, _CAPTION_FILE_SUFFIXES)
    for file in (file for file in files if not _OTHER_ANNOTATIONS.match(file.name)):
        if file.suffix.lower() in _CHAT_SUFFIXES and (message := chat_message(FileHead.read(file, encoding).lines)):
            chats[file] = message
            continue
        try:
            formats[file] = detect_format(file, encoding, options)
        except CorpusError as error:  # several columns could be the caption: it is a caption file
            formats[file], ambiguous[file] = "csv", error
    matches = [file for file, name in formats.items() if name and format in (None, name)]
    # Any JSON document could hold captions: files that surely do come first.
    foreign = [file.name for file in files if _OTHER_ANNOTATIONS.match(file.name)]
    certain = [file for file in matches if formats[file] != "json" or _IMAGE_SUFFIX.search(read_head(file))]
    matches = certain or (matches if not foreign else [])
    if matches and not certain and format is None and folder.has_image_text_pairs(path):
        return path, "folder"  # the JSON files are settings or statistics
    if not matches and format:
        matches = [file for file in formats if file.suffix.lower() in READERS[format].suffixes]
    if len(matches) > 1:
        names = ", ".join(file.name for file in matches)
        raise CorpusError(
            f"{path} contains several caption files ({names}); pass the one to read, such as {matches[0]}, or several."
        )
    if matches and matches[0] in ambiguous and not format:
        raise ambiguous[matches[0]]
    if matches:
        require_no_diff(FileHead.read(matches[0], encoding).text, matches[0])
        return matches[0], format or formats[matches[0]] or ""
    if format is None and (folder.has_image_text_pairs(path) or folder.names_images(path, options.files)):
        return path, "folder"
    for file in files:
        require_no_conflict(FileHead.read(file, encoding).text, file)
    advice = _suggest_text_suffix(path) or _suggest_below(path) or "pass the file itself"
    if chats:
        file, message = next(iter(chats.items()))
        advice = f"{file.name} is {explain_chat(message)}"
    if foreign:
        advice = f"{foreign[0]} has annotations of objects, not captions; read captions_*.json"
    raise CorpusError(f"No caption file was recognized in {path}; {advice}. The usual layouts: {likely_formats(path)}.")


def _suggest_text_suffix(path: Path) -> str | None:
    """Advice if images have files of the same name with a suffix that is not read."""
    suffixes = sidecar_suffixes(path)
    if not suffixes:
        if xmp := find_xmp(path):
            return (
                f"{len(xmp)} images have an .xmp file of metadata (such as {xmp[0]}), which is not read; write the "
                "descriptions to a table of image names and captions, as exiftool -csv -Description does"
            )
        return None
    suffix, count = suffixes.most_common(1)[0]
    return f"{count} images have a {suffix} file of the same name; read them with text_suffix (--text-suffix) {suffix}"


def _suggest_below(path: Path) -> str | None:
    """Advice if a folder below has files with the suffix of a table."""
    suffixes = (".csv", ".tsv", ".jsonl", ".json", ".xlsx", ".parquet")
    files = sorted(file for file in path.glob("*/*") if not any(map(is_system_name, file.parts[-2:])))
    found = [file for file in files if file.suffix.lower() in suffixes]
    if not found:  # images/1.jpg and labels/1.txt
        images = {stem(file.name): file.parent for file in files if is_readable(file.name)}
        texts = [file for file in files if file.suffix == ".txt" and images.get(file.stem, file.parent) != file.parent]
        return f"pass {texts[0].parent} with images (--images) {images[texts[0].stem]}" if texts else None
    if len(found) == 1:
        return f"pass the file itself, such as {found[0]}"
    more = f" and {len(found) - _MAX_NAMED:,} more" if len(found) > _MAX_NAMED else ""
    return f"pass the files themselves, one or several: {', '.join(map(str, found[:_MAX_NAMED]))}{more}"


def _detect_or_fail(path: Path, encoding: str | None, options: ReadOptions) -> str:
    """The format of a file by its content, else by its suffix."""
    by_suffix = next((key for key, reader in READERS.items() if path.suffix.lower() in reader.suffixes), None)
    kind = other_kind(read_head(path))
    head = FileHead.read(path, encoding)
    require_no_conflict(head.text, path)
    require_no_diff(head.text, path)
    if path.suffix.lower() in _CHAT_SUFFIXES and (message := chat_message(head.lines)):
        raise CorpusError(f"{path} is {explain_chat(message)}.")
    name = detect_format(path, encoding, options)
    is_read = name is not None and READERS[name].binary
    if kind and not is_read and not (by_suffix and READERS[by_suffix].binary):
        raise CorpusError(f"{path} is {kind}, not a caption file; see {GUIDE} for the layouts.")
    if name is None and (text := text_kind(head.lines)):
        raise CorpusError(f"{path} is {text}.")
    name = name or by_suffix
    if name is None and (text := half_kind(head.lines)):
        raise CorpusError(f"{path} is {text}.")
    if name is None:
        start = head.lines[0][:60] if head.lines else ""
        raise CorpusError(
            f"{path}: unknown caption format (the file starts with {start!r}); the usual layouts: "
            f"{likely_formats(path)}."
        )
    return name


def read_source(source: Source, path: Path, format: str, options: ReadOptions | None = None) -> CaptionRows:
    """Reads the file of one source, as located by `find_caption_file`; options of the source override the file.

    Raises:
        CorpusError: the file is unreadable, damaged, in an unknown encoding, of another layout or without captions.
    """
    reader = READERS[format]
    options = options or source_options(source, DEFAULT_OPTIONS)
    if not reader.has_columns:
        options.require_no_columns(path)
    if reader.binary:
        file = TextFile(path, normalize_encoding(source.encoding, path) if source.encoding else "")
    else:
        file = TextFile.open(path, source.encoding)
    file, changed = (file, []) if reader.binary else _open_view(file, reader, options)
    rows = CaptionRows(str(path), format, file.encoding, split_override=source.split, options=options)
    if source.origin:
        rows.machine_override = source.origin == "machine"
    if format != "folder":
        rows.file_name_split, rows.is_release = split_of_file_name(path.name), is_release_name(path.name)
        rows.file_name_split = split_of_partitions(path) or rows.file_name_split
    reader.read(file, rows)
    for view in changed:
        rows.add_notes(view.notes)
    add_sentences(rows)
    rows.check()
    restore_captions(rows)
    if format not in ("folder", "flickr8k", "coco_cn", "ofa", "karpathy"):
        read_split_lists(rows)
    if format != "folder":
        apply_partitions(rows, path)
    return rows


def _open_view(file: TextFile, reader: Reader, options: ReadOptions) -> tuple[TextFile, list[_View]]:
    """A file as one with a row or an entry per line, and what changes its lines."""
    view = FileHead.read(file.path, file.encoding).view
    if view:
        place = (file.path, file.encoding, file.source)
        changed = ScriptFile(*place) if view == "script" else ChangedFile(*place, change=_CHANGES[view])
        return changed, [changed]
    if not reader.may_have_escapes:
        return file, []
    escaped = open_escaped(file)
    split = open_split(escaped or file, options.files)
    return split or escaped or file, [view for view in (escaped, split) if view]
