"""Training with boxes: the targets of a run's captions, and the epoch from which they count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from caption_tx.data.batches.box_targets import BoxGrid, add_targets
from caption_tx.data.batches.packing import PackedCaptions
from caption_tx.data.boxes.readers import read_boxes
from caption_tx.data.boxes.words import read_box_words
from caption_tx.data.features.cache import content_hashes
from caption_tx.data.images.augmentation import Window, augmentation_window
from caption_tx.data.images.decoding import content_hash
from caption_tx.data.preparation import TrainingData
from caption_tx.errors import ConfigError
from caption_tx.training.inputs import TrainingInputs
from caption_tx.training.run import RunContext


class StartBoxes(keras.callbacks.Callback):
    """Switches the box loss on when its first epoch begins."""

    def __init__(self, first_epoch: int) -> None:
        super().__init__()
        self.first_epoch = first_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.box_scale.assign(float(epoch >= self.first_epoch))


def with_targets(run: RunContext, inputs: TrainingInputs, data: TrainingData) -> TrainingData:
    """The captions of a run with the boxes of their words; unchanged without boxes.

    Raises:
        CorpusError: a file of boxes or the word list cannot be read.
        ConfigError: no word of a training caption names a box.
    """
    config, log = run.config.boxes, run.log
    if not config.sources:
        return data
    table = read_boxes(config.sources, run.config.corpus.images)
    log(f"Boxes: {table.summary()}.")
    for note in table.notes:
        log(f"Boxes: {note}.")
    words = read_box_words(config.word_list)
    windows = _Windows(run, inputs)
    grid = tuple(inputs.backbone.feature_shape[:2])
    vocabulary = data.tokenizer.vocabulary
    total = 0

    def add(packed: PackedCaptions, name: str, views: int) -> PackedCaptions:
        nonlocal total
        boxes = table.match(packed.images)
        packed, count = add_targets(
            packed, vocabulary, BoxGrid(boxes, words, grid, lambda image: windows.of(image, views))
        )
        log(
            f"Boxes of {name}: {sum(map(bool, boxes.values())):,} of {len(packed.images):,} images have boxes, and "
            f"{count:,} words of their captions name one."
        )
        total += count if name != "val" else 0
        return packed

    views = 1 + run.config.training.flips + run.config.training.crops
    train = {
        stage: add(packed, "train" if len(data.train) == 1 else f"train, stage {stage}", views)
        for stage, packed in data.train.items()
    }
    val = None if data.val is None else add(data.val, "val", 1)
    if not total:
        raise ConfigError(
            "No word of a training caption names a box: compare image names, and the words with the names of the boxes "
            "(boxes.word_list, --box-words, for another language)."
        )
    return replace(data, train=train, val=val)


class _Windows:
    """What the augmentations of a run show of its images."""

    def __init__(self, run: RunContext, inputs: TrainingInputs) -> None:
        self._has_crops, self._images = run.config.training.crops > 0, inputs.images
        cached = self._has_crops and inputs.cache is not None
        self._contents = content_hashes(inputs.cache) if cached else {}

    def of(self, image: str, views: int) -> Sequence[Window]:
        """One window for each augmentation; crops depend on the content of the file."""
        content = self._contents.get(image, "")
        if self._has_crops and not content:
            content = content_hash(self._images.read_bytes(image))
        return [augmentation_window(index, content) for index in range(views)]
