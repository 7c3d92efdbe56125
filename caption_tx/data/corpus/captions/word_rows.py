"""Words in rows or columns of their own -> captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caption_tx.data.corpus.captions.pre_segmented import are_words, join_tokens
from caption_tx.data.corpus.captions.word_pieces import PIECES_JOINED, has_pieces, join_caption, join_pieces
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.word_columns import WordRow, Words, describe_series, find_series, split_number
from caption_tx.data.corpus.values.value_kinds import is_filled
from caption_tx.data.corpus.values.words import is_word, repeat_like_labels

_MIN_SHARE = 0.9
_HALF = 0.5
_MAX_KEYS = 200
_BETWEEN = 0.001


def join_series(rows: CaptionRows, words: Words | None, values: list[Any]) -> list[Any]:
    """The values of numbered columns of words as one caption; as they are if most of them are no words.

    Captions that were joined before are counted.
    """
    if words is None:
        for value in values:
            if isinstance(value, JoinedWords):
                rows.notes.update(value.notes)
        return values
    texts = [str(value).strip() for value in values if is_filled(value) and value == value]
    if not _are_mostly_words(texts):
        return values
    rows.notes[_joined_note(words.name)] += 1
    return [join_caption(rows, texts)]


class JoinedWords(str):
    """A caption that was joined from words in keys of an entry, and the notes about it."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordKeys:
    """Numbered keys of JSON entries that hold a word each, such as word1 to word9.

    Attributes:
        base: their name without its number.
        note: about the captions that are joined.
    """

    base: str
    note: str

    @classmethod
    def find(cls, entries: Sequence[Mapping[str, Any]]) -> WordKeys | None:
        """The numbered keys of a sample of entries that hold words; entries lack those after their last word."""
        names = list(dict.fromkeys(key for entry in entries for key in entry))
        if len(names) > _MAX_KEYS:  # keys are data
            return None
        found = find_series(names, lambda at: [entry.get(names[at]) for entry in entries], None)
        if not found or (numbered := split_number(names[found[0]], 0)) is None:
            return None
        return cls(numbered[0], _joined_note(describe_series([names[at] for at in found], "key")))

    def join(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry with the key caption instead of the keys of its words."""
        numbered = ((split_number(key, at), key) for at, key in enumerate(entry))
        keys = sorted((match[1], key) for match, key in numbered if match and match[0] == self.base)
        texts = [str(entry[key]).strip() for _, key in keys if is_filled(entry[key])]
        if not texts or "caption" in entry or not _are_mostly_words(texts):
            return entry
        dropped = {key for _, key in keys}
        rest = {key: value for key, value in entry.items() if key not in dropped}
        caption = JoinedWords(join_tokens(join_pieces(texts)))
        caption.notes = (self.note, PIECES_JOINED) if has_pieces(texts) else (self.note,)
        return {**rest, "caption": caption}


def _are_mostly_words(texts: Sequence[str]) -> bool:
    return bool(texts) and sum(map(is_word, texts)) >= _HALF * len(texts)


def _joined_note(name: str) -> str:
    """The note about captions that were joined from words in places with a name."""
    return f"captions joined from the words in {name}"


def record_word(
    rows: CaptionRows, words: Words | None, line: int, cells: Sequence[Any], image: tuple[list[str], str | None]
) -> bool:
    """Records the word of a row until the whole source is read; False if rows hold no word each.

    Args:
        rows: receives it.
        words: the columns of words, if there are any.
        line: line or row number, from 1.
        cells: the values of the row.
        image: the names of its image, and its split.
    """
    if words is None or words.order is None:
        return False
    word = cells[words.captions[0]]
    place = str(cells[words.order]).strip()
    sentence = tuple("" if cells[at] is None else str(cells[at]).strip() for at in words.sentences)
    above = rows.words[-1] if rows.words else None
    names = tuple(image[0])
    if sentence and not any(sentence) and above and above.images == names:  # merged cells
        sentence = above.sentence
    text = "" if word is None or word != word else str(word).strip()
    rows.words.append(WordRow(line, names, sentence, place, text, image[1], words.name))
    return True


def add_sentences(rows: CaptionRows) -> None:
    """Adds the captions whose words were recorded; each word is one if they form no sentences.

    Words form sentences if they are single words throughout that do not repeat like labels, and if their places differ
    within a sentence.
    """
    if not rows.words:
        return
    found = rows.words
    sentences = _sentences_of(found)
    if sentences is None or not _are_sentences(sentences):
        rows.notes[f"words in {found[0].read_from}, which form no sentences, read as captions"] += len(found)
        sentences = [[word] for word in found]
    else:
        rows.notes[_joined_note(found[0].read_from)] += len(sentences)
    for words in sentences:
        first = min(words, key=lambda word: word.line)
        caption = join_caption(rows, [word.text for word in words])
        for image in first.images:
            rows.add(image, caption, first.line, first.split)
    rows.words = []


def _sentences_of(words: list[WordRow]) -> list[list[WordRow]] | None:
    """The words of each sentence in order; None if places are no numbers."""
    places = _places_of(words)
    if places is None:
        return None
    are_named = len({(word.images, word.sentence, place) for word, place in zip(words, places, strict=True)})
    groups: dict[Any, list[tuple[float, WordRow]]] = {}
    number = 0
    for at, (word, place) in enumerate(zip(words, places, strict=True)):
        if at and (word.images != words[at - 1].images or place <= places[at - 1]):
            number += 1  # without a column of sentences, the order restarts with each
        key = word.sentence if are_named == len(words) else number
        groups.setdefault((word.images, key), []).append((place, word))
    ordered = [sorted(group, key=lambda pair: pair[0]) for group in groups.values()]
    distinct = sum(len({place for place, _ in group}) == len(group) for group in ordered)
    return [[word for _, word in group] for group in ordered] if distinct >= _MIN_SHARE * len(ordered) else None


def _places_of(words: list[WordRow]) -> list[float] | None:
    """The place of each word in its sentence, next to the word above if it has none; None if many have none."""
    places: list[float] = []
    for word in words:
        text = word.place.removesuffix(".0")
        places.append(int(text) if text.isdecimal() else (places[-1] if places else 0) + _BETWEEN)
    unknown = sum(place % 1 > 0 for place in places)
    return places if unknown <= (1 - _MIN_SHARE) * len(places) else None


def _are_sentences(sentences: list[list[WordRow]]) -> bool:
    texts = [[word.text for word in words if word.text] for words in sentences]
    return are_words(texts) and not repeat_like_labels([text for words in texts for text in words])
