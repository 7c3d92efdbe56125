"""Saves and loads a bundle: a folder with everything that captioning needs, and nothing that can run code.

config.json          settings, the default search, the backbone's key, checksums of the other files
vocabulary.txt       one token per line
model.weights.h5     the captioner's weights
user_dictionary.txt  only if captions were segmented with one
retrieval.h5         only with a retrieval index: features and captions of training images
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from caption_tx import __version__
from caption_tx.assets import bundle_folder
from caption_tx.bundle_config import (
    CONFIG,
    DICTIONARY,
    FORMAT,
    RETRIEVAL,
    VOCABULARY,
    WEIGHTS,
    parse_config,
    read_config,
)
from caption_tx.bundle_files import check_files, digest
from caption_tx.config import (
    DEFAULT_POOL,
    NAMED_WEIGHTS,
    POOL_NAMES,
    BackboneConfig,
    DecodingOptions,
    TextConfig,
    to_dict,
)
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR
from caption_tx.data.features.retrieval_index import RetrievalIndex
from caption_tx.data.text.segmentation import Segmenter, read_user_dictionary
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import BundleError, ConfigError
from caption_tx.escaping import one_line
from caption_tx.files import atomic_folder, atomic_write, explain_failed_write, find_leftovers, write_atomically
from caption_tx.model.captioner import Captioner

_GREEDY = DecodingOptions()


@dataclass(repr=False)
class Bundle:
    """A trained captioner with its tokenizer and the description of its backbone.

    Attributes:
        captioner: the model.
        tokenizer: has the vocabulary of the model.
        text: how captions were segmented.
        backbone: the frozen image encoder.
        backbone_key: `Backbone.key` of the features that the captioner was trained on.
        facts: metrics of the training run, for information only, except for `pool`.
        decoding: the search that captions are made with unless other options are given; greedy by default.
        retrieval: training images and their captions, for searches with `retrieval`; None without.
    """

    captioner: Captioner
    tokenizer: Tokenizer
    text: TextConfig
    backbone: BackboneConfig
    backbone_key: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    retrieval: RetrievalIndex | None = None

    def __repr__(self) -> str:
        words, backbone = self.tokenizer.vocabulary_size, self.backbone
        size = f" at {backbone.image_size} pixels" if backbone.image_size else ""
        return f"Bundle(language '{self.text.language}', {words:,} tokens, backbone {backbone.name}{size})"

    @property
    def pool(self) -> str:
        """The pooling of attention maps that boxes or the deletion check chose after training, or `DEFAULT_POOL`."""
        attention = self.facts.get("attention")
        pool = attention.get("pool") if isinstance(attention, dict) else None
        return pool if pool in POOL_NAMES else DEFAULT_POOL

    @property
    def map_accuracy(self) -> dict[str, float]:
        """How often the highest point of a word's map is in its boxes, in [0, 1], for the measured kinds of words."""
        attention = self.facts.get("attention")
        words = attention.get("words") if isinstance(attention, dict) else None
        found = {}
        for kind, values in words.items() if isinstance(words, dict) else ():
            value = values.get("pointing") if isinstance(values, dict) else None
            if isinstance(value, (int, float)) and 0 <= value <= 1:
                found[kind] = float(value)
        return found

    def digest(self) -> str:
        """SHA-256 of everything that determines the captions: settings, weights, vocabulary, language, backbone."""
        tokenizer, settings = self.tokenizer, asdict(self.captioner.settings)
        facts = [settings, tokenizer.vocabulary, tokenizer.language, self.backbone_key]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for weight in self.captioner.weights:
            digest.update(np.ascontiguousarray(weight.numpy(), "<f4").tobytes())
        if self.retrieval is not None:
            for array in self.retrieval.arrays().values():
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def segmenter(self) -> Segmenter:
        """The segmenter that the training captions were segmented with."""
        return Segmenter(self.text)

    def load_backbone(self, weights: str | None = None) -> Backbone:
        """Loads the backbone that the captioner was trained on.

        A path in `backbone.weights` is never opened, since a bundle may come from someone else.

        Args:
            weights: file with the backbone's weights; by default "scenes", "photos" or "imagenet", of which the
                environment variable `WEIGHTS_ENV_VAR` replaces the last.

        Raises:
            BundleError: the weights differ from those of the training.
            ConfigError: the weights cannot be loaded.
        """
        own = self.backbone.weights
        is_path = own not in NAMED_WEIGHTS
        hint = ""
        if weights is None and is_path:
            name = one_line(re.split(r"[/\\]", own)[-1])[:80]
            hint = f"The bundle was trained with the backbone weights in a file '{name}', which is not part of it. "
        try:
            backbone = Backbone(self.backbone, weights or ("imagenet" if is_path else own))
        except ConfigError as error:
            if not hint:
                raise
            raise ConfigError(f"{hint}{error}") from None
        self.check_backbone(backbone, hint)
        return backbone

    def check_backbone(self, backbone: Backbone, hint: str = "") -> None:
        """Raises a BundleError, which begins with `hint`, if the captioner was trained on another backbone."""
        own, key = self.backbone_key, backbone.key
        differences = [name for name, value in own.items() if key.get(name) != value]
        if differences == ["weights_sha256"]:
            trained = f"'{self.backbone.weights}', " if self.backbone.weights in NAMED_WEIGHTS else ""
            expected, found = (digest[:12] for digest in (own["weights_sha256"], key["weights_sha256"]))
            raise BundleError(
                f"{hint}The backbone weights '{backbone.loaded_weights}' are not those this bundle was trained on "
                f"({trained}weights_sha256 {expected}.., got {found}..); name the right weights with backbone_weights "
                f"(--backbone-weights) or {WEIGHTS_ENV_VAR}."
            )
        if differences:
            values = ", ".join(f"{name} ({own[name]!r}, got {key.get(name)!r})" for name in differences)
            raise BundleError(
                f"{hint}The backbone differs from the one this bundle was trained on in {values}; use its settings and "
                "weights."
            )


