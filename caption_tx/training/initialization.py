"""Starts a run from the weights of a bundle (`training.init`): settings, vocabulary and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.assets import bundle_folder
from caption_tx.bundle import Bundle, load_bundle
from caption_tx.config import NAMED_WEIGHTS, BackboneConfig, Config, DecodingOptions, ModelConfig
from caption_tx.data.text.scripts import is_joined
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import ConfigError
from caption_tx.model.captioner import Captioner

SIZES = ("hidden_dim", "intermediate_dim", "num_layers", "num_heads", "norm_order", "tie_embeddings")
"""Settings of the model that are those of the bundle."""

DROPOUT = ("dropout", "attention_dropout", "feature_dropout")
"""Settings of the model that are those of the run."""

BACKBONE = ("name", "alpha", "feature_layer", "image_size", "storage")
"""Settings of the backbone that are those of the bundle."""

TEXT = ("language", "nfkc", "script", "drop_one_letter_words", "drop_words_with_digits")
"""Settings that change words. They may differ from those of the bundle; the log names the differences."""

_EXAMPLES = 3


def load_initial_bundle(config: Config, workdir: Path) -> Bundle | None:
    """The bundle that `training.init` names; None without one.

    Raises:
        BundleError: the bundle is missing or damaged.
        ConfigError: it is the bundle of `workdir`, which training would replace.
    """
    name = config.training.init
    if name is None:
        return None
    if bundle_folder(name).resolve() in (workdir.resolve(), (workdir / "bundle").resolve()):
        raise ConfigError(
            f"training.init names the bundle in {workdir}, which this run would replace; choose another workdir."
        )
    return load_bundle(name)


def adopt_settings(config: Config, bundle: Bundle) -> Config:
    """The settings of a run that starts from a bundle.

    Sizes and backbone are those of the bundle. Captions may be as long as the bundle's or as `model.max_length`,
    whichever is longer.

    Raises:
        ConfigError: a size or the backbone is neither the default nor that of the bundle, or there are word vectors.
    """
    if config.text.word_vectors is not None:
        raise ConfigError(
            "text.word_vectors initializes embeddings, which training.init takes from a bundle; use one of them."
        )
    settings, name = bundle.captioner.settings, config.training.init
    sizes = {size: _adopt(config.model, "model", size, getattr(settings, size), name) for size in SIZES}
    sizes["max_length"] = max(config.model.max_length, settings.max_length)
    backbone = {
        item: _adopt(config.backbone, "backbone", item, getattr(bundle.backbone, item), name) for item in BACKBONE
    }
    if config.backbone.weights == BackboneConfig().weights and bundle.backbone.weights in NAMED_WEIGHTS:
        backbone["weights"] = bundle.backbone.weights
    return replace(config, model=replace(config.model, **sizes), backbone=replace(config.backbone, **backbone))


def _adopt(section: ModelConfig | BackboneConfig, prefix: str, name: str, value: Any, bundle: str | None) -> Any:
    [default] = [item.default for item in fields(section) if item.name == name]
    own = getattr(section, name)
    if own not in (value, default):
        raise ConfigError(
            f"{prefix}.{name} is {own!r}, but the bundle {bundle} was trained with {value!r}; leave the setting out, "
            "or train without init (--init)."
        )
    return value


def inherited_search(bundle: Bundle, retrieval: float = 0.0) -> DecodingOptions:
    """The default search of a bundle, for one with another vocabulary: without the options that name words.

    Args:
        bundle: where the run starts from.
        retrieval: the weight of retrieval, if the search has consensus; 0 for a run without a retrieval index.
    """
    weight = 0.0 if bundle.decoding.consensus is None else retrieval
    return replace(bundle.decoding, suppress_words=(), force_words=(), prefix="", retrieval=weight)


def describe_settings(config: Config, bundle: Bundle) -> list[str]:
    """Lines for the log: what the run takes from the bundle, and how its captions are read differently."""
    settings = bundle.captioner.settings
    lines = [
        f"Starting from the bundle {config.training.init}: {bundle.backbone.name}, {settings.num_layers} layers, "
        f"hidden_dim {settings.hidden_dim}, {bundle.tokenizer.vocabulary_size:,} tokens."
    ]
    differences = [
        f"text.{name} ({getattr(bundle.text, name)} in the bundle, {getattr(config.text, name)} here)"
        for name in TEXT
        if getattr(bundle.text, name) != getattr(config.text, name)
    ]
    if (bundle.text.user_dictionary is None) != (config.text.user_dictionary is None):
        has, lacks = ("this run", "the bundle") if config.text.user_dictionary else ("the bundle", "this run")
        differences.append(f"text.user_dictionary ({has} has one, {lacks} does not)")
    if differences:
        lines.append(f"Captions are cut into words differently than in the bundle: {', '.join(differences)}.")
    return lines


@dataclass(frozen=True)
class InitialRows:
    """Which rows of a bundle each token of a new vocabulary starts from.

    Attributes:
        rows: of each token, ids in the bundle: its own; those of the words it is composed of; or none.
        shared: whether the bundle has the token too, boolean (V,).
        composed: composed words -> the words of the bundle that they are composed of.
    """

    rows: list[list[int]]
    shared: np.ndarray
    composed: dict[str, list[str]]

    @property
    def summary(self) -> str:
        """For the log."""
        words, shared = len(self.rows) - len(SPECIAL_TOKENS), int(self.shared.sum()) - len(SPECIAL_TOKENS)
        examples = "; ".join(f"{word} = {' + '.join(parts)}" for word, parts in list(self.composed.items())[:_EXAMPLES])
        return (
            f"{shared:,} of {words:,} words are shared with the bundle and start from its rows, "
            f"{len(self.composed):,} from the words they are composed of{f' ({examples})' if examples else ''}, "
            f"{words - shared - len(self.composed):,} from the mean of all words."
        )

    def take(self, values: np.ndarray) -> np.ndarray:
        """The start of a weight with one row per token: (V of the bundle, ..) -> (V, ..)."""
        mean = values[len(SPECIAL_TOKENS) :].mean(axis=0)
        return np.stack([values[rows].mean(axis=0) if rows else mean for rows in self.rows])


def find_initial_rows(vocabulary: Sequence[str], known: Sequence[str]) -> InitialRows:
    """Finds the rows that the tokens of a new vocabulary start from.

    Args:
        vocabulary: of the new captions.
        known: of the bundle.

    Example:
        >>> find_initial_rows([*SPECIAL_TOKENS, "足球", "足球场"], [*SPECIAL_TOKENS, "场", "足球"]).rows[4:]
        [[5], [5, 4]]
    """
    ids = {word: index for index, word in enumerate(known)}
    parts = {word: [word] if word in ids else compose(word, ids) for word in vocabulary}
    return InitialRows(
        [[ids[part] for part in parts[word]] for word in vocabulary],
        np.array([word in ids for word in vocabulary]),
        {word: found for word, found in parts.items() if found and word not in ids},
    )


def compose(word: str, known: Any) -> list[str]:
    """The known words that a word is composed of: as many of its characters as possible, in as few words as possible.

    Scripts with spaces between words are not divided inside a word: "carpet" is not composed of "car" and "pet".

    Args:
        word: a word that is not known.
        known: a set, or a mapping by word.

    Returns:
        The known words in order; empty if there are none.
    """
    inner = [end for end in range(1, len(word)) if not is_joined(word, end)]
    # best[end]: (characters left out, number of words, words) of word[:end]
    best: dict[int, tuple[int, int, list[str]]] = {0: (0, 0, [])}
    for end in [*inner, len(word)]:
        options = []
        for begin, (missing, count, parts) in best.items():
            piece = word[begin:end]
            options.append((missing + len(piece), count, parts))
            if piece.strip() in known and piece.strip() not in SPECIAL_TOKENS:
                options.append((missing, count + 1, [*parts, piece.strip()]))
        best[end] = min(options, key=lambda option: option[:2])
    return best[len(word)][2]


def copy_captioner(
    bundle: Bundle, vocabulary: Sequence[str], config: ModelConfig, precision: str, log: Callable[[str], None]
) -> Captioner:
    """A captioner for another vocabulary and perhaps longer captions, with the weights of a bundle.

    Embeddings, output kernel and output bias are copied by word. A new word starts from the mean of the words that it
    is composed of, or else of all words. Positions that the bundle lacks start from its last one. The log prior is not
    copied, since it depends on the new captions (`TokenOutput.adapt`).

    Args:
        bundle: has the sizes of `config`.
        vocabulary: of the new captions.
        config: the dropout rates and `max_length`.
        precision: Keras dtype policy that the captioner computes in.
        log: gets a line about the words and the weights.
    """
    changes = {name: getattr(config, name) for name in ("max_length", *DROPOUT)}
    captioner = Captioner(
        replace(bundle.captioner.settings, vocabulary_size=len(vocabulary), **changes), dtype=precision
    )
    start = find_initial_rows(vocabulary, bundle.tokenizer.vocabulary)
    embedding, output = captioner.embedding, captioner.token_output
    by_token = [embedding.tokens, output.bias, *([] if output.tied else [output.kernel])]
    for new, old in zip(captioner.weights, bundle.captioner.weights, strict=True):
        values = old.numpy()
        if new is output.log_prior:
            continue
        if any(new is weight for weight in by_token):
            values = start.take(values)
        elif new is embedding.frozen:
            values = np.where(start.shared, start.take(values), 0.0)
        elif new is embedding.positions:
            values = values[np.minimum(np.arange(captioner.max_length), len(values) - 1)]
        new.assign(values)
    longer = captioner.max_length - bundle.captioner.max_length
    log(
        f"{start.summary} All other weights are copied"
        + (f"; {longer} positions are added for longer captions." if longer > 0 else ".")
    )
    return captioner
