"""Caption any number of images into a file that a killed run resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from caption_tx.config import DecodingOptions
from caption_tx.data.images.forms import ImageLike, name_images
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError
from caption_tx.inference.base_captioner import BaseCaptioner
from caption_tx.inference.prediction_file import PredictionFile


@dataclass(frozen=True)
class CaptionCounts:
    """How many images `caption_to_file` captioned, skipped because the file has them, and could not read.

    Attributes:
        existing: images that were in the file at the start.
        converted: whether another program had saved the CSV file, which is now in its own format again.
        notes: lines about images that were read differently from how a viewer shows them.
    """

    captioned: int
    skipped: int
    failed: int
    existing: int
    converted: bool = False
    notes: tuple[str, ...] = field(default=(), repr=False)


def caption_to_file(
    captioner: BaseCaptioner,
    images: Iterable[ImageLike] | ImageLike,
    path: str | Path,
    options: DecodingOptions | None = None,
    *,
    batch_size: int = 64,
    retry_failed: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> CaptionCounts:
    """Caption the images that a file does not contain yet, and append them to it.

    Args:
        images: as for `ImageCaptioner.captions`.
        path: ends in .jsonl, .csv or .parquet.
        options: the search; None for that of the bundle.
        retry_failed: try images again that could not be read before.
        on_progress: called with the number of images that are done, skipped ones included.

    Raises:
        ConfigError: an option is out of range, the format is unknown or the folder is missing.
        CaptionTxError: the file was made with other options or by something else, or another process writes it.

    Example:
        >>> captioner = caption_tx.load("runs/mine/bundle")
        >>> caption_to_file(captioner, ["dog.jpg", "cat.jpg"], "captions.csv", DecodingOptions(beam_width=4))
        CaptionCounts(captioned=2, skipped=0, failed=0, existing=0, converted=False)
    """
    options, on_progress = options or captioner.decoding, on_progress or (lambda done: None)
    captioned, failed, source = 0, 0, open_images("")
    run = {"bundle": captioner.digest, **asdict(options)}
    with (
        PredictionFile(path, run, options.n_best, retry_failed) as file,
        closing(captioner.captions(file.remaining(name_images(images)), options, batch_size, source)) as results,
    ):
        for name, result in results:
            file.write(name, result)
            failed += isinstance(result, ImageError)
            captioned += not isinstance(result, ImageError)
            on_progress(captioned + failed + file.skipped)
        on_progress(captioned + failed + file.skipped)
    return CaptionCounts(
        captioned, file.skipped, failed, file.existing, file.converted, tuple(source.interpretation_notes())
    )
