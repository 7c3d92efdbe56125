"""Captions and attention maps from an exported LiteRT file, with NumPy, Pillow and ai-edge-litert only.

`caption-tx export BUNDLE --to litert --out FILE.tflite` writes the file.

Example:
    >>> captioner = caption_tx.lite.load("export/captioner.tflite")
    >>> captioner.caption("photo.jpg").text
    '一只狗在草地上奔跑'
"""

from caption_tx.lite.captioner import LiteCaptioner, load

__all__ = ["LiteCaptioner", "load"]
