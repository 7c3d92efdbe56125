"""Folders: images with text files of the same name, and the caption files in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from caption_tx.data.corpus.captions.caption_values import add_captions
from caption_tx.data.corpus.column_names import image_rank
from caption_tx.data.corpus.file_text.front_matter import FrontMatter
from caption_tx.data.corpus.file_text.wrapped_lines import unwrap, wrap_width_of_files
from caption_tx.data.corpus.names.image_files import ImageFiles
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.readers.json_entries import EntryReader
from caption_tx.data.corpus.readers.sidecars import (
    TEXT_SUFFIXES,
    count_sidecars,
    full_suffix,
    images_by_stem,
    list_error,
    numbered_stems,
    shared_stem,
    sidecar_suffixes,
    similar_stems,
    text_files,
    walk,
)
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.literals import load_json
from caption_tx.data.corpus.values.value_kinds import is_file_name, is_image_name
from caption_tx.data.images.file_names import FolderNames, undecoded_note
from caption_tx.data.images.suffixes import explain_unreadable, is_readable, suffix_of
from caption_tx.data.images.system_files import is_system_name, left_out_note, list_left_out
from caption_tx.data.text.encodings import encoding_advice, suggest_encoding
from caption_tx.data.text.text_files import HEAD_BYTES, TextFile, guess_encoding, read_head
from caption_tx.errors import CorpusError

_BOX = re.compile(r"\d+(?:\s+-?\d*\.?\d+(?:[eE]-?\d+)?){4,}")
_SHARED_NAME = "text file with several images of the same name"
_SIMILAR = (
    "text files whose names differ from those of their images in case, spaces or the form of letters, read (such as "
    "{!r} beside {!r})"
)
_NUMBERED = "numbered text files beside images, read as captions of one image (such as {!r} beside {!r})"
_MAX_SAMPLES = 50
_CERTAIN_ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be")


def list_caption_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files that may be caption files: in a folder and in its subfolder TextData (as in Flickr30k-CN).

    A text file with an image of the same name is not a caption file.

    Raises:
        CorpusError: the folder cannot be listed.
    """
    matches = []
    folder_names = FolderNames(str(folder))
    for parent in (folder, folder / "TextData"):
        if parent != folder and not parent.is_dir():
            continue
        try:
            with os.scandir(parent) as entries:
                names = sorted(entry.name for entry in entries if not is_system_name(entry.name) and entry.is_file())
        except OSError as error:
            raise list_error(parent, error) from error
        images = images_by_stem(names, "", folder_names)
        stem_of = {name: shared_stem(name, "", folder_names) for name in names if name.lower().endswith(suffixes)}
        texts = {name: stem_of[name] for name in text_files(list(stem_of))}
        beside = similar_stems(stem_of, images) | numbered_stems(texts, images)
        matches += [parent / name for name, path in stem_of.items() if path not in images and name not in beside]
    return matches


def has_image_text_pairs(folder: Path) -> bool:
    """Whether an image in a folder or below has a text file of the same name."""
    names = FolderNames(str(folder))
    for prefix, files in walk(folder):
        images = images_by_stem(files, prefix, names)
        stem_of = {text: shared_stem(text, prefix, names) for text in text_files(files)}
        if any(path in images for path in stem_of.values()) or similar_stems(stem_of, images):
            return True
        if numbered_stems(stem_of, images):
            return True
    return False


def read_folder(file: TextFile, rows: CaptionRows) -> None:
    """Reads text files next to images of the same name, a caption per line; line numbers count per file."""
    image_of = _pair_texts_with_images(file.path, rows)
    if not image_of:
        _explain_no_pairs(file.path, rows)
    encodings = {text: file.encoding for text in image_of} if file.encoding else _guess_encodings(image_of)
    width = wrap_width_of_files(encodings)
    named: dict[str, str] = {}
    front_matter, advice = FrontMatter(rows), ""
    for text, image in image_of.items():
        rows.start_file(str(text))
        if encodings[text] is None:
            advice = advice or _advise_encoding(file.path, encodings)
            rows.add_error(1, "unknown encoding", f"not UTF-8, and no other encoding was recognized; {advice}")
            continue
        captions, skipped = len(rows.captions), len(rows.skipped)
        if text.suffix.lower() == ".json":
            named[image] = _read_json(TextFile(text, encodings[text], file.path), image, rows) or image
            continue
        lines = front_matter.strip(TextFile(text, encodings[text], file.path).lines(rows.add_error))
        for line_number, line in lines if width is None else unwrap(lines, width):
            if line.strip():
                add_captions(rows, [image], line, line_number, None)
            else:
                rows.skip(line_number, "blank line")
        if len(rows.captions) == captions and all(reason == "blank line" for *_, reason in rows.skipped[skipped:]):
            del rows.skipped[skipped:]
            rows.skip(1, "no caption")
    front_matter.note()
    if rows.captions and all(map(_BOX.fullmatch, rows.captions)):
        raise CorpusError(
            f"{file.path}: the text files beside the images are box labels (such as {rows.captions[0]!r}), "
            "not captions; pass a file of captions."
        )
    rows.encoding = ", ".join(sorted({name for name in encodings.values() if name}))
    if others := [(image, name) for image, name in named.items() if _base(name) != _base(image)]:
        image, name = others[0]
        note = f"such as {name!r} beside {os.path.basename(image)!r}"
        note = f"JSON files that name another image than the one beside them, which is read ({note})"
        rows.notes[note] = len(others)
    if width is not None:
        rows.notes[f"text files whose lines are broken after {width} characters, joined"] = len(image_of)


