"""Settings of an export: the target, the precision of its weights, and how the result is verified."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import Bounds, setting, validate
from caption_tx.errors import ConfigError

EXPORT_TARGETS = ("savedmodel", "litert")
EXPORT_PRECISIONS = ("float32", "float16", "int8")

MIN_AGREEMENT = {"float32": 0.98, "float16": 0.95, "int8": 0.5}
"""The share of equal captions below which an export fails, by precision."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how to verify it.

    Attributes:
        to: "savedmodel", for servers, or "litert", for phones and for starting without TensorFlow.
        precision: of the weights of a LiteRT file.
        parts: also write the encoder and one step of the decoder as files of their own.
        beam_width: hypotheses of the beam search in the export; None for that of the bundle's own search, or 4.
        verify_images: folder with photographs to compare the export with the bundle on; None renders scenes.
        verify_captions: a caption file of these photographs, for CIDEr of the export and of the bundle.
        verify_limit: most images to compare.
        min_agreement: an export fails below this share of equal captions; None depends on the precision.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or options are incompatible.
    """

    to: str = setting("litert", "what to write", flag="--to", choices=EXPORT_TARGETS)
    precision: str = setting(
        "float32", "number format of the weights of a LiteRT file", flag="--precision", choices=EXPORT_PRECISIONS
    )
    parts: bool = setting(
        False, "also write the encoder and one step of the decoder, for GPU delegates without loops", flag="--parts"
    )
    beam_width: int | None = setting(
        None,
        "number of hypotheses of the exported beam search",
        flag="--beam-width",
        bounds=Bounds(minimum=2, maximum=100),
        unset="that of the bundle's own search, or 4",
    )
    verify_images: str | None = setting(
        None,
        "compare the export with the bundle on these photographs",
        flag="--verify-images",
        metavar="DIR",
        unset="rendered scenes",
    )
    verify_captions: str | None = setting(
        None, "captions of these photographs, to compare CIDEr", flag="--verify-captions", metavar="FILE"
    )
    verify_limit: int = setting(
        100, "most images to compare", flag="--verify-limit", bounds=Bounds(minimum=1, maximum=1_000_000)
    )
    min_agreement: float | None = setting(
        None,
        "fail if a smaller share of the captions is equal",
        flag="--min-agreement",
        bounds=Bounds(minimum=0, maximum=1),
        unset="0.98, 0.95 for float16 or 0.5 for int8",
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.to != "litert" and (self.precision != "float32" or self.parts):
            raise ConfigError(
                "precision and parts are for LiteRT files; remove them, or use to 'litert' (--to litert)."
            )
        if self.verify_captions is not None and self.verify_images is None:
            raise ConfigError("verify_captions needs verify_images, the folder of the photographs.")

    @property
    def required_agreement(self) -> float:
        """`min_agreement`, or the default of the precision."""
        return MIN_AGREEMENT[self.precision] if self.min_agreement is None else self.min_agreement
