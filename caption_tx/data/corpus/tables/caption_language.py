"""Columns whose captions are in the language of the model, beside others with weaker evidence than their content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_sentence, share, typical_length

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_LATIN = re.compile("[A-Za-z]{2}")
_MOST, _FEW = 0.9, 0.1
_SENTENCE = 6  # Chinese characters, or 15 other letters

Values = Callable[[int], list[Any]]
Groups = Mapping[tuple[str, int], list[int]]


def prefer_language(
    named: Groups, others: Groups, values: Values, language: str | None, unit: tuple[Sequence[str], str]
) -> tuple[Groups, dict[str, int]]:
    """The columns of captions in the language of the model, with a note, if weakly named ones are in the other one.

    Args:
        named: columns with weak names for captions, such as alt and title.
        others: columns with sentences and without a name for captions, such as refs.
        values: sample values of a column, by its position.
        language: "zh" or "en"; None chooses nothing.
        unit: the names of all columns, and "column" or "key".
    """
    if language is None or not named:
        return named, {}
    in_language = {key for key, found in named.items() if _are_in(values, found, language, _FEW)}
    if in_language:
        fitting = {key: named[key] for key in in_language if _are_in(values, named[key], language, _MOST)}
    else:
        fitting = {key: found for key, found in others.items() if _are_sentences(values, found, language)}
    if len(fitting) != 1 or fitting == named:
        return named, {}
    names, kind = unit
    chosen = list_names([names[at] for at in next(iter(fitting.values()))])
    left = [names[at] for key, found in named.items() if key not in fitting for at in found]
    what = "Chinese" if language == "zh" else "English"
    advice = f"caption_column (--caption-column) {left[0]} reads the other"
    note = f"captions read from the {kind} {chosen!r}, since they are in {what} and {list_names(left)!r} is not"
    return fitting, {f"{note} ({advice})": 1}


def _are_in(values: Values, positions: Sequence[int], language: str, least: float) -> bool:
    return all(share(values(at), lambda value: _is_in(value, language)) > least for at in positions)


def _are_sentences(values: Values, positions: Sequence[int], language: str) -> bool:
    """Whether columns without a name for captions hold different sentences in a language."""
    texts = [" ".join(_texts(value)) for at in positions for value in values(at)]
    texts = [text for text in texts if text]
    is_varied = len(set(texts)) > 0.5 * len(texts)
    return is_varied and typical_length(texts) >= _SENTENCE and _are_in(values, positions, language, _MOST)


def _is_in(value: Any, language: str) -> bool:
    """Whether the text of a value is in a language, as far as its letters say; lists of words are joined."""
    text = " ".join(_texts(value))
    has_han = _HAN.search(text) is not None
    return is_sentence(text) and (has_han if language == "zh" else not has_han and _LATIN.search(text) is not None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        yield from _texts(item)