def _explain_no_pairs(folder: Path, rows: CaptionRows) -> None:
    """Raises the error about a folder of which no text file can be read."""
    shared = [text for text, _, reason in rows.skipped if reason == _SHARED_NAME]
    if shared:
        raise CorpusError(
            f"{shared[0]}: several images have the name of the text file ({len(shared)} text files in all); move those "
            "without captions to another folder, or add the suffix of the image to the name, such as x.jpg.txt."
        )
    if suffix := rows.options.text_suffix:
        found = ", ".join(f"{name} ({count})" for name, count in sidecar_suffixes(folder, True).most_common())
        raise CorpusError(
            f"{folder}: no image has a {full_suffix(suffix)} file of the same name (text_suffix, --text-suffix); "
            + (f"text files beside images: {found}." if found else "there are no text files beside images.")
        )


def _note_other_suffixes(rows: CaptionRows, suffixes: Counter[str]) -> None:
    """Counts text files of other suffixes beside the images, unless the user has chosen a suffix."""
    found = [(suffix, count) for suffix, count in suffixes.most_common() if suffix not in TEXT_SUFFIXES]
    if found and not rows.options.text_suffix:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in found[:5])
        advice = f"text_suffix (--text-suffix) {found[0][0]} reads these instead"
        note = f"text files beside images, not read ({kinds}; {advice})"
        rows.notes[note] += sum(count for _, count in found)


def _note_two_suffixes(rows: CaptionRows, images_with_several: int, suffixes: Counter[str]) -> None:
    """Counts images with text files of two suffixes."""
    if images_with_several:
        choice = min(suffixes, key=lambda suffix: (suffixes[suffix], suffix))
        kinds = " and ".join(sorted(suffixes))
        note = f"images with {kinds} files, which are both read (text_suffix (--text-suffix) {choice} reads one kind)"
        rows.notes[note] += images_with_several


def _base(name: str) -> str:
    """The name of a file without folders and suffix, for comparisons."""
    return stem(re.split(r"[/\\]", name)[-1].strip()).casefold()


def _read_json(text: TextFile, image: str, rows: CaptionRows) -> str | None:
    """Reads the captions of an image from an object beside it; returns the file name that the object has for it."""
    try:
        entry = load_json(text.text())
    except (ValueError, RecursionError) as error:
        rows.add_error(1, "not valid JSON", f"not valid JSON ({str(error)[:80]}); fix the file")
        return None
    entry = entry if isinstance(entry, dict) else {"caption": entry}
    names = (str(value) for key, value in entry.items() if image_rank(key) is not None and is_file_name(value))
    name = next(names, None)
    entry = {key: value for key, value in entry.items() if image_rank(key) is None and not is_image_name(value)}
    EntryReader(rows, [entry]).add(1, entry, image)
    return name


def names_images(folder: Path, files: ImageFiles | None) -> bool:
    """Whether the text files of a folder without images have the names of images elsewhere."""
    if not files or any(suffix_of(name) for _, names in walk(folder) for name in names):
        return False
    texts = [os.path.splitext(name)[0] for _, names in walk(folder) for name in text_files(names)]
    return bool(texts) and files.count(texts) >= 0.9 * len(texts)


