"""Every setting and its default, once: frozen dataclasses <-> dict <-> TOML.

No TensorFlow here, so that the command line can show the defaults without loading it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from caption_tx.config.checks import check, check_temperature, convert
from caption_tx.config.decoding import DecodingOptions as DecodingOptions
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
"""Ways to make one map of those of all layers and heads."""

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
"""Number formats that the decoder computes in; its weights, logits and loss are float32 in each.

"auto" is mixed_bfloat16 where the machine multiplies it faster than float32, and float32 elsewhere."""

MONITORS = ("loss", "cider", "bleu4")
"""What can decide which epoch is best: the validation loss, or a score of captions of that split."""

T = TypeVar("T")

SPLITS = ("train", "val", "test")

FORMATS = (
    "parquet", "karpathy", "coco", "ai_challenger", "jsonl", "flickr30k", "csv", "tsv", "ofa", "coco_cn", "flickr8k",
    "pairs", "folder",
)  # fmt: skip
"""Layouts of caption files, in the order in which they are looked for (`data/corpus/formats.py`)."""

CAPTION_PROBLEMS = (
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
    in order; a source belongs to one, and with `training.mix_stages` to those before it too.
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
        check(bool(self.path), "source", self.path, "a path")
        check(self.split in (None, *SPLITS), f"split of {self.path}", self.split, f"one of {', '.join(SPLITS)}")
        check(self.origin in (None, *ORIGINS), f"origin of {self.path}", self.origin, f"one of {', '.join(ORIGINS)}")
        check(0 < self.weight < math.inf, f"weight of {self.path}", self.weight, "a number above 0")
        check(1 <= self.stage <= 100, f"stage of {self.path}", self.stage, "in 1 to 100")


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
            check(0 <= value < 1, f"corpus.{name}", value, "in [0, 1)")
        total = self.val_fraction + self.test_fraction
        check(total < 1, "corpus.val_fraction + corpus.test_fraction", total, "below 1")
        check(self.format in (None, *FORMATS), "corpus.format", self.format, f"one of {', '.join(FORMATS)}")
        for problem in self.leave_out:
            check(problem in CAPTION_PROBLEMS, "corpus.leave_out", problem, f"of {', '.join(CAPTION_PROBLEMS)}")
        for source in self.sources:
            parse_source(source)


@dataclass(frozen=True)
class TextConfig:
    """How a caption becomes words, and which words the model knows.

    `nfkc` folds full-width letters and other compatibility forms (Unicode NFKC); `script` "simplified"
    or "traditional" converts Chinese characters; None leaves them as they are. Token embeddings start from
    the `word_vectors` of a text file (`data/text/word_vectors.py`); `model.freeze_embeddings` keeps them so.
    """

    language: str = "zh"
    nfkc: bool = False
    script: str | None = None
    user_dictionary: str | None = None
    drop_one_letter_words: bool = False
    drop_words_with_digits: bool = False
    max_vocabulary_size: int = 20_000
    min_frequency: int = 4
    word_vectors: str | None = None

    def __post_init__(self) -> None:
        check(self.language in LANGUAGES, "text.language", self.language, f"one of {LANGUAGES}")
        check(self.script in (None, *SCRIPTS), "text.script", self.script, f"one of {', '.join(SCRIPTS)}")
        check(self.max_vocabulary_size > 4, "text.max_vocabulary_size", self.max_vocabulary_size, "above 4")
        check(self.min_frequency >= 1, "text.min_frequency", self.min_frequency, "at least 1")


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen image encoder: a network of `keras.applications`, by its name there, cut at `feature_layer`.

    What is None is the network's own (`data/features/networks.py`); the layer may be any with a grid or a vector
    for each image. `alpha` is the width of a MobileNet, V2 or V3. `weights` is "imagenet" (downloaded by Keras),
    "scenes" (the small MobileNet of this package), or the path of a file. `storage` is the number format of features.
    """

    name: str = "MobileNet"
    alpha: float = 1.0
    feature_layer: str | None = None
    image_size: int | None = None
    weights: str = "imagenet"
    storage: str | None = None

    def __post_init__(self) -> None:
        check(bool(self.name), "backbone.name", self.name, "a network of keras.applications")
        check(self.storage in (None, *STORAGES), "backbone.storage", self.storage, f"one of {', '.join(STORAGES)}")
        check(self.alpha > 0, "backbone.alpha", self.alpha, "above 0")
        check((self.image_size or 32) >= 32, "backbone.image_size", self.image_size, "at least 32 pixels")


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
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        for name in ("hidden_dim", "intermediate_dim", "num_layers", "num_heads"):
            check(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        check(self.max_length >= 2, "model.max_length", self.max_length, "at least 2 tokens")
        check(
            self.hidden_dim % self.num_heads == 0,
            "model.hidden_dim",
            self.hidden_dim,
            f"a multiple of num_heads ({self.num_heads})",
        )
        for name in ("dropout", "attention_dropout", "feature_dropout"):
            check(0 <= getattr(self, name) < 1, f"model.{name}", getattr(self, name), "in [0, 1)")
        check(self.norm_order in ("pre", "post"), "model.norm_order", self.norm_order, "'pre' or 'post'")


@dataclass(frozen=True)
class TrainingConfig:
    """One run of Keras `fit`. `batch_size` counts images; each brings all its captions.

    `precision` is one of `PRECISIONS`. `accumulation_steps`
    computes each batch in so many parts, one after another, where all of it at once would not fit in memory.
    Where sources name several stages, `epochs` counts all of them together; `stage_epochs` gives those
    of each stage but the last. Without it the earlier stages share 3 of 10 epochs. With `mix_stages` a stage also
    trains on the captions of those after it, so that sources drop out one after another. `flips` trains on mirrored
    images too, and `crops` on so many random crops of each, half of them mirrored.

    Every `score_every` epochs (0: never), and after the last, `score_images` images of the validation split are
    captioned, greedily or by a beam of `score_beam_width`, and scored. `monitor` decides which epoch is best and
    when to stop; where it is a score, only epochs that were scored can be best.
    """

    epochs: int = 14
    stage_epochs: tuple[int, ...] = ()
    mix_stages: bool = False
    batch_size: int = 32
    learning_rate: float = 5e-4
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    precision: str = "auto"
    accumulation_steps: int = 1
    patience: int = 3
    monitor: str = "loss"
    score_every: int = 0
    score_images: int = 200
    score_beam_width: int = 1
    flips: bool = False
    crops: int = 0
    cached: bool = True
    cache: str | None = None
    compression: str = "zlib"
    tensorboard: bool = True
    sample_images: tuple[str, ...] = ()
    sample_count: int = 3
    sample_temperatures: tuple[float, ...] = (0.0, 0.5, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ["epochs", "batch_size", "patience", "accumulation_steps", "score_images", "score_beam_width"]:
            check(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "at least 1")
        check(self.score_every >= 0, "training.score_every", self.score_every, "0 or more epochs")
        check(self.monitor in MONITORS, "training.monitor", self.monitor, f"one of {', '.join(MONITORS)}")
        check(
            self.monitor == "loss" or 1 <= self.score_every <= self.patience,
            "training.score_every",
            self.score_every,
            f"in 1 to training.patience ({self.patience}), since training.monitor is {self.monitor!r}",
        )
        check(self.compression in COMPRESSIONS, "training.compression", self.compression, f"one of {COMPRESSIONS}")
        check(self.precision in PRECISIONS, "training.precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        check(
            self.accumulation_steps <= self.batch_size,
            "training.accumulation_steps",
            self.accumulation_steps,
            f"at most training.batch_size ({self.batch_size})",
        )
        for value in self.stage_epochs:
            check(value >= 1, "training.stage_epochs", value, "at least 1 each")
        check(
            sum(self.stage_epochs) < self.epochs,
            "training.stage_epochs",
            list(self.stage_epochs),
            f"fewer than training.epochs ({self.epochs}) together, so that the last stage has some",
        )
        check(0 <= self.crops <= 64, "training.crops", self.crops, "in 0 to 64")
        check(not self.crops or self.flips, "training.crops", self.crops, "0 without training.flips")
        check(self.learning_rate > 0, "training.learning_rate", self.learning_rate, "above 0")
        check(self.warmup_epochs >= 0, "training.warmup_epochs", self.warmup_epochs, "0 or more")
        check(0 <= self.label_smoothing < 1, "training.label_smoothing", self.label_smoothing, "in [0, 1)")
        check(self.clip_norm > 0, "training.clip_norm", self.clip_norm, "above 0")
        check(self.sample_count >= 0, "training.sample_count", self.sample_count, "0 or more")
        check(0 <= self.seed < 2**31, "training.seed", self.seed, "in [0, 2**31)")
        for value in self.sample_temperatures:
            check_temperature(value, "training.sample_temperatures")


@dataclass(frozen=True)
class TuningConfig:
    """CIDEr fine-tuning of a trained bundle (`training/tuning/tune.py`).

    `samples` captions of each image are drawn at `temperature` and rated; the cross-entropy of people's captions,
    per token, counts `caption_share` beside the reward's loss. Tuning stops where the greedy captions of
    `score_images` images of the validation split hold fewer distinct ones than `least_distinct` of those at the start.
    """

    epochs: int = 3
    learning_rate: float = 1e-4
    batch_size: int = 64
    samples: int = 5
    temperature: float = 0.5
    caption_share: float = 0.2
    clip_norm: float = 1.0
    least_distinct: float = 0.75
    score_images: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "score_images"):
            check(getattr(self, name) >= 1, f"tuning.{name}", getattr(self, name), "at least 1")
        check(2 <= self.samples <= 100, "tuning.samples", self.samples, "in 2 to 100, since they are compared")
        for name in ("learning_rate", "temperature", "clip_norm"):
            check(0 < getattr(self, name) < math.inf, f"tuning.{name}", getattr(self, name), "above 0 and finite")
        check_temperature(self.temperature, "tuning.temperature")
        check(0 <= self.caption_share < math.inf, "tuning.caption_share", self.caption_share, "0 or more")
        check(0 <= self.least_distinct <= 1, "tuning.least_distinct", self.least_distinct, "in [0, 1]")
        check(0 <= self.seed < 2**31, "tuning.seed", self.seed, "in [0, 2**31)")


@dataclass(frozen=True)
class Config:
    """All settings of a run; what `config.toml` in a workdir holds."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    text: TextConfig = field(default_factory=TextConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.model.freeze_embeddings and self.text.word_vectors is None:
            raise ConfigError("model.freeze_embeddings keeps word vectors as they are; name them by text.word_vectors.")


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
            check(isinstance(value, dict), f"{where}{name}", value, "a table of settings")
            changes[name] = from_dict(hints[name], value, f"{where}{name}.", getattr(base, name))
        else:
            changes[name] = convert(value, hints[name], f"{where}{name}")
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
