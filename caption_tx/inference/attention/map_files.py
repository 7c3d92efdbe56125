"""Raw attention maps as files: NPZ, which is read back, and JSON for every other language. No TensorFlow."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically
from caption_tx.inference.attention.maps import AttentionMaps, ShownWord
from caption_tx.inference.attention.pooling import AXES, SELF_AXES

_PARTS = ("scores", "axes", "words", "log_probabilities", "caption", "image")
_DIGITS = 6


def to_npz(maps: AttentionMaps) -> bytes:
    """A compressed NPZ without pickle: everything but the picture.

    `scores` with its `axes`, `words`, `log_probabilities`, `unknown`, `caption`, `image`, `language`; the
    shown words as `shown` (W,) and `shown_of_token` (T,), -1 for a token that is not shown; and where there
    is self-attention, `self_scores` with its `self_axes`.
    """
    shown_of_token = np.full(len(maps.words), -1, np.int64)
    for number, word in enumerate(maps.shown):
        shown_of_token[list(word.tokens)] = number
    values = {
        "scores": maps.scores,
        "axes": np.array(AXES),
        "words": np.array(maps.words, dtype=str),
        "log_probabilities": maps.log_probabilities,
        "unknown": np.array(maps.unknown, bool),
        "shown": np.array([word.text for word in maps.shown], dtype=str),
        "shown_of_token": shown_of_token,
        "caption": np.array(maps.caption, dtype=str),
        "image": np.array(maps.image, dtype=str),
        "language": np.array(maps.language, dtype=str),
    }
    if maps.self_scores is not None:
        values |= {"self_scores": maps.self_scores, "self_axes": np.array(SELF_AXES)}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **values)
    return stream.getvalue()


def save_npz(maps: AttentionMaps, path: str | Path) -> None:
    """Writes `to_npz`, whole or not at all.

    Raises:
        CaptionTxError: the file cannot be written.
    """
    write_result(path, to_npz(maps))


def write_result(path: str | Path, data: bytes | str) -> None:
    """Writes a file whole or not at all.

    Raises:
        CaptionTxError: it cannot be written.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CaptionTxError(f"Cannot write {path}: {error.strerror}.") from error


def _numbers(values: np.ndarray) -> Any:
    """Nested lists, of as many digits as float32 holds."""
    if values.ndim:
        return [_numbers(value) for value in values]
    return float(f"{values.item():.{_DIGITS}g}")


def to_document(maps: AttentionMaps) -> dict[str, Any]:
    """Everything but the picture, ready for JSON; numbers have six digits.

    `scores` and `self_scores` are nested lists beside their `axes` and `shape`; a shown word has its text,
    the places of its tokens and its log-probability.
    """
    words = zip(maps.shown, maps.shown_log_probabilities, strict=True)
    document: dict[str, Any] = {
        "image": maps.image,
        "caption": maps.caption,
        "language": maps.language,
        "log_probability": round(maps.log_probability, _DIGITS),
        "tokens": list(maps.words),
        "log_probabilities": _numbers(np.asarray(maps.log_probabilities)),
        "unknown": list(maps.unknown),
        "shown": [
            {"text": word.text, "tokens": list(word.tokens), "log_probability": round(float(value), _DIGITS)}
            for word, value in words
        ],
        "axes": list(AXES),
        "shape": list(maps.scores.shape),
        "scores": _numbers(maps.scores),
    }
    if maps.self_scores is not None:
        own = np.asarray(maps.self_scores)
        document |= {"self_axes": list(SELF_AXES), "self_shape": list(own.shape), "self_scores": _numbers(own)}
    return document


def to_json(maps: AttentionMaps) -> str:
    """`to_document` as text."""
    return json.dumps(to_document(maps), ensure_ascii=False) + "\n"


def load_npz(path: str | Path) -> AttentionMaps:
    """The maps that `save_npz` wrote.

    Raises:
        CaptionTxError: the file is missing, is no NPZ, lacks a part, or has its axes in another order.
    """
    try:
        # An own stream, because numpy leaves its one open when the archive is damaged.
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CaptionTxError(f"{path} holds no attention maps but one bare array.")
            missing = [name for name in _PARTS if name not in archive.files]
            if missing:
                raise CaptionTxError(f"{path} holds no attention maps: {', '.join(missing)} missing.")
            parts = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise CaptionTxError(f"Cannot read the attention maps in {path}: {error.strerror or error}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CaptionTxError(f"{path} is not an NPZ file of attention maps: {error}.") from error
    for name, expected in (("axes", AXES), ("self_axes", SELF_AXES)):
        axes = tuple(str(axis) for axis in parts.get(name, expected))
        if axes != expected:
            raise CaptionTxError(f"{path} has the axes {axes}, expected {expected}.")
    places = parts.get("shown_of_token", np.zeros(0))
    shown = tuple(
        ShownWord(str(text), tuple(np.flatnonzero(places == number).tolist()))
        for number, text in enumerate(parts.get("shown", ()))
    )
    return AttentionMaps(
        scores=parts["scores"],
        words=tuple(str(word) for word in parts["words"]),
        log_probabilities=parts["log_probabilities"],
        image=str(parts["image"]),
        caption=str(parts["caption"]),
        self_scores=parts.get("self_scores"),
        unknown=tuple(parts.get("unknown", ())),
        shown=shown,
        language=str(parts.get("language", "")),
    )
