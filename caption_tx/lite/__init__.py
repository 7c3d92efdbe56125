"""Captions and attention maps from an exported LiteRT file, with NumPy, Pillow and ai-edge-litert only.

`caption-tx export BUNDLE --to litert --out FILE.tflite` writes the file.

Example:
    >>> captioner = caption_tx.lite.load("export/captioner.tflite")
    >>> captioner.caption("photo.jpg").text
    '一只狗在草地上奔跑'
"""

from __future__ import annotations

from typing import Any

from caption_tx.lite.packages import LIBRARY, require_packages

__all__ = ["LiteCaptioner", "load"]


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, when all missing packages can be named at once."""
    if name not in __all__:
        raise AttributeError(f"module 'caption_tx.lite' has no attribute '{name}'")
    require_packages(LIBRARY, f"caption_tx.lite.{name}")
    from caption_tx.lite import captioner

    return getattr(captioner, name)
