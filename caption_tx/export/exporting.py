"""Exports a bundle, verifies what was written, and describes it in a file beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from caption_tx import __version__
from caption_tx.assets import bundle_folder
from caption_tx.config import DecodingOptions, ExportOptions, to_dict
from caption_tx.errors import ConfigError
from caption_tx.export.graphs import CaptionGraphs, without_warnings
from caption_tx.export.litert import caption_functions, convert, part_functions
from caption_tx.export.savedmodel import write_saved_model
from caption_tx.export.verification import Verification, require_agreement, saved_model_captions, verify
from caption_tx.files import atomic_folder, temporary_folder
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.lite.captioner import LiteCaptioner
from caption_tx.lite.exported_file import (
    DESCRIPTION,
    DICTIONARY,
    FILE,
    FORMAT,
    SUFFIX,
    VOCABULARY,
    cached_export,
    file_digest,
)
from caption_tx.lite.interpreter import import_interpreter

CARD = "README.md"
DEFAULT_BEAM_WIDTH = 4
"""Hypotheses of the exported beam search of a bundle that is searched without a beam."""
PREPROCESSING = {
    "litert": "uint8 RGB from 0 to 255, upright, on white, scaled to a square of image_size with an antialiasing "
    "bilinear filter; the file converts these numbers itself",
    "savedmodel": "the bytes of image files",
}
"""What the caller passes as an image."""
_LICENSE = re.compile(r"licen[cs]|non-commercial", re.IGNORECASE)


@dataclass(frozen=True)
class ExportReport:
    """What `export_captioner` wrote.

    Attributes:
        path: the SavedModel's folder or the LiteRT file.
        bytes: size of all files.
        verification: how the export's captions differ from the bundle's.
        license: what the bundle's card says about its use; "" if it says nothing.
    """

    path: Path
    bytes: int
    verification: Verification
    license: str


def export_captioner(captioner: ImageCaptioner, out: str | Path, options: ExportOptions | None = None) -> ExportReport:
    """Export a captioner, caption images with the export and with the bundle, and keep it if they agree.

    Args:
        out: for a SavedModel a folder; for LiteRT a file NAME.tflite, or a folder for captioner.tflite. The folder gets
            export.json and the vocabulary too, so it may contain one LiteRT export.

    Raises:
        ConfigError: `out` has something else, or the images to verify with are missing.
        CaptionTxError: too few captions are equal; nothing is written.

    Example:
        >>> captioner = caption_tx.load("flickr8k-zh")  # doctest: +SKIP
        >>> options = ExportOptions(precision="float16")  # doctest: +SKIP
        >>> report = export_captioner(captioner, "phone/captioner.tflite", options)  # doctest: +SKIP
        >>> print(report.verification)  # doctest: +SKIP
        16 of 16 captions of rendered scenes are equal, similarity 1.000
    """
    options, out = options or ExportOptions(), Path(out)
    if options.beam_width is None:
        stored = captioner.decoding.beam_width
        options = replace(options, beam_width=stored if stored > 1 else DEFAULT_BEAM_WIDTH)
    write = _export_saved_model if options.to == "savedmodel" else _export_litert
    return write(captioner, out, options)


def export_to_cache(
    captioner: ImageCaptioner, bundle: str | Path, options: ExportOptions | None = None
) -> ExportReport:
    """Export a bundle to where `caption` and `explain` look for it, so that they start without TensorFlow.

    Args:
        bundle: name or folder of the bundle that the captioner was loaded from.

    Raises:
        ConfigError: the target is not LiteRT in float32.
        CaptionTxError: as for `export_captioner`.
    """
    options = options or ExportOptions()
    if options.to != "litert" or options.precision != "float32":
        raise ConfigError("The cache holds LiteRT files in float32, whose captions are those of the bundle.")
    path = cached_export(bundle_folder(bundle))
    if path is None:
        raise ConfigError(f"{bundle} is not the folder of a bundle.")
    return export_captioner(captioner, path, options)


def _export_saved_model(captioner: ImageCaptioner, out: Path, options: ExportOptions) -> ExportReport:
    if out.exists() and not (out / "saved_model.pb").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not a SavedModel; choose another folder.")
    with atomic_folder(out) as folder:
        write_saved_model(captioner, folder, options.beam_width)
        with without_warnings():
            loaded = tf.saved_model.load(str(folder))
        verification = verify(captioner, saved_model_captions(loaded, captioner), options)
        require_agreement(verification, options, out)
        signatures = {
            name: {
                "inputs": _describe_specs(function.structured_input_signature[1]),
                "outputs": _describe_specs(function.structured_outputs),
            }
            for name, function in loaded.signatures.items()
        }
        _write_description(captioner, folder, options, verification, {"signatures": signatures})
    return _report(captioner, out, [path for path in out.rglob("*") if path.is_file()], verification)


def _export_litert(captioner: ImageCaptioner, out: Path, options: ExportOptions) -> ExportReport:
    path = out if out.suffix == SUFFIX else out / FILE
    _check_neighbors(path)
    import_interpreter()  # now, rather than after the conversion
    graphs = CaptionGraphs(captioner)
    with temporary_folder(path) as folder:
        functions = caption_functions(graphs, options.beam_width)
        written = folder / path.name
        written.write_bytes(convert(functions, graphs.variables, options.precision))
        if options.parts:
            for name, function in part_functions(graphs).items():
                part = convert({name: function}, graphs.variables, options.precision)
                written.with_suffix(f".{name}{SUFFIX}").write_bytes(part)
        signatures = {
            name: {
                "inputs": _describe_specs({spec.name: spec for spec in function.input_signature}),
                "outputs": _describe_specs(function.get_concrete_function().structured_outputs),
            }
            for name, function in functions.items()
        }
        facts = {"file": path.name, "sha256": file_digest(written), "signatures": signatures}
        _write_description(captioner, folder, options, None, facts)
        verification = verify(captioner, partial(LiteCaptioner(written).captions, options=DecodingOptions()), options)
        require_agreement(verification, options, path)
        _write_description(captioner, folder, options, verification, facts)
        files = sorted(folder.iterdir(), key=lambda file: file.name == DESCRIPTION)  # the description last
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            os.replace(file, path.with_name(file.name))
    return _report(captioner, path, [path.with_name(file.name) for file in files], verification)


def _check_neighbors(path: Path) -> None:
    """Reject a folder whose vocabulary belongs to another file."""
    description = path.with_name(DESCRIPTION)
    try:
        other = json.loads(description.read_bytes())["file"] if description.exists() else path.name
    except (ValueError, KeyError, TypeError, OSError):
        other = "another file"
    if other != path.name:
        raise ConfigError(f"{description} describes {other}; choose another folder for {path.name}.")
    if not description.exists() and path.with_name(VOCABULARY).exists():
        raise ConfigError(f"{path.with_name(VOCABULARY)} would be replaced; choose another folder for {path.name}.")


def _write_description(
    captioner: ImageCaptioner,
    folder: Path,
    options: ExportOptions,
    verification: Verification | None,
    facts: dict[str, Any],
) -> None:
    """Write export.json, the vocabulary, the user dictionary and the bundle's card."""
    bundle, tokenizer = captioner.bundle, captioner.tokenizer
    tokenizer.save(folder / VOCABULARY)
    files, text = {VOCABULARY: file_digest(folder / VOCABULARY)}, bundle.text
    if text.user_dictionary is not None:
        shutil.copyfile(text.user_dictionary, folder / DICTIONARY)
        files[DICTIONARY] = file_digest(folder / DICTIONARY)
        text = replace(text, user_dictionary=DICTIONARY)
    settings = bundle.captioner.settings
    values = {
        "format": FORMAT,
        "caption_tx": __version__,
        "target": options.to,
        **facts,
        "bundle": Path(captioner.name).name,
        "bundle_digest": captioner.digest,
        "license": read_license(captioner),
        "precision": options.precision,
        "language": tokenizer.language,
        "text": to_dict(text),
        "image_size": captioner.image_size,
        "preprocessing": PREPROCESSING[options.to],
        "grid": list(settings.feature_shape[:2]),
        "layers": settings.num_layers,
        "heads": settings.num_heads,
        "max_length": captioner.max_length,
        "beam_width": options.beam_width,
        "pool": captioner.pool,
        "map_accuracy": dict(captioner.map_accuracy),
        "tokens": {
            "padding": tokenizer.pad_token_id,
            "start": tokenizer.start_token_id,
            "end": tokenizer.end_token_id,
            "suppressed": list(tokenizer.suppress_tokens),
        },
        "decoding": to_dict(bundle.decoding),
        "files": files,
        "verification": None if verification is None else asdict(verification),
    }
    (folder / DESCRIPTION).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe_specs(specs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> data type and shape of the inputs or outputs of a signature; None is any size."""
    return {name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for name, spec in specs.items()}


def read_license(captioner: ImageCaptioner) -> str:
    """The paragraph of the bundle's card that says how it may be used, or ""."""
    try:
        text = (bundle_folder(captioner.name) / CARD).read_text(encoding="utf-8")
    except OSError:
        return ""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return next((part for part in paragraphs if _LICENSE.search(part)), "")


def _report(captioner: ImageCaptioner, path: Path, files: list[Path], verification: Verification) -> ExportReport:
    return ExportReport(path, sum(file.stat().st_size for file in files), verification, read_license(captioner))
