"""Split captions into words, with jieba for Chinese and at word boundaries for English, and join them again."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from caption_tx.config import TextConfig
from caption_tx.data.text.dictionary_characters import width_notes
from caption_tx.data.text.look_alikes import fold_look_alikes, remove_invisible
from caption_tx.data.text.scripts import join_marks, lowercase, marks, needs_space, split_foreign_words
from caption_tx.data.text.user_dictionary import (
    DictionaryReport,
    EntryMatcher,
    UserDictionary,
    fold_signs,
    needs_its_signs,
    read_user_dictionary,
)
from caption_tx.errors import ConfigError

_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_NOT_ENGLISH = re.compile(r"[^\w']+|_+")
_HAS_DIGIT = re.compile(r"\d")
# The characters that jieba looks up in its dictionary, apart from ASCII.
_CHINESE = re.compile("[\u4e00-\u9fd5]+")
_LONGEST_OF_JIEBA = 32


class Segmenter:
    """Splits captions into words according to a `TextConfig`.

    Chinese is cut by `jieba.cut(cut_all=False)`. Tokens without a letter or digit (punctuation, spaces,
    symbols) are dropped. Words with accents, words with apostrophes and words of other scripts with spaces
    between words stay whole. Each user dictionary gets its own jieba instance, so it affects no other
    segmenter. `drop_one_letter_words` has no effect, because one-character words are ordinary in Chinese.

    English words consist of letters with their marks, digits and apostrophes. Everything else separates words.

    In both languages Latin letters are lowercased, radicals such as \u2f08 and other look-alikes are read as the
    ordinary characters, `nfkc` folds full-width letters, `script` converts Chinese characters before segmentation,
    and `drop_words_with_digits` drops every word that contains a digit.

    The entries of a user dictionary are normalized like captions and stay whole. jieba weighs those of Chinese
    characters against other words by their frequency. Entries that jieba would split are found before it.

    Only entries of a user dictionary contain white space: single spaces between their parts. A pickled Segmenter
    stores only its settings; jieba is loaded on first use.

    Example:
        >>> Segmenter(TextConfig(language="zh")).segment("一个穿着红色T恤的女人。")
        ['一个', '穿着', '红色', 't恤', '的', '女人']

    Raises:
        ConfigError: the user dictionary is missing, unreadable or malformed, or `script` is set and OpenCC is
            not installed.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._convert = _script_converter(config.script) if config.script and config.language == "zh" else None
        self._dictionary: UserDictionary | None = None
        if config.user_dictionary is not None:
            self._dictionary = read_user_dictionary(config.user_dictionary)
        self._jieba: Any = None
        self._entries: EntryMatcher | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Segmenter, (self.config,)

    def segment(self, text: str) -> list[str]:
        """Returns the words of a text in order, or [] if it has none."""
        words = self._split(self._normalize(text))
        if self.config.language != "zh" and self.config.drop_one_letter_words:
            words = [word for word in words if len(word) > 1]
        if self.config.drop_words_with_digits:
            words = [word for word in words if not _HAS_DIGIT.search(word)]
        return words

    def dictionary_report(self) -> DictionaryReport | None:
        """Returns which entries of the user dictionary are kept whole; None without a user dictionary."""
        if self._dictionary is None:
            return None
        not_kept, with_signs, words = [], [], set()
        for entry in self._dictionary.entries:
            word = self._normalize_entry(entry.word)
            if word not in words and self.segment(entry.word) != [word]:
                not_kept.append((entry.line, entry.word, self._why_not_kept(word)))
            elif word not in words and needs_its_signs(word):
                with_signs.append((entry.line, entry.word))
            words.add(word)
        dictionary = self._dictionary
        num_lines = len({entry.line for entry in dictionary.entries})
        notes = [] if self.config.nfkc else width_notes([(entry.line, entry.word) for entry in dictionary.entries])
        return DictionaryReport(
            dictionary.path,
            dictionary.encoding,
            len(words),
            tuple(not_kept),
            (*dictionary.notes, *notes),
            tuple(with_signs),
            num_lines if num_lines != len(words) else 0,
        )

    def _normalize(self, text: str) -> str:
        text = _compose(text)
        if self.config.nfkc and not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        if self._convert is not None:
            text = self._convert(text)
        text = lowercase(text)
        return text if self._dictionary is None else fold_signs(text)

    def _normalize_entry(self, text: str) -> str:
        return "".join(character for character in self._normalize(text) if character.isprintable()).strip()

    def _split(self, text: str) -> list[str]:
        if self._dictionary is None:
            return self._split_without_entries(text)
        if self._entries is None:
            self._add_entries(self._dictionary)
        words: list[str] = []
        for piece, is_entry in self._entries.split(text):
            words += [piece] if is_entry else self._split_without_entries(piece)
        return words

    def _split_without_entries(self, text: str) -> list[str]:
        if self.config.language != "zh":
            return _english_words(text)
        if self._jieba is None:
            # Segmenters without a user dictionary share one loaded jieba instance.
            self._jieba = _shared_jieba() if self._dictionary is None else _copy_jieba()
        words: list[str] = []
        for piece, is_word in split_foreign_words(text):
            words += [piece] if is_word else filter(_has_alphanumeric, self._jieba.cut(piece, cut_all=False))
        return words

    def _add_entries(self, dictionary: UserDictionary) -> None:
        """Gives jieba the entries of Chinese characters, and the matcher those that are not whole after that.

        The matcher also gets long entries, for which jieba takes time that grows with the square of their length.
        """
        entries: dict[str, int | None] = {}
        for entry in dictionary.entries:
            word = self._normalize_entry(entry.word)
            if _has_alphanumeric(word):
                entries.setdefault(word, entry.frequency)
        self._entries = EntryMatcher(word for word in entries if len(word) > _LONGEST_OF_JIEBA)
        if self.config.language == "zh":
            self._split_without_entries("")
            for word, frequency in entries.items():
                if len(word) <= _LONGEST_OF_JIEBA and _CHINESE.fullmatch(word):
                    self._jieba.add_word(word, frequency)
        # An entry in the matcher may be part of a longer one, which then must be in the matcher as well.
        while split := [word for word in entries if self._split(word) != [word]]:
            self._entries = EntryMatcher([*self._entries.words, *split])

    def _why_not_kept(self, word: str) -> str:
        if not _has_alphanumeric(word):
            return "no letter or digit"
        if self.config.drop_words_with_digits and _HAS_DIGIT.search(word):
            return "words with digits are dropped"
        if self.config.drop_one_letter_words and len(word) == 1:
            return "words of one letter are dropped"
        return f"read as {self.segment(word)}"


