"""Settings of small runs, and what tests read of them."""

import numpy as np
import pandas as pd
from PIL import Image

from caption_tx.training.checkpoint import RunCheckpoint

COLORS = {"红色": (220, 30, 30), "绿色": (30, 190, 40), "蓝色": (30, 50, 220), "黄色": (230, 220, 40)}
DEFAULTS = {
    "epochs": 4,
    "batch_size": 4,
    "patience": 4,
    "learning_rate": 0.01,
    "warmup_epochs": 0.5,
    "sample_count": 0,
    "sample_temperatures": (0.0,),
    "tensorboard": False,
    "label_smoothing": 0.0,
    "precision": "float32",
}


def write_colors(folder, captions):
    """Writes 40 images of one color each, with some noise, and what `captions` makes of its name; 8 for validation."""
    random = np.random.default_rng(0)
    lines = ["image\tcaption\tsplit"]
    for index in range(40):
        word, color = list(COLORS.items())[index % 4]
        pixels = np.clip(np.array(color) + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        lines += [f"{index}.png\t{text}\t{'val' if index >= 32 else 'train'}" for text in captions(word)]
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def quiet(text):
    """A log that discards its lines."""


def history(workdir):
    return pd.read_csv(workdir / "log.csv")


def interrupt(patch, at_epoch):
    """Makes `train` raise KeyboardInterrupt at the begin of the epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == at_epoch:
            raise KeyboardInterrupt

    patch.setattr(RunCheckpoint, "on_epoch_begin", on_epoch_begin)
