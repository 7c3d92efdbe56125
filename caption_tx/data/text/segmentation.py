"""Text <-> words: jieba's precise mode for Chinese, spaces for English; punctuation of both scripts away."""

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
# Scripts that separate words by spaces all lie below the CJK radicals.
_FIRST_CJK = "\u2e80"


class Segmenter:
    """Splits captions into words by a `TextConfig`.

    Chinese: `jieba.cut(cut_all=False)` in a jieba of its own, so a user dictionary changes no other;
    what holds no letter or digit (punctuation of both scripts, spaces, symbols) is dropped. A
    one-character word is an ordinary word there, so `drop_one_letter_words` does nothing.
    English: letters, digits and apostrophes make words, everything else separates them.
    Both: Latin letters lowercased; `nfkc` folds full-width and other compatibility letters; `script`
    converts Chinese characters before they are cut; `drop_words_with_digits` drops every word with a
    digit in it.

    A word never holds white space. A Segmenter pickles as its settings and loads jieba at first use.

    Raises:
        ConfigError: the user dictionary is missing, unreadable or has a bad line, or a script is asked
            for without OpenCC.
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
        """The words of a text, in order; [] when it holds none."""
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
            # Most Segmenters have no words of their own and can share one loaded dictionary.
            self._jieba = _load_jieba(self._user_words) if self._user_words else _plain_jieba()
        text = _compose(text).lower()
        return [word for word in self._jieba.cut(text, cut_all=False) if _holds_word(word)]


def _script_converter(script: str) -> Callable[[str], str]:
    """Converts Chinese characters by OpenCC, phrase by phrase; other text stays as it is."""
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise ConfigError(
            f"text.script '{script}' needs OpenCC; install it with `pip install 'caption_tx[opencc]'`."
        ) from error
    return OpenCC({"simplified": "t2s", "traditional": "s2t"}[script]).convert


def _holds_word(word: str) -> bool:
    return word.isalnum() or _NOT_ALPHANUMERIC.sub("", word) != ""


def _compose(text: str) -> str:
    """An accent as one character with its letter, since on its own it would count as a symbol."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _english_words(text: str) -> list[str]:
    text = _compose(text).lower().replace("\u2019", "'")
    words = (word.strip("'") for word in _NOT_ENGLISH.sub(" ", text).split())
    return [word for word in words if word]


def strip_punctuation(text: str, language: str) -> str:
    """A caption as evaluation compares it: lowercased, without punctuation of either script.

    Chinese loses its spaces as well, and is segmented afterwards; English keeps one space between words.
    """
    if language == "zh":
        return _NOT_ALPHANUMERIC.sub("", _compose(text).lower())
    return " ".join(_english_words(text))


def detokenize(words: Sequence[str], language: str) -> str:
    """Words as a caption: English with spaces, Chinese with them only between two Latin words or numbers."""
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
    """The (word, frequency or None) pairs of a jieba user dictionary: `word [frequency] [tag]` a line, UTF-8.

    Raises:
        ConfigError: the file cannot be read, or a line is not of that form.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        raise ConfigError(f"Cannot read the user dictionary {path}: {reason}.") from error
    words = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = _DICTIONARY_LINE.fullmatch(line.strip())
        # jieba keeps words of frequency 0 in a global list, where they would leak into other segmenters.
        if not match or (match[2] is not None and not 0 < int(match[2]) < 10**9):
            raise ConfigError(
                f"User dictionary {path}, line {number}: expected 'word [frequency above 0] [tag]', "
                f"found {line.strip()[:60]!r}."
            )
        words.append((match[1].lower(), int(match[2]) if match[2] else None))
    return tuple(words)


@lru_cache(maxsize=1)
def _plain_jieba() -> Any:
    return _load_jieba(())


def _load_jieba(user_words: Sequence[tuple[str, int | None]]) -> Any:
    """A jieba tokenizer of its own, silent, with the user's words."""
    with warnings.catch_warnings():
        # jieba 0.42.1 imports pkg_resources and has invalid escapes: nothing its user can act on.
        warnings.simplefilter("ignore")
        import jieba

        jieba.setLogLevel(logging.CRITICAL)
        tokenizer = jieba.Tokenizer()
        tokenizer.tmp_dir = _cache_folder()
        tokenizer.initialize()
    # Text is lowercased before it is cut, so words such as T恤 must be known in that form too.
    for word in [word for word in tokenizer.FREQ if word != word.lower() and tokenizer.FREQ[word]]:
        tokenizer.add_word(word.lower(), tokenizer.FREQ[word])
    for word, frequency in user_words:
        tokenizer.add_word(word, frequency)
    return tokenizer


def _cache_folder() -> str:
    """A folder of this user's own for jieba's parsed dictionary.

    jieba's default is one file in the shared temporary folder that anybody there could have written.
    Where no such folder can be had, a path that does not exist makes jieba do without a cache.
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
