"""A bundle: a folder with everything that captioning needs and nothing that can run code.

`config.json` (settings, the backbone's key, checksums), `vocabulary.txt`, `model.weights.h5`,
and `user_dictionary.txt` where one was used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field, replace
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
from caption_tx.model.captioner import Captioner

FORMAT = 1
CONFIG, VOCABULARY, WEIGHTS, DICTIONARY = (
    "config.json",
    "vocabulary.txt",
    "model.weights.h5",
    "user_dictionary.txt",
)


@dataclass
class Bundle:
    """A trained captioner with its words and the description of its backbone.

    `backbone_key` is `Backbone.key` of the features it was trained on; `facts` are figures of the
    training run, kept for the reader.
    """

    captioner: Captioner
    tokenizer: Tokenizer
    text: TextConfig
    backbone: BackboneConfig
    backbone_key: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    def segmenter(self) -> Segmenter:
        """The segmenter its captions were made with."""
        return Segmenter(self.text)

    def load_backbone(self, weights: str | None = None) -> Backbone:
        """The backbone it was trained on.

        Raises:
            BundleError: these are other weights than it was trained on.
            ConfigError: the weights cannot be had.
        """
        chosen, own = weights, self.backbone.weights
        if chosen is None and own not in ("imagenet", "scenes") and not os.path.isfile(own):
            chosen = "imagenet"  # the path was of another machine; the digest below decides
        backbone = Backbone(self.backbone, chosen)
        differences = [name for name, value in self.backbone_key.items() if backbone.key.get(name) != value]
        if differences:
            raise BundleError(
                f"The backbone at hand differs in {', '.join(differences)} from the one this bundle was trained "
                f"on; name its weights with --backbone-weights or {WEIGHTS_ENV_VAR}."
            )
        return backbone


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _halve(path: Path) -> None:
    """Rounds the weights in the file to float16, half the bytes; loaded, they are float32 again."""

    def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            made = target.require_group(name)
        else:
            values = item[()]
            if values.dtype == np.float32:
                with np.errstate(over="ignore"):
                    values = values.astype(np.float16)
                if not np.isfinite(values).all():
                    raise BundleError(f"A weight in '{name}' is beyond float16, {np.finfo(np.float16).max}.")
            made = target.create_dataset(name, data=values)
        made.attrs.update(item.attrs)

    with h5py.File(path) as source, atomic_write(path) as file, h5py.File(file, "w") as target:
        target.attrs.update(source.attrs)
        source.visititems(copy)


def _write(bundle: Bundle, folder: Path, half: bool) -> None:
    """The files of the bundle into an empty folder."""
    bundle.tokenizer.save(folder / VOCABULARY)
    bundle.captioner.save_weights(folder / WEIGHTS)
    if half:
        _halve(folder / WEIGHTS)
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
        "captioner": bundle.captioner.settings,
        "facts": bundle.facts,
        "files": {path.name: _digest(path) for path in sorted(folder.iterdir())},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_bundle(bundle: Bundle, folder: str | Path, half: bool = False) -> None:
    """Writes the bundle; a folder that is there is replaced whole, or left as it was.

    Args:
        half: weights as float16, in half the bytes.

    Raises:
        BundleError: `half`, and a weight is beyond the numbers of float16.
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
    """Reads and verifies a bundle, that of a folder or one of `assets.SHIPPED_BUNDLES`.

    Raises:
        BundleError: something is missing, damaged, or made by a newer caption_tx.
    """
    folder = bundle_folder(folder)
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise BundleError(f"{path} is of format {config['format']}, this caption_tx reads {FORMAT}; upgrade it.")
        files = dict(config["files"])
        text = from_dict(TextConfig, config["text"], "text.")
        backbone = from_dict(BackboneConfig, config["backbone"], "backbone.")
        settings, key = dict(config["captioner"]), dict(config["backbone_key"])
        facts = dict(config.get("facts", {}))
    except OSError as error:
        raise BundleError(f"No bundle in {folder}: {CONFIG} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise BundleError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
    for name in {VOCABULARY, WEIGHTS} | set(files):
        if not (folder / name).is_file():
            raise BundleError(f"The bundle {folder} is incomplete: {name} is missing.")
        if _digest(folder / name) != files.get(name):
            raise BundleError(f"{folder / name} is damaged or was changed: its checksum differs from {CONFIG}.")
    tokenizer = Tokenizer.load(folder / VOCABULARY, text.language)
    if text.user_dictionary is not None:
        text = replace(text, user_dictionary=str(folder / text.user_dictionary))
    try:
        captioner = Captioner(**settings)
        captioner.load_weights(folder / WEIGHTS)
    except (ValueError, TypeError, OSError) as error:
        raise BundleError(f"The weights in {folder} do not fit its {CONFIG}: {error}") from error
    if captioner.vocabulary_size != tokenizer.vocabulary_size:
        raise BundleError(
            f"{folder / VOCABULARY} holds {tokenizer.vocabulary_size} tokens, the model {captioner.vocabulary_size}."
        )
    return Bundle(captioner, tokenizer, text, backbone, key, facts)
