"""Train an image captioner on your own captions, and see where it looked for every word."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "AttentionMaps": "caption_tx.inference.attention.maps",
    "Caption": "caption_tx.inference.search.caption",
    "CaptionTxError": "caption_tx.errors",
    "Config": "caption_tx.config",
    "DecodingOptions": "caption_tx.config",
    "ImageCaptioner": "caption_tx.inference.captioner",
    "export_captioner": "caption_tx.export.exporting",
    "load": "caption_tx.inference.captioner",
    "load_config": "caption_tx.config",
    "read_corpus": "caption_tx.data.corpus.table",
    "TuningConfig": "caption_tx.config",
    "train": "caption_tx.training.fit",
    "tune": "caption_tx.training.tuning.tune",
}

__all__ = sorted([*_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, since TensorFlow takes seconds to load."""
    if name not in _MODULES:
        raise AttributeError(f"module 'caption_tx' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