def _store_as_float16(path: Path) -> None:
    """Rounds the weights in an HDF5 file to float16, which halves its size; they load as float32 again."""

    def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            copied = target.require_group(name)
        else:
            values = item[()]
            if values.dtype == np.float32:
                with np.errstate(over="ignore"):
                    values = values.astype(np.float16)
                if not np.isfinite(values).all():
                    raise BundleError(
                        f"A weight in '{name}' exceeds the largest float16, {np.finfo(np.float16).max}; save the "
                        "bundle in float32."
                    )
            copied = target.create_dataset(name, data=values)
        copied.attrs.update(item.attrs)

    with h5py.File(path) as source, atomic_write(path) as file, h5py.File(file, "w") as target:
        target.attrs.update(source.attrs)
        source.visititems(copy)


def _write(bundle: Bundle, folder: Path, half: bool) -> None:
    """Writes the files of a bundle into an empty folder."""
    bundle.tokenizer.save(folder / VOCABULARY)
    bundle.captioner.save_weights(folder / WEIGHTS)
    if half:
        _store_as_float16(folder / WEIGHTS)
    text = bundle.text
    if text.user_dictionary is not None:
        shutil.copyfile(text.user_dictionary, folder / DICTIONARY)
        text = replace(text, user_dictionary=DICTIONARY)
    if bundle.retrieval is not None:
        bundle.retrieval.save(folder / RETRIEVAL, bundle.tokenizer.vocabulary_size)
    config = {
        "format": FORMAT,
        "caption_tx": __version__,
        "text": to_dict(text),
        "backbone": to_dict(bundle.backbone),
        "backbone_key": bundle.backbone_key,
        "captioner": asdict(bundle.captioner.settings),
        **_decoding_section(bundle.decoding),
        **({} if bundle.retrieval is None else {"retrieval": asdict(bundle.retrieval.sizes)}),
        "facts": bundle.facts,
        "files": {path.name: digest(path, path.stat().st_size) for path in sorted(folder.iterdir())},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    read_config(folder)  # such as facts that are too large to be loaded again


def _decoding_section(decoding: DecodingOptions) -> dict[str, Any]:
    """The section of config.json with the default search, which bundles with greedy search do not have."""
    return {} if decoding == _GREEDY else {"decoding": to_dict(decoding)}


def save_bundle(bundle: Bundle, folder: str | Path, half: bool = False) -> None:
    """Writes a bundle; an existing folder is replaced completely, or stays unchanged if writing fails.

    Args:
        bundle: what to save.
        folder: where; missing parents are created.
        half: store weights as float16, in half the size.

    Raises:
        BundleError: a weight does not fit in float16, and `half` is set.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover_bundle(folder)
    with explain_failed_write(folder), atomic_folder(folder) as temporary:
        _write(bundle, temporary, half)


def store_search(folder: str | Path, decoding: DecodingOptions) -> None:
    """Makes a search the default of a bundle on disk. Only config.json is written; all other files stay the same.

    Raises:
        BundleError: there is no valid bundle, or the search does not fit its captioner.
    """
    folder = bundle_folder(folder)
    read_config(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    section = _decoding_section(decoding)
    values: dict[str, Any] = {}
    for name, value in config.items():
        if name != "decoding":
            values |= {name: value} | (section if name == "captioner" else {})
    parse_config(values)
    write_atomically(folder / CONFIG, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def stored_search(folder: str | Path, default: DecodingOptions = _GREEDY) -> DecodingOptions:
    """The default search of a bundle on disk, or `default` if there is no valid bundle."""
    try:
        return read_config(bundle_folder(folder)).decoding
    except BundleError:
        return default


def is_saved(folder: str | Path, captioner: Captioner, facts: dict[str, Any]) -> bool:
    """Whether a bundle has these weights and facts, and the measured facts about its maps.

    Saving it again could change its checksums, since the file of weights has the names of layers.
    """
    try:
        saved = load_bundle(folder)
    except BundleError:
        return False
    weights, own = saved.captioner.get_weights(), captioner.get_weights()
    same = len(weights) == len(own) and all(map(np.array_equal, weights, own))
    return same and saved.facts == {"attention": saved.facts.get("attention")} | facts


def recover_bundle(folder: str | Path, locked: bool = False) -> None:
    """Restores a bundle whose replacement was killed between two renames, and removes what killed processes left.

    Args:
        folder: of the bundle, which may be missing.
        locked: whether the caller has a lock on the folder that contains it.
    """
    folder = Path(folder)
    leftovers = find_leftovers(folder.parent, f"{folder.name}.", locked) if folder.parent.is_dir() else []
    for path in sorted(leftovers, key=lambda path: path.suffix):  # .old before .tmp
        if path.suffix == ".old" and not folder.exists():
            os.rename(path, folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


def load_bundle(folder: str | Path) -> Bundle:
    """Loads and verifies a bundle from a folder, from the Hub, or one of `assets.SHIPPED_BUNDLES` by name.

    The folder of a training run stands for the bundle in it. Everything is validated before a layer is created, and no
    file outside the folder is opened. The captioner computes in float32, whatever the precision policy of the process.

    Raises:
        BundleError: a file is missing or damaged, a setting is unknown or out of range, or a newer caption_tx wrote the
            bundle.
    """
    folder = bundle_folder(folder)
    config = read_config(folder)
    check_files(folder, config)
    text = config.text
    tokenizer = Tokenizer.load(folder / VOCABULARY, text.language)
    if text.user_dictionary is not None:
        text = replace(text, user_dictionary=str(folder / text.user_dictionary))
        try:
            read_user_dictionary(text.user_dictionary)
        except (ConfigError, ValueError) as error:
            raise BundleError(f"{folder / DICTIONARY} is not a user dictionary: {one_line(str(error))}") from error
    captioner = Captioner(config.settings, dtype="float32")
    try:
        captioner.load_weights(folder / WEIGHTS)
    except Exception as error:
        raise BundleError(f"The weights in {folder / WEIGHTS} cannot be loaded: {one_line(str(error))}") from error
    retrieval = None if config.retrieval is None else RetrievalIndex.load(folder / RETRIEVAL)
    key, facts = config.backbone_key, config.facts
    return Bundle(captioner, tokenizer, text, config.backbone, key, facts, config.decoding, retrieval)