def _script_converter(script: str) -> Callable[[str], str]:
    """Returns a function that converts phrase by phrase with OpenCC and keeps other text unchanged.

    Only OpenCC's conversion for Taiwan reads 看著 as 看着, but it also changes 显著, which is simplified already.
    """
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise ConfigError(
            f"text.script = '{script}' requires OpenCC; install it with `pip install 'caption_tx[opencc]'`."
        ) from error
    if script == "traditional":
        return OpenCC("s2t").convert
    convert, convert_taiwanese = OpenCC("t2s").convert, OpenCC("tw2s").convert

    def simplify(text: str) -> str:
        letters = "".join(_CHINESE.findall(text)) if "著" in text else ""
        may_be_taiwanese = letters and all(letter.encode("big5", "ignore") for letter in letters)
        return convert_taiwanese(text) if may_be_taiwanese else convert(text)

    return simplify


def _has_alphanumeric(word: str) -> bool:
    return word.isalnum() or _NOT_ALPHANUMERIC.sub("", word) != ""


def _compose(text: str) -> str:
    """Composes accents with their letters (NFC), as a separate one would count as a symbol, and folds look-alikes."""
    return text if text.isascii() else unicodedata.normalize("NFC", fold_look_alikes(remove_invisible(text)))


def _english_words(text: str) -> list[str]:
    text = lowercase(_compose(text)).replace("\u2019", "'")
    pattern = _NOT_ENGLISH
    if not text.isascii():
        text, pattern = join_marks(text), _not_english_with_marks()
    words = (word.strip("'") for word in pattern.sub(" ", text).split())
    return [word for word in words if word]


@lru_cache(maxsize=1)
def _not_english_with_marks() -> re.Pattern[str]:
    return re.compile(rf"[^\w'{marks()}]+|_+")


@lru_cache(maxsize=1)
def _not_alphanumeric_with_marks() -> re.Pattern[str]:
    return re.compile(rf"[^\w{marks()}]+|_+")


def strip_punctuation(text: str, language: str) -> str:
    """Returns a lowercased caption without punctuation, as evaluation compares captions.

    Chinese also loses its spaces and is segmented afterwards. English keeps one space between words.
    """
    if language == "zh":
        return _not_alphanumeric_with_marks().sub("", join_marks(lowercase(_compose(text))))
    return " ".join(_english_words(text))


def detokenize(words: Sequence[str], language: str) -> str:
    """Joins words into a caption: the inverse of segmentation, apart from case and punctuation.

    English words are joined by spaces. In Chinese a space is only put between two words of scripts with
    spaces between words, such as Latin, or numbers.

    Example:
        >>> detokenize(["看", "new", "york", "的", "照片"], "zh")
        '看new york的照片'
    """
    if language != "zh":
        return " ".join(words)
    pieces: list[str] = []
    for word in words:
        if pieces and word and needs_space(pieces[-1], word):
            pieces.append(" ")
        if word:
            pieces.append(word)
    return "".join(pieces)


@lru_cache(maxsize=1)
def _shared_jieba() -> Any:
    return _load_jieba()


def _copy_jieba() -> Any:
    """Returns a jieba tokenizer to which words can be added."""
    tokenizer = copy(_shared_jieba())
    tokenizer.FREQ = dict(tokenizer.FREQ)
    return tokenizer


def _load_jieba() -> Any:
    """Loads a separate, silent jieba tokenizer."""
    with warnings.catch_warnings():
        # jieba 0.42.1 imports pkg_resources and has invalid escapes; users cannot do anything about either.
        warnings.simplefilter("ignore")
        import jieba

        jieba.setLogLevel(logging.CRITICAL)
        tokenizer = jieba.Tokenizer()
        tokenizer.tmp_dir = _cache_folder()
        tokenizer.initialize()
    # Text is lowercased before segmentation, so words such as T恤 need a lowercase entry.
    for word in [word for word in tokenizer.FREQ if word != word.lower() and tokenizer.FREQ[word]]:
        tokenizer.add_word(word.lower(), tokenizer.FREQ[word])
    return tokenizer


def _cache_folder() -> str:
    """Returns a private folder for jieba's dictionary cache.

    By default jieba caches in the shared temporary folder, where any user could have written the file.
    If no private folder can be created, the returned path does not exist and jieba works without a cache.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"caption_tx-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not hasattr(os, "getuid") or folder.lstat().st_uid == user:
            return str(folder)
    except OSError:
        pass
    return str(folder / "none")
