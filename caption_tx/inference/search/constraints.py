"""Decoding options in terms of a model: lengths and words become token ids, or an error that names the word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caption_tx.config import DecodingOptions
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.token_words import TokenWords
from caption_tx.errors import ConfigError


@dataclass(frozen=True)
class Constraints:
    """The token ids that captions must start with, contain and avoid; `length` is the most tokens in a caption."""

    length: int
    prefix: list[int]
    suppressed: list[int]
    forced: list[int]


def resolve_constraints(
    options: DecodingOptions, max_length: int, tokenizer: TokenWords, segmenter: Segmenter | None
) -> Constraints:
    """Translate the options for a model.

    Args:
        max_length: the most tokens that the model can generate.
        segmenter: splits the prefix and the words; without it the prefix is split at spaces.

    Raises:
        ConfigError: a word is out of vocabulary, or the lengths do not fit.
    """
    length = options.max_length or max_length
    if length > max_length:
        raise ConfigError(f"max_length must be at most {max_length}, the model's limit, got {length}.")
    if options.min_length > length:
        raise ConfigError(f"min_length must be at most max_length, {length} tokens, got {options.min_length}.")
    prefix = _prefix_token_ids(options.prefix, tokenizer, segmenter)
    suppressed = _single_token_ids(options.suppress_words, tokenizer, segmenter, "suppress_words")
    forced = _single_token_ids(options.force_words, tokenizer, segmenter, "force_words")
    if len(prefix) >= length:
        raise ConfigError(f"prefix: {len(prefix)} words leave no room in a caption of at most {length} tokens.")
    if len(prefix) + len(set(forced) - set(prefix)) > length:
        raise ConfigError(f"force_words: {len(forced)} words do not fit into a caption of at most {length} tokens.")
    for name, token_ids in (("prefix", prefix), ("force_words", forced)):
        if conflicts := set(token_ids) & set(suppressed):
            raise ConfigError(f"suppress_words and {name} both contain {tokenizer.to_words(sorted(conflicts))}.")
    special = {tokenizer.end_token_id, *tokenizer.suppress_tokens}
    if len(special | set(suppressed)) == tokenizer.vocabulary_size:
        raise ConfigError("suppress_words leaves no word to generate.")
    return Constraints(length, prefix, suppressed, forced)


def _token_ids(words: Sequence[str], tokenizer: TokenWords, option: str) -> list[int]:
    """Look words up; a ConfigError names those that are out of vocabulary."""
    token_ids = tokenizer.look_up(words)
    unknown = [word for word, token_id in zip(words, token_ids, strict=True) if token_id == tokenizer.unk_token_id]
    if unknown:
        raise ConfigError(f"{option}: {', '.join(map(repr, unknown))} not in the model's vocabulary; use known words.")
    return token_ids


def _prefix_token_ids(text: str, tokenizer: TokenWords, segmenter: Segmenter | None) -> list[int]:
    if not text:
        return []
    words = text.split() if segmenter is None else segmenter.segment(text)
    if not words:
        raise ConfigError(f"prefix: {text!r} contains no words.")
    return _token_ids(words, tokenizer, "prefix")


def _single_token_ids(
    texts: Sequence[str], tokenizer: TokenWords, segmenter: Segmenter | None, option: str
) -> list[int]:
    """The token id of each text, which must be one word, either as written or after segmentation."""
    if not texts:
        return []
    known, words = set(tokenizer.vocabulary), []
    for text in texts:
        parts = [text] if text in known or segmenter is None else segmenter.segment(text)
        if len(parts) > 1:
            raise ConfigError(f"{option}: {text!r} is segmented into several words; list {parts} separately.")
        words += parts or [text]
    return list(dict.fromkeys(_token_ids(words, tokenizer, option)))
