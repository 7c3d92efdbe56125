"""Train an image captioner on your own captions, and see where it looked for every word."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from caption_tx.startup import silence_tensorflow, silence_tqdm, silenced_stderr

__version__ = "0.1.0"

_MODULES = {
    "AttentionMaps": "caption_tx.inference.page.display",
    "Backbone": "caption_tx.data.features.backbone",
    "Caption": "caption_tx.inference.search.caption",
    "caption_batches": "caption_tx.data.batches.in_memory",
    "Captioner": "caption_tx.model.captioner",
    "CaptionerSettings": "caption_tx.model.settings",
    "CaptionTxError": "caption_tx.errors",
    "check_corpus": "caption_tx.api.corpora",
    "Config": "caption_tx.config",
    "DecodingOptions": "caption_tx.config",
    "evaluate": "caption_tx.api.corpora",
    "features": "caption_tx.api.corpora",
    "ImageCaptioner": "caption_tx.inference.captioner",
    "export_captioner": "caption_tx.export.exporting",
    "load": "caption_tx.inference.captioner",
    "load_config": "caption_tx.config",
    "MaskedLoss": "caption_tx.training.objective",
    "push_to_hub": "caption_tx.api.sharing",
    "read_corpus": "caption_tx.data.corpus.table",
    "Run": "caption_tx.api.runs",
    "SampleCaptions": "caption_tx.training.callbacks",
    "SampleImages": "caption_tx.training.callbacks",
    "TokenAccuracy": "caption_tx.training.objective",
    "Tokenizer": "caption_tx.data.text.tokenizer",
    "TokenLoss": "caption_tx.training.objective",
    "TuningConfig": "caption_tx.config",
    "train": "caption_tx.api.runs",
    "tune": "caption_tx.api.runs",
}

__all__ = sorted([*_MODULES, "__version__"])

silence_tensorflow()
silence_tqdm()


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, since TensorFlow takes seconds to load."""
    if name not in _MODULES:
        raise AttributeError(f"module 'caption_tx' has no attribute '{name}'")
    try:
        if "tensorflow" in sys.modules:
            return getattr(importlib.import_module(_MODULES[name]), name)
        with silenced_stderr():
            return getattr(importlib.import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if importlib.util.find_spec("tensorflow") is not None:
            raise
        raise ModuleNotFoundError(
            f"caption_tx.{name} needs TensorFlow, which is not installed; `pip install caption_tx` installs it. "
            "Without it, `caption_tx.lite.load` captions and explains with an exported file (.tflite).",
            name=error.name,
        ) from None


def __dir__() -> list[str]:
    return __all__