def _pair_texts_with_images(folder: Path, rows: CaptionRows) -> dict[Path, str]:
    """The image of each text file; files without a counterpart are counted in `rows`."""
    image_of: dict[Path, str] = {}
    images_without_text = images_with_several = 0
    suffixes, unreadable, others, undecoded = (Counter[str]() for _ in range(4))
    differing, numbers = dict[str, str](), dict[str, str]()
    decoded = FolderNames(str(folder))
    if is_apart := names_images(folder, rows.options.files):
        rows.notes["folders of text files only, read as captions of the images with their names"] = 1
    skipped: list[str] = []
    for prefix, files in walk(folder, skipped):
        images, texts = images_by_stem(files, prefix, decoded), text_files(files, rows.options.text_suffix)
        others.update(count_sidecars(files, prefix, decoded))
        foreign = [
            name for name in files if name.endswith(".json") and shared_stem(name, prefix, decoded) not in images
        ]
        if foreign and not prefix:
            rows.notes[f"JSON files beside the images, not read ({', '.join(foreign)[:100]})"] = len(foreign)
        image_files = {name: matches[0] for name, matches in images.items() if len(matches) == 1}
        stem_of = {name: shared_stem(name, prefix, decoded, rows.options.text_suffix) for name in texts}
        similar = similar_stems(stem_of, images)
        numbered = numbered_stems(stem_of | similar, images)
        stem_of |= similar | numbered
        differing |= {prefix + text: os.path.basename(images[name][0]) for text, name in similar.items()}
        numbers |= {prefix + text: os.path.basename(images[name][0]) for text, name in numbered.items()}
        texts_of = Counter(image_files.get(stem_of[name]) for name in texts if name not in numbered)
        images_with_several += sum(count > 1 and image is not None for image, count in texts_of.items())
        suffixes.update(os.path.splitext(name)[1].lower() for name in texts if stem_of[name] in images)
        with_text = {image for name in texts for image in images.get(stem_of[name], [])}
        pictures = [name for name in files if suffix_of(name)]
        images_without_text += sum(
            is_readable(name) and decoded.decode(prefix + name) not in with_text for name in pictures
        )
        unreadable.update(suffix_of(name) for name in pictures if not is_readable(name))
        undecoded.update(filter(None, (decoded.encoding_of(prefix + name) for name in pictures)))
        if is_apart:
            image_of.update({folder / prefix / name: stem_of[name] for name in texts})
            continue
        for name in texts:
            matches = images.get(stem_of[name], [])
            if len(matches) == 1:
                image_of[folder / prefix / name] = matches[0]
            else:
                reason = _SHARED_NAME if matches else "text file with no image of the same name"
                rows.skipped.append((str(folder / prefix / name), 1, reason))
    _note_other_suffixes(rows, others)
    for note, texts in ((_SIMILAR, differing), (_NUMBERED, numbers)):
        if texts:
            rows.notes[note.format(*next(iter(texts.items())))] = len(texts)
    if images_without_text:
        rows.notes["images without a text file"] += images_without_text
    if left_out := list_left_out(str(folder), skipped):
        rows.notes[left_out_note(left_out)] += len(left_out)
    if text := explain_unreadable(unreadable):
        rows.notes[text] += unreadable.total()
    rows.notes.update({undecoded_note(encoding): count for encoding, count in undecoded.items()})
    _note_two_suffixes(rows, images_with_several, suffixes)
    return image_of


def _guess_encodings(texts: Iterable[Path]) -> dict[Path, str | None]:
    """The encoding of each text file.

    UTF-8 and UTF-16 are certain. A single caption in another encoding is too short to detect, so the others are
    detected together.
    """
    encodings, pool = {}, b""
    for text in texts:
        head = read_head(text)
        encodings[text] = guess_encoding(head)
        if encodings[text] not in _CERTAIN_ENCODINGS and len(pool) < HEAD_BYTES:
            pool += head[:1024].rstrip() + b"\n"
    common = guess_encoding(pool)
    return {text: name if name in _CERTAIN_ENCODINGS else common for text, name in encodings.items()}


def _advise_encoding(folder: Path, encodings: dict[Path, str | None]) -> str:
    """What to do about text files in an unknown encoding; a named one would be that of all files."""
    unknown = [text for text, name in encodings.items() if name is None]
    if any(name is not None and not read_head(text).isascii() for text, name in encodings.items()):
        name = suggest_encoding([read_head(text) for text in unknown[:_MAX_SAMPLES]])
        return f"save these files as UTF-8, like the others{f' (they seem to be in {name})' if name else ''}"
    return encoding_advice(folder, [read_head(text) for text in unknown[:_MAX_SAMPLES]])
