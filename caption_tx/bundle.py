"""Saves and loads a bundle: a folder with everything that captioning needs, and nothing that can run code.

config.json          settings, the backbone's key, checksums of the other files
vocabulary.txt       one token per line
model.weights.h5     the captioner's weights
user_dictionary.txt  only if captions were segmented with one
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from caption_tx import __version__
from caption_tx.assets import bundle_folder
from caption_tx.config import BackboneConfig, TextConfig, from_dict, to_dict
from caption_tx.data.features.backbone import WEIGHTS_ENV_VAR, Backbone
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import BundleError, ConfigError
from caption_tx.files import atomic_write
from caption_tx.model.captioner import Captioner, CaptionerSettings

FORMAT = 1
CONFIG, VOCABULARY, WEIGHTS, DICTIONARY = (
    "config.json",
    "vocabulary.txt",
    "model.weights.h5",
    "user_dictionary.txt",
)


@dataclass
class Bundle:
    """A trained captioner with its tokenizer and the description of its backbone.

    Attributes:
        captioner: the model.
        tokenizer: has the vocabulary of the model.
        text: how captions were segmented.
        backbone: the frozen image encoder.
        backbone_key: `Backbone.key` of the features that the captioner was trained on.
        facts: metrics of the training run, for information only.
    """

    captioner: Captioner
    tokenizer: Tokenizer
    text: TextConfig
    backbone: BackboneConfig
    backbone_key: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    def segmenter(self) -> Segmenter:
        """The segmenter that the training captions were segmented with."""
        return Segmenter(self.text)

    def load_backbone(self, weights: str | None = None) -> Backbone:
        """Loads the backbone that the captioner was trained on.

        Args:
            weights: file with the backbone's weights; by default the bundle's own setting.

        Raises:
            BundleError: the weights differ from those of the training.
            ConfigError: the weights cannot be loaded.
        """
        own = self.backbone.weights
        if weights is None and own not in ("imagenet", "scenes") and not os.path.isfile(own):
            weights = "imagenet"  # the path is of another machine; the key below detects other weights
        backbone = Backbone(self.backbone, weights)
        differences = [name for name, value in self.backbone_key.items() if backbone.key.get(name) != value]
        if differences:
            raise BundleError(
                f"The backbone differs from the one this bundle was trained on in {', '.join(differences)}; name the "
                f"right weights with --backbone-weights or {WEIGHTS_ENV_VAR}."
            )
        return backbone


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    config = {
        "format": FORMAT,
        "caption_tx": __version__,
        "text": to_dict(text),
        "backbone": to_dict(bundle.backbone),
        "backbone_key": bundle.backbone_key,
        "captioner": asdict(bundle.captioner.settings),
        "facts": bundle.facts,
        "files": {path.name: _digest(path) for path in sorted(folder.iterdir())},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f"{folder.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        _write(bundle, temporary, half)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if folder.exists():
        os.rename(folder, old)
    os.rename(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_bundle(folder: str | Path) -> Bundle:
    """Loads and verifies a bundle from a folder, or one of `assets.SHIPPED_BUNDLES` by name.

    The folder of a training run stands for the bundle in it.

    Raises:
        BundleError: a file is missing or damaged, or a newer caption_tx wrote the bundle.
    """
    folder = bundle_folder(folder)
    if not (folder / CONFIG).is_file() and (folder / "bundle" / CONFIG).is_file():
        folder = folder / "bundle"
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise BundleError(
                f"{path} has format {config['format']}, this version reads format {FORMAT}; upgrade caption_tx."
            )
        files = dict(config["files"])
        text = from_dict(TextConfig, config["text"], "text.")
        backbone = from_dict(BackboneConfig, config["backbone"], "backbone.")
        settings, key = dict(config["captioner"]), dict(config["backbone_key"])
        facts = dict(config.get("facts", {}))
    except OSError as error:
        reason = f"{CONFIG} cannot be read ({error.strerror})"
        if (folder / "config.toml").is_file():
            reason = "it is a training run that has not finished an epoch"
        raise BundleError(f"No bundle in {folder}: {reason}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise BundleError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
    for name in {VOCABULARY, WEIGHTS} | set(files):
        if not (folder / name).is_file():
            raise BundleError(f"The bundle {folder} is incomplete: {name} is missing.")
        if _digest(folder / name) != files.get(name):
            raise BundleError(f"{folder / name} is damaged or was modified: its checksum differs from {CONFIG}.")
    tokenizer = Tokenizer.load(folder / VOCABULARY, text.language)
    if text.user_dictionary is not None:
        text = replace(text, user_dictionary=str(folder / text.user_dictionary))
    try:
        captioner = Captioner(CaptionerSettings(**settings))
        captioner.load_weights(folder / WEIGHTS)
    except (ValueError, TypeError, OSError) as error:
        raise BundleError(f"The weights in {folder} do not fit its {CONFIG}: {error}") from error
    if captioner.vocabulary_size != tokenizer.vocabulary_size:
        raise BundleError(
            f"{folder / VOCABULARY} has {tokenizer.vocabulary_size} tokens, the model {captioner.vocabulary_size}."
        )
    return Bundle(captioner, tokenizer, text, backbone, key, facts)
