"""The file formats of raw attention maps: compressed NPZ, and JSON for other languages."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically
from caption_tx.inference.attention.pooling import AXES, CELL_AXES, SELF_AXES
from caption_tx.inference.attention.words import ShownWord, word_log_probabilities

DIGITS = 6
"""Digits of a number in JSON, about as many as float32 has."""

_REQUIRED = ("scores", "axes", "words", "log_probabilities", "caption", "image")


def write_output(path: str | Path, data: bytes | str) -> None:
    """Writes a file atomically.

    Raises:
        CaptionTxError: the file cannot be written.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CaptionTxError(f"Cannot write {path}: {error.strerror}.") from error


def encode_npz(fields: Mapping[str, Any]) -> bytes:
    """A compressed NPZ without pickled objects.

    The arrays are named after the attributes of `AttentionMaps`. `axes`, `self_axes` and `cell_axes` name the axes of
    `scores`, `self_scores` and `cell_log_probabilities`; `shown` (W,) has the texts of the shown words, and
    `shown_of_token` (T,) the index of each token's shown word, or -1. What the maps do not have is missing, with the
    names of its axes.

    Args:
        fields: the attributes of an `AttentionMaps`, by name; `picture` is not saved.
    """
    shown_of_token = np.full(len(fields["words"]), -1, np.int64)
    for index, word in enumerate(fields["shown"]):
        shown_of_token[list(word.tokens)] = index
    arrays = {
        "scores": fields["scores"],
        "axes": np.array(AXES),
        "words": np.array(fields["words"], dtype=str),
        "log_probabilities": fields["log_probabilities"],
        "unknown": np.array(fields["unknown"], bool),
        "shown": np.array([word.text for word in fields["shown"]], dtype=str),
        "shown_of_token": shown_of_token,
        **{name: np.array(fields[name], dtype=str) for name in ("caption", "image", "language")},
    }
    if fields["self_scores"] is not None:
        arrays |= {"self_scores": fields["self_scores"], "self_axes": np.array(SELF_AXES)}
    if fields["cell_log_probabilities"] is not None:
        arrays |= {
            "cell_log_probabilities": fields["cell_log_probabilities"],
            "cell_axes": np.array(CELL_AXES),
        }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def encode_json(fields: Mapping[str, Any]) -> str:
    """A JSON document on one line; numbers have `DIGITS` digits.

    `scores`, `self_scores` and `cell_log_probabilities` are nested lists, with the names of their axes and their
    shapes. Each entry of `shown` has the text of the word, the positions of its tokens and its log-probability.

    Args:
        fields: the attributes of an `AttentionMaps`, by name; `picture` is not saved.
    """
    values = word_log_probabilities(fields["shown"], fields["log_probabilities"]).tolist()
    document: dict[str, Any] = {
        **{name: fields[name] for name in ("image", "caption", "language")},
        "log_probability": round(float(fields["log_probabilities"].sum()), DIGITS),
        "tokens": list(fields["words"]),
        "log_probabilities": _nested_lists(fields["log_probabilities"]),
        "unknown": list(fields["unknown"]),
        "shown": [
            {"text": word.text, "tokens": list(word.tokens), "log_probability": round(value, DIGITS)}
            for word, value in zip(fields["shown"], values, strict=True)
        ],
        "axes": list(AXES),
        "shape": list(fields["scores"].shape),
        "scores": _nested_lists(fields["scores"]),
    }
    if fields["self_scores"] is not None:
        own = np.asarray(fields["self_scores"])
        document |= {"self_axes": list(SELF_AXES), "self_shape": list(own.shape), "self_scores": _nested_lists(own)}
    if fields["cell_log_probabilities"] is not None:
        cells = np.asarray(fields["cell_log_probabilities"])
        document |= {"cell_axes": list(CELL_AXES), "cell_log_probabilities": _nested_lists(cells)}
    return json.dumps(document, ensure_ascii=False) + "\n"


def _nested_lists(values: np.ndarray) -> Any:
    if values.ndim:
        return [_nested_lists(value) for value in values]
    return float(f"{values.item():.{DIGITS}g}")


def read_npz(path: str | Path) -> dict[str, Any]:
    """The attributes of an `AttentionMaps`, by name, from the file that `encode_npz` describes.

    Raises:
        CaptionTxError: the file is missing or not an NPZ, an array is missing, or the axes have another order.
    """
    try:
        # numpy leaves a file that it opened itself open when the archive is damaged.
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CaptionTxError(f"{path} contains one bare array instead of attention maps.")
            missing = [name for name in _REQUIRED if name not in archive.files]
            if missing:
                raise CaptionTxError(f"{path} contains no attention maps: {', '.join(missing)} missing.")
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise CaptionTxError(f"Cannot read the attention maps in {path}: {error.strerror or error}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CaptionTxError(f"{path} is not an NPZ file of attention maps: {error}.") from error
    for name, expected in (("axes", AXES), ("self_axes", SELF_AXES), ("cell_axes", CELL_AXES)):
        axes = tuple(str(axis) for axis in arrays.get(name, expected))
        if axes != expected:
            raise CaptionTxError(f"{path} has the axes {axes}, expected {expected}.")
    shown_of_token = arrays.get("shown_of_token", np.zeros(0))
    return {
        "scores": arrays["scores"],
        "words": tuple(str(word) for word in arrays["words"]),
        "log_probabilities": arrays["log_probabilities"],
        "image": str(arrays["image"]),
        "caption": str(arrays["caption"]),
        "self_scores": arrays.get("self_scores"),
        "cell_log_probabilities": arrays.get("cell_log_probabilities"),
        "unknown": tuple(arrays.get("unknown", ())),
        "shown": tuple(
            ShownWord(str(text), tuple(np.flatnonzero(shown_of_token == index).tolist()))
            for index, text in enumerate(arrays.get("shown", ()))
        ),
        "language": str(arrays.get("language", "")),
    }
