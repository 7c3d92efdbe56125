"""Text files beside images: which image a text file belongs to, by their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.names.name_variants import clean_name
from caption_tx.data.images.file_names import FolderNames
from caption_tx.data.images.suffixes import is_readable, suffix_of
from caption_tx.data.images.system_files import is_system_name
from caption_tx.errors import CorpusError

TEXT_SUFFIXES = (".txt", ".caption")
_OTHER_TEXT_SUFFIXES = (
    ".captions",
    ".cap",
    ".text",
    ".description",
    ".desc",
    ".prompt",
    ".md",
    ".lab",
    ".tags",
    ".json",
)
_SUFFIX_START = re.compile(r"[._-]")
_NUMBERED_SUFFIX = re.compile(r"[._-]\d+[._-]")
_NUMBERED = re.compile(r"(.+?)(?:[._ -]\d{1,2}|[ _]?\(\d{1,2}\))")
# IMG_1.jpg.supplemental-metadata(1).json of Google Takeout belongs to IMG_1(1).jpg.
_TAKEOUT = re.compile(r"(.+?)(\.\w{2,5})(?:\.sup[a-z-]*)?(\(\d+\))?\.json", re.IGNORECASE)


def walk(folder: Path, skipped: list[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yields (relative path, sorted file names) of a folder ("" first) and of all folders below.

    Files and folders that are hidden or of the system are left out; `skipped` receives them.
    """

    def fail(error: OSError) -> None:
        raise list_error(error.filename or folder, error) from error

    for parent, folders, files in os.walk(folder, onerror=fail):
        relative = os.path.relpath(parent, folder).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        if skipped is not None:
            skipped += [f"{prefix}{name}" for name in (*folders, *files) if is_system_name(name)]
        folders[:] = sorted(name for name in folders if not is_system_name(name))
        yield prefix, sorted(name for name in files if not is_system_name(name))


def list_error(folder: str | Path, error: OSError) -> CorpusError:
    """The error about a folder that cannot be listed."""
    return CorpusError(f"Cannot list the folder {folder}: {error.strerror}.")


def shared_stem(text: str, prefix: str, names: FolderNames, suffix: str | None = None) -> str:
    """The path that a text file shares with its image: `dog` for `dog.txt`, `dog.jpg` for `dog.jpg.txt`.

    `suffix` is the one that the user names, such as `_caption.txt`.
    """
    ending = full_suffix(suffix) if suffix else ""
    if (match := _TAKEOUT.fullmatch(text)) and suffix_of(match[1] + match[2]):
        return names.decode(f"{prefix}{match[1]}{match[3] or ''}{match[2]}")
    is_named = ending and text.lower().endswith(ending)
    return names.decode(prefix + (text[: -len(ending)] if is_named else os.path.splitext(text)[0]))


def full_suffix(suffix: str) -> str:
    """A suffix that the user names, which may begin with a sign other than a dot."""
    return suffix.lower() if suffix.startswith((".", "_", "-")) else f".{suffix.lower()}"


def text_files(files: list[str], suffix: str | None = None) -> list[str]:
    """Those of some files that are read beside images: .txt and .caption, or those with the suffix of the user."""
    suffixes = (full_suffix(suffix),) if suffix else TEXT_SUFFIXES
    return [file for file in files if file.lower().endswith(suffixes)]


def images_by_stem(files: list[str], prefix: str, names: FolderNames) -> dict[str, list[str]]:
    """The image files of each path, with and without their suffix.

    Pictures that cannot be read, such as the raw file beside a photograph, count only where no other has the name.
    """
    images: dict[str, list[str]] = {}
    for file in sorted(files, key=lambda file: not is_readable(file)):
        name = names.decode(prefix + file)
        if suffix_of(name):
            images[name] = [name]
            if is_readable(name) or stem(name) not in images:
                images.setdefault(stem(name), []).append(name)
    return images


def similar_stems(stem_of: dict[str, str], images: dict[str, list[str]]) -> dict[str, str]:
    """The stems of images for text files that differ from one in case, in spaces or in the form of its letters.

    An image that has a text file of its own name keeps it.
    """
    taken = {image for name in stem_of.values() for image in images.get(name, [])}
    alike: dict[str, list[str]] = {}
    for name, files in images.items():
        if not taken.intersection(files):
            alike.setdefault(clean_name(name).casefold(), []).append(name)
    found = {text: alike.get(clean_name(name).casefold(), []) for text, name in stem_of.items() if name not in images}
    return {text: names[0] for text, names in found.items() if len(names) == 1}


def numbered_stems(stem_of: dict[str, str], images: dict[str, list[str]]) -> dict[str, str]:
    """The stems of images for text files with a number after it: a caption each, as x_0.txt and x_1.txt beside x.jpg.

    Empty unless at least half of the images with text have such files. An image is left out if others have its name and
    a number: x_2.txt beside x.jpg and x_1.jpg may be the text of an image that is missing.
    """
    series = {match[1] for name in images if (match := _NUMBERED.fullmatch(stem(name)))}
    bases = {
        text: match[1] for text, name in stem_of.items() if name not in images and (match := _NUMBERED.fullmatch(name))
    }
    found = {text: name for text, name in bases.items() if len(images.get(name, [])) == 1 and stem(name) not in series}
    numbered = {images[name][0] for name in found.values()}
    with_text = numbered.union(*(images.get(name, []) for name in stem_of.values()))
    return found if 2 * len(numbered) >= len(with_text) else {}


def sidecar_suffixes(folder: Path, with_usual: bool = False, is_deep: bool = True) -> Counter[str]:
    """The suffixes of other text files with the name of an image, such as .cap or _caption.txt, and their counts.

    `with_usual` includes the suffixes that are read without `--text-suffix`; `is_deep` includes the folders below.
    """
    suffixes: Counter[str] = Counter()
    names = FolderNames(str(folder))
    for prefix, files in walk(folder):
        suffixes.update(count_sidecars(files, prefix, names))
        if not is_deep:
            break
    for suffix in () if with_usual else TEXT_SUFFIXES:
        del suffixes[suffix]
    return suffixes


def find_xmp(folder: Path) -> list[str]:
    """The .xmp files of a folder that have the name of an image, as programs for photographs write their metadata."""
    prefix, files = next(walk(folder), ("", []))
    names = FolderNames(str(folder))
    images = images_by_stem(files, prefix, names)
    return [file for file in files if file.lower().endswith(".xmp") and shared_stem(file, prefix, names) in images]


def count_sidecars(files: list[str], prefix: str, names: FolderNames) -> Counter[str]:
    """The suffixes of the text files of one folder that have the name of an image."""
    wanted = (*_OTHER_TEXT_SUFFIXES, *TEXT_SUFFIXES)
    texts = [name for name in files if name.lower().endswith(wanted)]
    if not texts or not any(map(suffix_of, files)):
        return Counter()
    images = images_by_stem(files, prefix, names)
    return Counter(filter(None, (_sidecar_suffix(name, prefix, names, images) for name in texts)))


def _sidecar_suffix(text: str, prefix: str, names: FolderNames, images: dict[str, list[str]]) -> str | None:
    """What a text file has after the name of an image."""
    if _TAKEOUT.fullmatch(text) and shared_stem(text, prefix, names) in images:
        return ".json"
    for match in reversed(list(_SUFFIX_START.finditer(text))):
        suffix = text[match.start() :].lower()
        if names.decode(prefix + text[: match.start()]) in images:
            return None if _NUMBERED_SUFFIX.match(suffix) else suffix
    return None
