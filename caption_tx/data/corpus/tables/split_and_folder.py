"""The columns of a table that hold the split, and the folders of images whose names another column has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import SPLIT_WORDS, could_be_split, normalize_name
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_split, share

_FOLDER_WORDS = ("folder", "directory", "dir", "subfolder", "subdir", "subdirectory", "foldername", "dirname")
_PATH_WORDS = ("path", "file_path", "filepath", "image_path", "路径", "文件路径", "图片路径", "存放路径", "路徑")
_FOLDER_PARTS = ("目录", "文件夹", "資料夾", "资料夹", "目錄", "文件夾", "相册", "相簿")
_LONGEST_FOLDER = 200


def select_split(names: Sequence[str], values: Callable[[int], list[Any]], taken: set[int]) -> int | None:
    """A column named split, or with another name for it and nothing but split names in it."""
    for position, name in enumerate(map(normalize_name, names)):
        if position not in taken and name in SPLIT_WORDS[:3]:
            return position
    for position, name in enumerate(map(normalize_name, names)):
        # A table without a header has numbers as names.
        is_named = could_be_split(name) or name.isdecimal()
        if position not in taken and is_named and share(values(position), is_split) == 1:
            return position
    return None


def select_folder(
    names: Sequence[str], values: Callable[[int], list[Any]], image: int, taken: set[int]
) -> tuple[int, str] | None:
    """A column of folders beside a column of file names: its position and its name.

    Example:
        >>> columns = {0: ["100NIKON", "101NIKON"], 1: ["1.jpg", "1.jpg"]}
        >>> select_folder(["目录", "文件名"], columns.get, image=1, taken={1})
        (0, '目录')
    """
    for position, name in enumerate(names):
        if position in taken or not _names_folders(name):
            continue
        found = [value for value in values(position) if value is not None and str(value).strip()]
        if found and all(map(_is_folder, found)) and share(values(image), _is_url) == 0:
            return position, str(name).strip()
    return None


def _names_folders(name: str) -> bool:
    key = normalize_name(str(name))
    return (
        key in _PATH_WORDS
        or any(word in _FOLDER_WORDS for word in key.split("_"))
        or any(part in key for part in _FOLDER_PARTS)
    )


def _is_folder(value: Any) -> bool:
    """Whether a value is a number or text that may be a path, but no file."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or is_image_name(value):
        return False
    text = str(value)
    return len(text) < _LONGEST_FOLDER and "\n" not in text and "://" not in text


def _is_url(value: Any) -> bool:
    return "://" in str(value)
