"""Every setting and its default, once: frozen dataclasses <-> dict <-> TOML.

No TensorFlow here, so that the command line can show the defaults without loading it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from caption_tx.errors import ConfigError

LANGUAGES = ("zh", "en")
"""Chinese (segmented by jieba) and English (split at spaces)."""

SCRIPTS = ("simplified", "traditional")
"""Forms of Chinese characters that captions can be converted to."""

STORAGES = ("uint8", "float16", "float32")
"""How features are kept. 8 bits hold activations in [0, 6] only."""

COMPRESSIONS = ("none", "zlib")
"""Of the records of a feature cache."""

POOL_NAMES = ("mean", "max", "spread", "rollout")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Number formats that the decoder computes in; its weights, logits and loss are float32 in each."""

T = TypeVar("T")

SPLITS = ("train", "val", "test")


def _check(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise ConfigError(f"{name} must be {wanted}, got {value!r}.")


FORMATS = (
    "parquet", "karpathy", "coco", "ai_challenger", "jsonl", "flickr30k", "csv", "tsv", "ofa", "coco_cn", "flickr8k",
    "pairs", "folder",
)  # fmt: skip
"""Layouts of caption files, in the order in which they are looked for (`data/layouts.py`)."""

UNFIT = (
    "no_letters", "placeholder", "damaged_text", "html", "url", "email", "file_name", "hashtag", "repetition",
    "tag_list", "kana_or_hangul", "wrong_script",
)  # fmt: skip
"""What can make a caption unfit for training, in the order in which it is looked for."""

ORIGINS = ("human", "machine")
"""Who wrote a caption. Machine translations are trained on and never serve as references."""


@dataclass(frozen=True)
class Source:
    """One caption file or folder, and what is to be known about it that does not stand in it.

    None means that the file says it, or that it is detected. `images` is put before every image name:
    a folder (or a TSV file of images) within the images' folder. `weight` is that of the source's
    captions in the mean loss, beside the other sources of its stage. Training goes through the stages
    in order; a source belongs to one.
    """

    path: str
    format: str | None = None
    encoding: str | None = None
    split: str | None = None
    origin: str | None = None
    images: str = ""
    weight: float = 1.0
    stage: int = 1

    def __post_init__(self) -> None:
        _check(bool(self.path), "source", self.path, "a path")
        _check(self.split in (None, *SPLITS), f"split of {self.path}", self.split, f"one of {', '.join(SPLITS)}")
        _check(self.origin in (None, *ORIGINS), f"origin of {self.path}", self.origin, f"one of {', '.join(ORIGINS)}")
        _check(0 < self.weight < math.inf, f"weight of {self.path}", self.weight, "a number above 0")
        _check(1 <= self.stage <= 100, f"stage of {self.path}", self.stage, "in 1 to 100")


_SOURCE_OPTIONS = [item.name for item in dataclasses.fields(Source) if item.name != "path"]
_SOURCE = re.compile(r"(.+?)(?::([a-z]+=[^,]*(?:,[a-z]+=[^,]*)*))?", re.DOTALL)


def parse_source(text: str) -> Source:
    """A source as it stands on the command line: `PATH` or `PATH:KEY=VALUE,KEY=VALUE`.

    Raises:
        ConfigError: a key is unknown, or a value is out of range or not of its type.
    """
    path, options = _SOURCE.fullmatch(text).groups() if text else ("", None)
    values: dict[str, Any] = dict(item.split("=", 1) for item in options.split(",")) if options else {}
    if unknown := [name for name in values if name not in _SOURCE_OPTIONS]:
        raise ConfigError(f"Unknown key '{unknown[0]}' behind source {path}; known: {', '.join(_SOURCE_OPTIONS)}.")
    for name, kind in (("weight", float), ("stage", int)):
        if name in values:
            try:
                values[name] = kind(values[name])
            except ValueError:
                raise ConfigError(f"{name} of {path} must be a number, got {values[name]!r}.") from None
    return Source(path, **values)


@dataclass(frozen=True)
class CorpusConfig:
    """Where captions and images lie, and how images without a split are divided.

    `sources` are read by `parse_source`; `format` holds for those that name none. `leave_out` names
    problems of captions that `corpus --check` finds ("html", "url", ..): training does without those captions.
    """

    sources: tuple[str, ...] = ()
    format: str | None = None
    images: str = ""
    leave_out: tuple[str, ...] = ()
    val_fraction: float = 0.05
    test_fraction: float = 0.05
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("val_fraction", "test_fraction"):
            value = getattr(self, name)
            _check(0 <= value < 1, f"corpus.{name}", value, "in [0, 1)")
        total = self.val_fraction + self.test_fraction
        _check(total < 1, "corpus.val_fraction + corpus.test_fraction", total, "below 1")
        _check(self.format in (None, *FORMATS), "corpus.format", self.format, f"one of {', '.join(FORMATS)}")
        for problem in self.leave_out:
            _check(problem in UNFIT, "corpus.leave_out", problem, f"of {', '.join(UNFIT)}")
        for source in self.sources:
            parse_source(source)


@dataclass(frozen=True)
class TextConfig:
    """How a caption becomes words, and which words the model knows.

    `nfkc` folds full-width letters and other compatibility forms (Unicode NFKC); `script` "simplified"
    or "traditional" converts Chinese characters; None leaves them as they are.
    """

    language: str = "zh"
    nfkc: bool = False
    script: str | None = None
    user_dictionary: str | None = None
    drop_one_letter_words: bool = False
    drop_words_with_digits: bool = False
    max_vocabulary_size: int = 20_000
    min_frequency: int = 4

    def __post_init__(self) -> None:
        _check(self.language in LANGUAGES, "text.language", self.language, f"one of {LANGUAGES}")
        _check(
            self.script in (None, *SCRIPTS),
            "text.script",
            self.script,
            f"one of {', '.join(SCRIPTS)}",
        )
        _check(self.max_vocabulary_size > 4, "text.max_vocabulary_size", self.max_vocabulary_size, "above 4")
        _check(self.min_frequency >= 1, "text.min_frequency", self.min_frequency, "at least 1")


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen image encoder: a `keras.applications` MobileNet cut at `feature_layer`.

    `weights` is "imagenet" (downloaded by Keras), "scenes" (the small backbone that ships
    with the package), or the path of a weights file without the classifier. `storage` is the number
    format that features are rounded to, in a cache and in use ("uint8" was chosen by measurement,
    experiments/feature_storage.py).
    """

    name: str = "MobileNet"
    alpha: float = 1.0
    feature_layer: str = "conv_pw_12_relu"
    image_size: int = 224
    weights: str = "imagenet"
    storage: str = "uint8"

    def __post_init__(self) -> None:
        _check(self.name == "MobileNet", "backbone.name", self.name, "'MobileNet'")
        _check(self.storage in STORAGES, "backbone.storage", self.storage, f"one of {', '.join(STORAGES)}")
        _check(self.alpha > 0, "backbone.alpha", self.alpha, "above 0")
        _check(self.image_size >= 32, "backbone.image_size", self.image_size, "at least 32 pixels")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the decoder. `norm_order` "post" was chosen by measurement (experiments/norm_order.py)."""

    hidden_dim: int = 256
    intermediate_dim: int = 1024
    num_layers: int = 3
    num_heads: int = 4
    max_length: int = 40
    dropout: float = 0.3
    attention_dropout: float = 0.1
    feature_dropout: float = 0.3
    norm_order: str = "post"
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("hidden_dim", "intermediate_dim", "num_layers", "num_heads"):
            _check(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        _check(self.max_length >= 2, "model.max_length", self.max_length, "at least 2 tokens")
        _check(
            self.hidden_dim % self.num_heads == 0,
            "model.hidden_dim",
            self.hidden_dim,
            f"a multiple of num_heads ({self.num_heads})",
        )
        for name in ("dropout", "attention_dropout", "feature_dropout"):
            _check(0 <= getattr(self, name) < 1, f"model.{name}", getattr(self, name), "in [0, 1)")
        _check(self.norm_order in ("pre", "post"), "model.norm_order", self.norm_order, "'pre' or 'post'")


@dataclass(frozen=True)
class TrainingConfig:
    """One run of Keras `fit`. `batch_size` counts images; each brings all its captions.

    `precision` other than float32 halves the bytes that the decoder computes with. `accumulation_steps`
    computes each batch in so many parts, one after another, where all of it at once would not fit in memory.
    Where sources name several stages, `epochs` counts all of them together; `stage_epochs` gives those
    of each stage but the last. Without it the earlier stages share 3 of 10 epochs.
    """

    epochs: int = 14
    stage_epochs: tuple[int, ...] = ()
    batch_size: int = 32
    learning_rate: float = 5e-4
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    precision: str = "float32"
    accumulation_steps: int = 1
    patience: int = 3
    flips: bool = False
    cached: bool = True
    cache: str | None = None
    compression: str = "zlib"
    tensorboard: bool = True
    sample_images: tuple[str, ...] = ()
    sample_count: int = 3
    sample_temperatures: tuple[float, ...] = (0.0, 0.5, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "accumulation_steps"):
            _check(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "at least 1")
        _check(self.compression in COMPRESSIONS, "training.compression", self.compression, f"one of {COMPRESSIONS}")
        _check(self.precision in PRECISIONS, "training.precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        _check(
            self.accumulation_steps <= self.batch_size,
            "training.accumulation_steps",
            self.accumulation_steps,
            f"at most training.batch_size ({self.batch_size})",
        )
        for value in self.stage_epochs:
            _check(value >= 1, "training.stage_epochs", value, "at least 1 each")
        _check(
            sum(self.stage_epochs) < self.epochs,
            "training.stage_epochs",
            list(self.stage_epochs),
            f"fewer than training.epochs ({self.epochs}) together, so that the last stage has some",
        )
        _check(self.learning_rate > 0, "training.learning_rate", self.learning_rate, "above 0")
        _check(self.warmup_epochs >= 0, "training.warmup_epochs", self.warmup_epochs, "0 or more")
        _check(0 <= self.label_smoothing < 1, "training.label_smoothing", self.label_smoothing, "in [0, 1)")
        _check(self.clip_norm > 0, "training.clip_norm", self.clip_norm, "above 0")
        _check(self.sample_count >= 0, "training.sample_count", self.sample_count, "0 or more")
        _check(0 <= self.seed < 2**31, "training.seed", self.seed, "in [0, 2**31)")
        for value in self.sample_temperatures:
            _check(value >= 0, "training.sample_temperatures", value, "0 or more")


@dataclass(frozen=True)
class DecodingOptions:
    """How captions are searched: greedy by default; sampled with a `temperature`; a beam with a `beam_width`.

    Attributes:
        temperature: 0 takes the likeliest word at each step; above 0 words are drawn, at 1 as likely as the
            model holds them.
        top_k, top_p: draw among the k likeliest words (Fan et al. 2018), or among the fewest that hold the
            share top_p (Holtzman et al. 2020), after the temperature, first k and then p. Words as likely
            as the last one stay in.
        beam_width: captions that a beam search follows at once.
        beam_groups, diversity_penalty: a beam in groups that are kept from saying the same: a word costs
            the penalty, in nats, for each caption of earlier groups that took it at this step
            (Vijayakumar et al. 2018).
        length_penalty: captions are ranked by log-probability / length**length_penalty, the length in
            tokens with the end mark (the simple form of Wu et al. 2016, eq. 14). 0 favours short ones.
        n_best: captions returned for each image, best first.
        samples: captions drawn for each image, of which the `n_best` by score are returned.
        repetition_penalty: log-probabilities of words that the caption has already are multiplied by it in
            search and score (after Keskar et al. 2019, eq. 2, which divides logits); 1 changes nothing.
        no_repeat_ngram: no run of so many words stands twice in a caption (Paulus et al. 2018); 0 allows all.
        min_length: fewest words, those of the prefix included.
        max_length: most tokens, the end mark and the prefix included; None for as many as the model knows.
        suppress_words, force_words: words that no caption, and that every caption holds. Words are forced by
            a beam of `beam_width` for every number of them that is met (Hokamp and Liu 2017).
        prefix: the start of every caption, as a person types it.
        seed: of the drawn words, in [0, 2**31).

    Raises:
        ConfigError: a value is out of range, or the combination means nothing.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    beam_width: int = 1
    beam_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 0.7
    n_best: int = 1
    samples: int = 1
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    min_length: int = 1
    max_length: int | None = None
    suppress_words: tuple[str, ...] = ()
    force_words: tuple[str, ...] = ()
    prefix: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("temperature", 0), ("diversity_penalty", 0), ("length_penalty", 0)):
            value = getattr(self, name)
            _check(lowest <= value < math.inf, name, value, f"{lowest} or more")
        _check(1 <= self.repetition_penalty < math.inf, "repetition_penalty", self.repetition_penalty, "1 or more")
        for name in ("beam_width", "beam_groups", "n_best", "samples", "min_length"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _check(self.no_repeat_ngram >= 0, "no_repeat_ngram", self.no_repeat_ngram, "0 or more words")
        _check(self.max_length is None or self.max_length >= 1, "max_length", self.max_length, "at least 1 token")
        _check(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "at least 1 word")
        _check(self.top_p is None or 0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        _check(0 <= self.seed < 2**31, "seed", self.seed, "in [0, 2**31)")
        for name in ("suppress_words", "force_words"):
            words = getattr(self, name)
            # A text would pass for the words that its letters are.
            _check(not isinstance(words, str), name, words, "a list of words")
            _check(all(word.strip() for word in words), name, words, "words that are not empty")
        for refused, reason in self._contradictions():
            if refused:
                raise ConfigError(reason)

    def _contradictions(self) -> list[tuple[bool, str]]:
        """What must not be, and what is said of it."""
        beam, drawn = self.beam_width > 1, self.temperature > 0
        twice = sorted({word for word in self.force_words if self.force_words.count(word) > 1})
        both = sorted(set(self.force_words) & set(self.suppress_words))
        longest = math.inf if self.max_length is None else self.max_length
        return [
            (beam and drawn, "A beam takes the likeliest words and a temperature draws words; leave one out."),
            (
                not drawn and (self.top_k is not None or self.top_p is not None),
                "top_k and top_p say which words are drawn, and at temperature 0 none are; set a temperature above 0.",
            ),
            (
                not drawn and self.samples > 1,
                "At temperature 0 all samples would be the same; set a temperature above 0.",
            ),
            (
                self.n_best > max(self.beam_width, self.samples),
                f"n_best {self.n_best} asks for more captions than are found; "
                "set beam_width, or samples with a temperature, to as many at least.",
            ),
            (
                self.beam_width % self.beam_groups != 0,
                f"beam_groups must divide beam_width, got {self.beam_groups} and {self.beam_width}.",
            ),
            (
                (self.beam_groups > 1) != (self.diversity_penalty > 0),
                "beam_groups above 1 and a diversity_penalty above 0 need each other: "
                "groups without it would all find the same, and it acts between groups only.",
            ),
            (
                bool(self.force_words) and not beam,
                "Words are forced by a beam, which finds a place for them; set beam_width above 1.",
            ),
            (
                bool(self.force_words) and self.beam_groups > 1,
                "Forced words divide the beam by how many are met already; leave out beam_groups.",
            ),
            (bool(twice), f"force_words names {twice} twice; each word is forced once."),
            (bool(both), f"{both} cannot be both forced and suppressed."),
            (
                self.min_length > longest,
                f"min_length {self.min_length} is above max_length {self.max_length}.",
            ),
            (
                len(self.force_words) > longest,
                f"{len(self.force_words)} forced words do not fit into max_length {self.max_length}.",
            ),
        ]


@dataclass(frozen=True)
class Config:
    """All settings of a run; what `config.toml` in a workdir holds."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    text: TextConfig = field(default_factory=TextConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain lists, numbers and strings; settings that are None are left out."""
    result: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            value = to_dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        if value is not None:
            result[item.name] = value
    return result


def _convert(value: object, wanted: Any, name: str) -> Any:
    """`value` as the annotated type, or a ConfigError that names the setting."""
    origin = typing.get_origin(wanted)
    if origin in (types.UnionType, typing.Union):
        inner = [kind for kind in typing.get_args(wanted) if kind is not type(None)]
        return None if value is None else _convert(value, inner[0], name)
    if origin is tuple:
        _check(isinstance(value, (list, tuple)), name, value, "a list")
        kind = typing.get_args(wanted)[0]
        return tuple(_convert(item, kind, name) for item in typing.cast(list, value))
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    _check(fits, name, value, f"of type {wanted.__name__}")
    return value


def from_dict(kind: type[T], values: dict[str, Any], where: str = "", base: T | None = None) -> T:
    """A config of `kind` from a dict, over `base` (or the defaults).

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    hints = typing.get_type_hints(kind)
    base = kind() if base is None else base
    changes = {}
    for name, value in values.items():
        if name not in hints:
            known = ", ".join(hints)
            raise ConfigError(f"Unknown setting '{where}{name}'; known here: {known}.")
        if dataclasses.is_dataclass(hints[name]):
            _check(isinstance(value, dict), f"{where}{name}", value, "a table of settings")
            changes[name] = from_dict(hints[name], value, f"{where}{name}.", getattr(base, name))
        else:
            changes[name] = _convert(value, hints[name], f"{where}{name}")
    return dataclasses.replace(base, **changes)


def load_config(path: str | Path, base: Config | None = None) -> Config:
    """The settings of a TOML file over `base` (or the defaults).

    Raises:
        ConfigError: the file is missing, is not TOML, or holds a bad setting.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the settings in {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    try:
        return from_dict(Config, values, base=base)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def dump_config(config: Config) -> str:
    """The settings as TOML text that `load_config` reads back to an equal Config."""
    return tomli_w.dumps(to_dict(config))
