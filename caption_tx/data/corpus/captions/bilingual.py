"""Captions that hold a Chinese and an English sentence, of which the one in the language of the model is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.text.dictionary_pinyin import is_pinyin

_MIN_STRONG, _MIN_ALL, _MIN_REPORTED = 0.5, 0.8, 0.05
_MIN_DISTINCT = 0.4
_STRONG_WORDS = 3
_COMMON = frozenset(("A", "AN", "THE", "IS", "ARE", "ON", "WITH", "OF"))
_HAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*")
_NO_LATIN = re.compile(r"[^A-Za-z]*\Z")
_NAMES = "中文|汉语|漢語|英文|英语|英語|原文|译文|譯文|翻译|翻譯|zh(?:-cn)?|cn|chinese|en(?:-us)?|eng|english"
_LABEL = re.compile(
    rf"(?:^|(?<=[\s|/。．.!！?？;；,，]))(?:[(（\[【]\s*)?(?:{_NAMES})(?:描述|版|标题|caption)?"
    r"(?:\s*[)）\]】]\s*[:：]?|\s*[:：])\s*",
    re.IGNORECASE,
)
# The group is punctuation, which stays with the text before it.
_SEPARATOR = re.compile(
    r"\s*(?:([。！？!?…；;]+[”’\"』」）)]*|(?<=\w)(?:[.,](?=\s|[^\x00-\xff])|，)|(?<=\w)\.$)"
    r"|(?<=[”\"』」’])(?=[“\"『「‘])|\n+|\t+|\\n|<br\s*/?>|[/|｜／]+|&&+|[（(\[【{]|[)）\]】}]|(?<=\s)[-–—~](?=\s)|—+|[:：]|\u3000+)\s*",
    re.IGNORECASE,
)
_FOREIGN = re.compile(  # neither Chinese nor English
    r"(?:https?://|www\.)[!-~]+|[\w.+-]+@[\w.-]+|<(?!br\b)[^<>]*>|[\w-]+\.(?:jpe?g|png|gif|com|cn|org|net)\b",
    re.IGNORECASE | re.ASCII,
)
_BESIDE = re.compile(r"\s*[-–—~:：,，]*\s*")
_SIGNS = " \t\n\r\u3000/|｜／\\<>()（）[]【】{}-–—~:：,，、;；&"
_BRACKETS = " ()（）[]【】{}"
_NAME_BEHIND = re.compile(r"(?:[A-Za-z0-9]+[A-Z][A-Za-z0-9]*)(?=\s)")
_NUMBER_OF_NEXT = re.compile(r"(?<=[\s。.!！?？])[(（]?[2-9][.、)）]\Z")
_PAIRS = ("“”", '""', "「」", "『』", "‘’")
_QUOTES = "\"'“‘「『《«"


@dataclass(frozen=True)
class Halves:
    """The two languages of a caption.

    Attributes:
        chinese, english: the text in each.
        is_strong: whether the English text surely is one: several words, not all of which begin with a capital letter.
    """

    chinese: str
    english: str
    is_strong: bool


def split_languages(caption: str) -> Halves | None:
    """The Chinese and the English text that a caption consists of, or None.

    Names within a Chinese text (iPhone, NBA) belong to it.

    Example:
        >>> split_languages("一只狗在草地上跑。A dog runs on the grass.")
        Halves(chinese='一只狗在草地上跑。', english='A dog runs on the grass.', is_strong=True)
        >>> split_languages("一个人在看NBA。")
    """
    if caption.isascii() or _NO_LATIN.match(caption) or not _HAN.search(caption):
        return None
    kept = dict(zip(_FOREIGN.findall(caption), map(chr, range(0xE000, 0xF8FF)), strict=False))
    for text, sign in kept.items():
        caption = caption.replace(text, sign)
    runs = _runs(_pieces(_LABEL.sub("\n", caption)))
    has_strong = any(kind == "en" and _is_strong(_joined(pieces)) for kind, pieces in runs)
    if has_strong:  # shorter Latin texts are names within the Chinese text
        runs = _runs(
            replace(piece, language=kind if _is_strong(_joined(pieces)) else "zh")
            for kind, pieces in runs
            for piece in pieces
        )
    chinese, english = (_text_of([pieces for kind, pieces in runs if kind == language]) for language in ("zh", "en"))
    for text, sign in kept.items():
        chinese, english = chinese.replace(sign, text), english.replace(sign, text)
    return Halves(chinese, english, has_strong) if chinese and english and _HAN.search(chinese) else None


@dataclass(frozen=True)
class _Piece:
    """A text between separators.

    Attributes:
        language: "zh", "en", or "" for numbers.
        separator: what follows the text.
        punctuation: the part of it that belongs to the text.
    """

    text: str
    language: str
    separator: str = ""
    punctuation: str = ""


def _pieces(caption: str) -> list[_Piece]:
    """The texts between separators. A number is in the language of the text before it, or else of the one after it."""
    found, start = [], 0
    for match in _SEPARATOR.finditer(caption):
        found += _cut(caption[start : match.start()], match[0], match[1] or "")
        start = match.end()
    found += _cut(caption[start:], "", "")
    language = next((piece.language for piece in found if piece.language), "")
    pieces = []
    for piece in found:
        language = piece.language or language
        pieces.append(replace(piece, language=language))
    return pieces


def _cut(text: str, separator: str, punctuation: str) -> list[_Piece]:
    """A text between separators; two if an English sentence precedes or follows Chinese."""
    han = [match.start() for match in _HAN.finditer(text)]
    if not han:
        return [_Piece(text, "en" if re.search("[A-Za-z]", text) else "", separator, punctuation)]
    name = _NAME_BEHIND.match(text, han[-1] + 1)  # 在看NBA Two people watch
    end = name.end() if name else han[-1] + 1
    head, tail = text[: han[0]], _BESIDE.sub("", text[end:], count=1)
    if _is_sentence(tail):
        return [_Piece(text[:end], "zh"), _Piece(tail, "en", separator, punctuation)]
    if _is_sentence(head):
        return [_Piece(head, "en"), _Piece(text[han[0] :], "zh", separator, punctuation)]
    return [_Piece(text, "zh", separator, punctuation)]


def _runs(pieces: Iterable[_Piece]) -> list[tuple[str, list[_Piece]]]:
    """Successive pieces in one language."""
    return [(language, list(items)) for language, items in groupby(pieces, lambda piece: piece.language)]


def _text_of(runs: list[list[_Piece]]) -> str:
    """The text of all runs in one language, between which a sign such as "/" is kept."""
    texts = []
    for pieces in runs:
        sign = "" if pieces[-1].punctuation else pieces[-1].separator.strip(_BRACKETS)
        texts += [_joined(pieces), sign or (" " if pieces[-1].language == "en" else "")]
    return "".join(texts[:-1])


def _joined(pieces: list[_Piece]) -> str:
    """The text of successive pieces, without what separates it from the other language."""
    text = "".join(piece.text + piece.separator for piece in pieces[:-1]) + pieces[-1].text + pieces[-1].punctuation
    text = _NUMBER_OF_NEXT.sub("", text.strip(_SIGNS)).strip(_SIGNS)
    return text[1:-1] if text[:1] + text[-1:] in _PAIRS and text[0] not in text[1:-1] else text


def _is_sentence(text: str) -> bool:
    """Whether a text right beside Chinese is English and no quotation."""
    return _is_strong(text) and not text.strip().startswith(tuple(_QUOTES))


def _is_strong(text: str) -> bool:
    words = _WORD.findall(text)
    if text.isupper():
        return len(words) > _STRONG_WORDS and not _COMMON.isdisjoint(words)
    return len(words) >= _STRONG_WORDS and any(word.islower() for word in words)


def keep_language(rows: CaptionRows) -> None:
    """Keeps the part in the language of the model if most captions of a source are in Chinese and English.

    `rows.notes` counts them, and captions that look like it in a source whose other captions do not.
    """
    halves = [split_languages(caption) for caption in rows.captions]
    found = [(row, item) for row, item in enumerate(halves) if item and (item.is_strong or _is_gloss(item))]
    if sum(is_pinyin(item.english, item.chinese) for _, item in found) > 0.5 * len(found):
        return
    strong = sum(item.is_strong for _, item in found)
    language = rows.options.language
    is_most = strong >= _MIN_STRONG * len(rows) or len(found) >= _MIN_ALL * len(rows)
    if not found or (not is_most and strong < _MIN_REPORTED * len(rows)):
        _note_titles(rows, [item for item in halves if item is not None])
        return
    if is_most and (repeated := _repeated_part([item for _, item in found])):
        rows.notes[
            f"captions in Chinese and English with a part that repeats ({repeated!r}), kept as they are; remove it"
        ] += len(found)
        return
    if not is_most or language is None:
        count = len(found) if is_most else strong
        advice = "" if language else "; language chooses a part"
        rows.notes[f"captions in Chinese and English, kept as they are{advice}"] += count
        return
    for row, item in found:
        rows.captions[row] = item.chinese if language == "zh" else item.english
    kept, other = ("Chinese", "en") if language == "zh" else ("English", "zh")
    advice = f"language (--language) {other} keeps the other"
    rows.notes[f"captions in Chinese and English, of which the {kept} part is kept ({advice})"] += len(found)


def _repeated_part(halves: list[Halves]) -> str:
    """The start of a text that is a label or a prompt, since it is the same in most captions; or ""."""
    chinese, english = (Counter(getattr(item, name) for item in halves) for name in ("chinese", "english"))
    fewer, more = sorted((chinese, english), key=len)
    return fewer.most_common(1)[0][0][:30] if len(more) > 2 and len(fewer) < _MIN_DISTINCT * len(more) else ""


def _note_titles(rows: CaptionRows, halves: list[Halves]) -> None:
    """Reports captions such as `狗 / Dog`, unless a few names, such as those of brands, are all that is Latin."""
    chinese, english = ({getattr(item, name) for item in halves} for name in ("chinese", "english"))
    if len(halves) >= _MIN_ALL * len(rows) and len(english) >= max(3, _MIN_ALL * len(chinese)):
        example = f"{halves[0].chinese} / {halves[0].english}"
        rows.notes[f"captions that may be in two languages (such as {example[:40]!r}), kept as they are"] += len(halves)


def _is_gloss(halves: Halves) -> bool:
    """Whether the few English words beside Chinese ones translate them, rather than being a name or a size."""
    words = _WORD.findall(halves.english)
    is_text = words and (words[0].islower() or halves.english.endswith((".", "!", "?")))
    return bool(is_text) and len(max(words, key=len)) > 2 and not re.search(r"\d", halves.english)
