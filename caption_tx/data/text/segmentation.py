"""Split captions into words, with jieba for Chinese and at word boundaries for English, and join them again."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from caption_tx.config import TextConfig
from caption_tx.errors import ConfigError

_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_NOT_ENGLISH = re.compile(r"[^\w']+|_+")
_HAS_DIGIT = re.compile(r"\d")
_DICTIONARY_LINE = re.compile(r"(\S+)(?:\s+(\d+))?(?:\s+[a-zA-Z]+)?")
# Every script that puts spaces between words lies below the CJK radicals.
_FIRST_CJK = "\u2e80"


class Segmenter:
    """Splits captions into words according to a `TextConfig`.

    Chinese is cut by `jieba.cut(cut_all=False)`. Tokens without a letter or digit (punctuation, spaces,
    symbols) are dropped. Each user dictionary gets its own jieba instance, so it affects no other segmenter.
    `drop_one_letter_words` has no effect, because one-character words are ordinary in Chinese.

    English words consist of letters, digits and apostrophes. Everything else separates words.

    In both languages Latin letters are lowercased, `nfkc` folds full-width letters, `script` converts Chinese
    characters before segmentation, and `drop_words_with_digits` drops every word that contains a digit.

    Words never contain white space. A pickled Segmenter stores only its settings; jieba is loaded on first use.

    Example:
        >>> Segmenter(TextConfig(language="zh")).segment("一个穿着红色T恤的女人。")
        ['一个', '穿着', '红色', 't恤', '的', '女人']

    Raises:
        ConfigError: the user dictionary is missing, unreadable or malformed, or `script` is set and OpenCC is
            not installed.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._user_words: tuple[tuple[str, int | None], ...] = ()
        if config.user_dictionary is not None:
            self._user_words = read_user_dictionary(config.user_dictionary)
        self._convert = _script_converter(config.script) if config.script and config.language == "zh" else None
        self._jieba: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Segmenter, (self.config,)

    def segment(self, text: str) -> list[str]:
        """Returns the words of a text in order, or [] if it has none."""
        if self.config.nfkc and not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        if self._convert is not None:
            text = self._convert(text)
        if self.config.language == "zh":
            words = self._segment_chinese(text)
        else:
            words = _english_words(text)
            if self.config.drop_one_letter_words:
                words = [word for word in words if len(word) > 1]
        if self.config.drop_words_with_digits:
            words = [word for word in words if not _HAS_DIGIT.search(word)]
        return words

    def _segment_chinese(self, text: str) -> list[str]:
        if self._jieba is None:
            # Segmenters without a user dictionary share one loaded jieba instance.
            self._jieba = _load_jieba(self._user_words) if self._user_words else _shared_jieba()
        text = _compose(text).lower()
        return [word for word in self._jieba.cut(text, cut_all=False) if _has_alphanumeric(word)]


def _script_converter(script: str) -> Callable[[str], str]:
    """Returns an OpenCC converter, which converts phrase by phrase and keeps other text unchanged."""
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise ConfigError(
            f"text.script = '{script}' requires OpenCC; install it with `pip install 'caption_tx[opencc]'`."
        ) from error
    return OpenCC({"simplified": "t2s", "traditional": "s2t"}[script]).convert


def _has_alphanumeric(word: str) -> bool:
    return word.isalnum() or _NOT_ALPHANUMERIC.sub("", word) != ""


def _compose(text: str) -> str:
    """Composes accents with their letters (NFC), because a separate accent would count as a symbol."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _english_words(text: str) -> list[str]:
    text = _compose(text).lower().replace("\u2019", "'")
    words = (word.strip("'") for word in _NOT_ENGLISH.sub(" ", text).split())
    return [word for word in words if word]


def strip_punctuation(text: str, language: str) -> str:
    """Returns a lowercased caption without punctuation, as evaluation compares captions.

    Chinese also loses its spaces and is segmented afterwards. English keeps one space between words.
    """
    if language == "zh":
        return _NOT_ALPHANUMERIC.sub("", _compose(text).lower())
    return " ".join(_english_words(text))


def detokenize(words: Sequence[str], language: str) -> str:
    """Joins words into a caption: the inverse of segmentation, apart from case and punctuation.

    English words are joined by spaces. In Chinese a space is only put between two Latin words or numbers.

    Example:
        >>> detokenize(["看", "new", "york", "的", "照片"], "zh")
        '看new york的照片'
    """
    if language != "zh":
        return " ".join(words)
    pieces: list[str] = []
    for word in words:
        if pieces and word and pieces[-1][-1] < _FIRST_CJK and word[0] < _FIRST_CJK:
            pieces.append(" ")
        if word:
            pieces.append(word)
    return "".join(pieces)


def read_user_dictionary(path: str | Path) -> tuple[tuple[str, int | None], ...]:
    """Reads a jieba user dictionary: UTF-8 text with one `word [frequency] [tag]` per line.

    Returns:
        (lowercased word, frequency or None) pairs.

    Raises:
        ConfigError: the file cannot be read, or a line is malformed.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        raise ConfigError(f"Cannot read the user dictionary {path}: {reason}.") from error
    words = []
    for line_number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = _DICTIONARY_LINE.fullmatch(line.strip())
        # jieba stores words of frequency 0 in a global list, which would leak into other segmenters.
        if not match or (match[2] is not None and not 0 < int(match[2]) < 10**9):
            raise ConfigError(
                f"User dictionary {path}, line {line_number}: expected 'word [frequency above 0] [tag]', "
                f"found {line.strip()[:60]!r}."
            )
        words.append((match[1].lower(), int(match[2]) if match[2] else None))
    return tuple(words)


@lru_cache(maxsize=1)
def _shared_jieba() -> Any:
    return _load_jieba(())


def _load_jieba(user_words: Sequence[tuple[str, int | None]]) -> Any:
    """Loads a separate, silent jieba tokenizer and adds the user's words."""
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
    for word, frequency in user_words:
        tokenizer.add_word(word, frequency)
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
