"""A folder: the one caption file in it, or images with texts of the same names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from caption_tx.data.corpus.image_names import stem
from caption_tx.data.corpus.records import Records
from caption_tx.data.corpus.text_files import HEAD_BYTES, TextFile, guess_encoding, read_head
from caption_tx.data.images.decoding import IMAGE_SUFFIXES
from caption_tx.errors import CorpusError

TEXT_SUFFIXES = (".txt", ".caption")
_TELLING = ("utf-8", "utf-16", "utf-16-le", "utf-16-be")


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below, "" first, and its files in the order of names, but hidden ones; one listing each."""

    def refuse(error: OSError) -> None:
        raise CorpusError(f"Cannot look into {error.filename or folder}: {error.strerror}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(place, folder).replace(os.sep, "/")
        yield "" if below == "." else f"{below}/", sorted(name for name in files if not name.startswith("."))


def _pairs(files: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The images of each stem, and the texts."""
    images: dict[str, list[str]] = {}
    for file in files:
        if file.lower().endswith(IMAGE_SUFFIXES):
            images.setdefault(stem(file), []).append(file)
    return images, [file for file in files if file.lower().endswith(TEXT_SUFFIXES)]


def caption_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder, and of its TextData (as Flickr30k-CN has it), that may be caption files.

    A text that has an image beside it is no caption file.

    Raises:
        CorpusError: the folder cannot be listed.
    """
    found = []
    for place in (folder, folder / "TextData"):
        if place != folder and not place.is_dir():
            continue
        try:
            with os.scandir(place) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
        except OSError as error:
            raise CorpusError(f"Cannot look into {place}: {error.strerror}.") from error
        images = _pairs(names)[0]
        found += [
            place / name
            for name in names
            if name.lower().endswith(suffixes) and os.path.splitext(name)[0] not in images
        ]
    return found


def has_pairs(folder: Path) -> bool:
    """Whether an image somewhere below has a text of its name beside it."""
    for _, files in _walk(folder):
        images, texts = _pairs(files)
        if any(os.path.splitext(text)[0] in images for text in texts):
            return True
    return False


def read_folder(file: TextFile, records: Records) -> None:
    """Images and texts of the same names; one caption a line, `lines` counting within each text."""
    texts: dict[Path, str] = {}
    bare = 0
    for below, files in _walk(file.path):
        images, names = _pairs(files)
        bare += sum(map(len, images.values())) - sum(
            len(images.get(short, ())) for short in {os.path.splitext(name)[0] for name in names}
        )
        for name in names:
            owners = images.get(os.path.splitext(name)[0], [])
            if len(owners) == 1:
                texts[file.path / below / name] = below + owners[0]
            else:
                reason = "a text with several images of its name" if owners else "a text without an image of its name"
                records.skipped.append((str(file.path / below / name), 1, reason))
    encodings = {text: file.encoding for text in texts} if file.encoding else _encodings(texts)
    for text, image in texts.items():
        records.begin(str(text))
        if encodings[text] is None:
            records.bad(1, "an encoding that was not recognized", f"{_UNKNOWN} ('{file.path}:encoding=gb18030')")
            continue
        captions, skipped = len(records.captions), len(records.skipped)
        for number, line in TextFile(text, encodings[text], file.path).lines(records.bad):
            records.add(image if line.strip() else "", line, number)
        if len(records.captions) == captions and all(why == "blank line" for *_, why in records.skipped[skipped:]):
            del records.skipped[skipped:]
            records.skip(1, "no caption")
    if bare:
        records.notes["images without a text"] += bare
    records.encoding = ", ".join(sorted({name for name in encodings.values() if name}))


_UNKNOWN = "not UTF-8, and no other encoding was recognized; name it"


def _encodings(texts: Iterable[Path]) -> dict[Path, str | None]:
    """The encoding of each text. UTF-8 tells itself; one caption in another is a short sample, so they are pooled."""
    found, pool = {}, b""
    for text in texts:
        head = read_head(text)
        found[text] = guess_encoding(head)
        if found[text] not in _TELLING and len(pool) < HEAD_BYTES:
            pool += head[:1024].rstrip() + b"\n"
    common = guess_encoding(pool)
    return {text: name if name in _TELLING else common for text, name in found.items()}
