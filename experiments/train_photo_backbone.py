"""Trains the small backbone for photographs that ships with the package.

A MobileNet with random weights learns to predict the features of Keras's ImageNet MobileNet ("teacher") from
photographs, at several depths. Both networks see the same random crop, mirrored or not, with other colors, and
sometimes blended with another photograph, as Beyer et al. (2021, "A good teacher is patient and consistent") do. No
weight of the teacher is copied. The result is `conv_pw_12_relu` of the student, in 8 bits.

COMMAND
    python experiments/train_photo_backbone.py --flickr8k DIR --more DIR DIR --out runs/photo --minutes 4.5 \\
        --batch-size 256 --learning-rate 4e-3 --check-every 12 [--teacher-weights FILE]

`flickr8k.py` describes the first folder; of its photographs only those of the training split are trained on. The others
contain any photographs. With the defaults it trains for 170 minutes on a CPU, in batches of 32.

HARDWARE  an NVIDIA H100, shared with twelve other processes
TIME      4.6 minutes of training: 24 epochs of 10,000 photographs (6,000 of the training split of Flickr8k, 3,000 of
          COCO, 1,000 of AI Challenger), 20 of them on small views. On two cores of an Intel Xeon, shared with other
          work, an epoch takes about 9 minutes on small views and 17 on full ones, so 24 epochs take 4 hours. Parts of
          a step of 32 small views on one core: augmentation 0.09 s, teacher 0.29 s, student forwards and backwards
          1.75 s, losses and optimizer 1.2 s. With alpha 0.5 a step takes 2.8 s instead of 3.3 s.
RESULT    cosine similarity with the teacher's features 0.8855 on the 1,000 validation photographs, in 8 bits as in
          float32. It was 0.694 after 12 epochs, when the averages of the norms lagged behind; on augmented training
          photographs it rose from 0.855 to 0.882. It still rises slowly. The file has 2.5 MB. Encoding takes as long as
          with the teacher, which has the same layers. Caption scores are in README.md.

Narrower students (`--alpha 0.5`, `--alpha 0.75`) have not been trained; they are hardly faster to train.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import ops
from PIL import Image

from caption_tx.data.features.eight_bit import load_eight_bit, save_eight_bit

SIZE = 224
CUT = "conv_pw_12"
DEPTHS = {"conv_pw_3": 0.2, "conv_pw_5": 0.3, "conv_pw_8": 0.4, "conv_pw_11": 0.6, CUT: 1.0}
"""Blocks whose outputs the student predicts, and their weights in the loss."""

CROP_ASPECT = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Views:
    """What both networks see of an image.

    Attributes:
        size: in pixels.
        area: range of a crop's area, as a fraction of the image's area.
        whole: share of the images that are not cropped.
    """

    size: int
    area: tuple[float, float]
    whole: float


SMALL = Views(size=160, area=(0.2, 0.9), whole=0.0)
"""For most epochs. Objects have about the same size in pixels as in `FULL`, and a step takes half of the time."""

FULL = Views(size=SIZE, area=(0.3, 1.0), whole=0.5)
SMALL_SHARE = 0.7
"""Share of the time that is spent on small views."""

WARMUP = 0.03
"""Share of the time in which the learning rate rises."""


def list_images(folder: Path) -> list[Path]:
    """All JPEG, PNG and WebP files of a folder, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})


def read_images(paths: Sequence[Path]) -> np.ndarray:
    """Decodes photographs once: uint8 (N, 224, 224, 3), squashed to squares."""
    images = np.empty((len(paths), SIZE, SIZE, 3), np.uint8)

    def read(row: int) -> None:
        with Image.open(paths[row]) as image:
            images[row] = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(read, range(len(paths))))
    return images


def mobilenet(alpha: float, policy: str) -> keras.Model:
    """A MobileNet up to `CUT` with random weights: images in [-1, 1] -> features (B, 7, 7, 1024 alpha)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        base = keras.applications.MobileNet(input_shape=(None, None, 3), alpha=alpha, include_top=False, weights=None)
    finally:
        keras.config.set_dtype_policy(before)
    return keras.Model(base.input, base.get_layer(f"{CUT}_relu").output)


def load_teacher(weights: str, policy: str) -> keras.Model:
    """The ImageNet MobileNet up to `CUT`."""
    full = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), include_top=False, weights="imagenet" if weights == "imagenet" else None
    )
    if weights != "imagenet":
        full.load_weights(weights)
    teacher = mobilenet(1.0, policy)
    teacher.set_weights([value for layer in full.layers[: len(teacher.layers)] for value in layer.get_weights()])
    return teacher


def interpolation(start: Any, extent: Any, size: int) -> Any:
    """Matrices (B, size, SIZE) that sample a line of an image at `size` points, bilinearly.

    Args:
        start, extent: where the samples begin, and how far they reach, as fractions of the line (B,).
    """
    points = (ops.arange(size, dtype="float32") + 0.5) / size
    points = (start[:, None] + extent[:, None] * points) * SIZE - 0.5  # (B, size)
    points = ops.clip(points, 0, SIZE - 1)
    return ops.relu(1 - ops.abs(points[:, :, None] - ops.arange(SIZE, dtype="float32")))


class Distiller(keras.Model):
    """Augments images and compares the student's features with the teacher's at every depth.

    Args:
        alpha: width of the student.
        teacher: the frozen network.
        mix: share of the images that are blended with another one.
    """

    def __init__(self, alpha: float, teacher: keras.Model, mix: float, policy: str, seed: int) -> None:
        super().__init__()
        self.student = mobilenet(alpha, policy)
        # A narrower student predicts the teacher's channels through a linear map, which is then discarded.
        suffix = "bn" if alpha == 1 else "relu"
        outputs = {depth: self.student.get_layer(f"{depth}_{suffix}").output for depth in DEPTHS}
        if alpha != 1:
            outputs = {
                depth: keras.layers.Conv2D(teacher.get_layer(f"{depth}_relu").output.shape[-1], 1, dtype=policy)(output)
                for depth, output in outputs.items()
            }
        self.predictor = keras.Model(self.student.input, outputs)
        self.whole = keras.Model(self.predictor.input, keras.layers.Activation("relu6", dtype="float32")(outputs[CUT]))
        self.teacher = keras.Model(
            teacher.input, {depth: teacher.get_layer(f"{depth}_relu").output for depth in DEPTHS}
        )
        self.teacher.trainable = False
        self.mix = mix
        self.views = FULL
        self.random = keras.random.SeedGenerator(seed)
        self.cosine = keras.metrics.Mean("cosine")
        self.errors = {depth: keras.metrics.Mean(f"error_{depth}") for depth in DEPTHS}

    def augment(self, images: Any) -> Any:
        """Images (B, H, W, 3) in [0, 255] -> random views of them in [-1, 1]."""
        count, views = ops.shape(images)[0], self.views

        def uniform(low: float, high: float, *shape: int) -> Any:
            return keras.random.uniform((count, *shape), low, high, seed=self.random)

        whole = ops.cast(uniform(0, 1) < views.whole, "float32")
        area = whole + (1 - whole) * uniform(*views.area)
        aspect = ops.exp((1 - whole) * uniform(*np.log(CROP_ASPECT)) / 2)
        height, width = ops.minimum(ops.sqrt(area) / aspect, 1.0), ops.minimum(ops.sqrt(area) * aspect, 1.0)
        left, top = uniform(0, 1) * (1 - width), uniform(0, 1) * (1 - height)
        mirrored = uniform(0, 1) < 0.5
        left, width = ops.where(mirrored, left + width, left), ops.where(mirrored, -width, width)
        rows = interpolation(top, height, views.size)  # (B, size, SIZE)
        columns = interpolation(left, width, views.size)
        images = ops.einsum("bhwc,byh->bywc", ops.cast(images, "float32"), rows)
        images = ops.einsum("bywc,bxw->byxc", images, columns)
        share = ops.where(uniform(0, 1) < self.mix, uniform(0.5, 1.0), 1.0)[:, None, None, None]
        images = share * images + (1 - share) * ops.flip(images, axis=0)
        contrast, brightness = uniform(0.6, 1.4, 1, 1, 1), uniform(-40, 40, 1, 1, 1)
        color = uniform(0.85, 1.15, 1, 1, 3)
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        images = ((images - mean) * contrast + mean) * color + brightness
        return ops.clip(images, 0, 255) / 127.5 - 1

    def call(self, images: Any, training: bool = False) -> dict[str, tuple[Any, Any]]:
        """uint8 images -> for every depth: the student's prediction, the teacher's features."""
        images = self.augment(images)
        targets = self.teacher(images, training=False)
        predictions = self.predictor(images, training=training)
        return {
            depth: (ops.cast(predictions[depth], "float32"), ops.cast(targets[depth], "float32")) for depth in DEPTHS
        }

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """Weighted squared errors, each relative to the variance of the teacher's features, and 1 - cosine at `CUT`.

        Predictions have no activation: one below 0 is right where the teacher's ReLU6 outputs 0, one above 6 where it
        outputs 6.
        """
        total = 0.0
        for depth, (predicted, target) in y_pred.items():
            error = predicted - target
            error = ops.where(target <= 0, ops.relu(error), ops.where(target >= 6, ops.minimum(error, 0), error))
            variance = ops.mean(ops.square(target - ops.mean(target, axis=(0, 1, 2))))
            relative = ops.mean(ops.square(error)) / variance
            self.errors[depth].update_state(relative)
            total = total + DEPTHS[depth] * relative
        predicted, target = y_pred[CUT]
        cosine = ops.mean(cosine_similarity(ops.relu6(predicted), target))
        self.cosine.update_state(cosine)
        return total + 1 - cosine


def cosine_similarity(a: Any, b: Any) -> Any:
    """Cosine of the angle between the channels of every cell: (B, h, w)."""
    norms = ops.sqrt(ops.sum(ops.square(a), -1) * ops.sum(ops.square(b), -1) + 1e-6)
    return ops.sum(a * b, -1) / norms


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Features of whole images, float32."""
    outputs = [network.predict_on_batch(images[i : i + 50] / np.float32(127.5) - 1) for i in range(0, len(images), 50)]
    return np.concatenate([np.asarray(output, np.float32) for output in outputs])


class Budget(keras.callbacks.Callback):
    """Trains for a given time, whatever the machine: the learning rate follows a cosine over it, after a warm-up."""

    def __init__(self, seconds: float, learning_rate: float) -> None:
        super().__init__()
        self.seconds, self.learning_rate, self.end = seconds, learning_rate, 1.0
        self.start: float | None = None

    @property
    def progress(self) -> float:
        """The elapsed share of the time, from the first batch on."""
        return 0.0 if self.start is None else (time.perf_counter() - self.start) / self.seconds

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        done = min(self.progress, 1.0)
        rate = min(done / WARMUP, 1.0) * 0.5 * (1 + math.cos(math.pi * done))
        self.model.optimizer.learning_rate = self.learning_rate * max(rate, 1e-3)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.start = self.start or time.perf_counter()  # after the first batch, which compiles
        self.model.stop_training = self.progress >= self.end


class Check(keras.callbacks.Callback):
    """Measures the cosine similarity on validation photographs every few epochs, and keeps the weights."""

    def __init__(self, images: np.ndarray, targets: np.ndarray, budget: Budget, arguments: argparse.Namespace) -> None:
        super().__init__()
        self.images, self.targets, self.budget, self.out = images, targets, budget, arguments.out
        self.every = arguments.check_every
        self.receipt: list[dict[str, float]] = []
        self.out.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self.every == 0:
            self.measure(epoch, logs or {})

    def measure(self, epoch: int, logs: dict[str, float]) -> None:
        """Writes the student's weights and a line of the receipt."""
        cosine = float(np.mean(cosine_similarity(predict(self.model.whole, self.images), self.targets)))
        minutes = self.budget.progress * self.budget.seconds / 60
        losses = {name: round(float(value), 5) for name, value in logs.items()}
        self.receipt.append({"epoch": epoch + 1, "minutes": round(minutes, 2), "val_cosine": round(cosine, 5)} | losses)
        save_eight_bit(self.model.student, self.out / "photo_mobilenet.weights.h5")
        (self.out / "receipt.json").write_text(json.dumps(self.receipt, indent=1) + "\n", encoding="utf-8")
        print(f"epoch {epoch + 1}, {minutes:.1f} minutes: validation cosine similarity {cosine:.4f}", flush=True)


def distill(distiller: Distiller, images: np.ndarray, budget: Budget, check: Check, batch_size: int, xla: bool) -> None:
    """Trains on small views for most of the time, then on full ones."""
    optimizer = keras.optimizers.AdamW(budget.learning_rate, weight_decay=0.01, clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    distiller.compile(optimizer, jit_compile=xla)
    images = images[: len(images) // batch_size * batch_size]
    epoch, logs = 0, {}
    for distiller.views, budget.end in ((SMALL, SMALL_SHARE), (FULL, 1.0)):
        distiller.train_function = None  # compile it again, for the other size
        history = distiller.fit(
            images,
            batch_size=batch_size,
            initial_epoch=epoch,
            epochs=100_000,
            verbose=2,
            callbacks=[budget, check],
        )
        epoch += len(history.epoch)
        logs = {name: values[-1] for name, values in history.history.items()}
    check.measure(epoch - 1, logs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="folders of other photographs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher-weights", default="imagenet")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=170, help="time to train")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--mix", type=float, default=0.3, help="share of images blended with another")
    parser.add_argument("--precision", default="float32", help="bfloat16 is slower on CPUs")
    parser.add_argument(
        "--xla", action="store_true", help="compile with XLA, which is faster on GPUs and slower on CPUs"
    )
    parser.add_argument("--limit", type=int, help="train on this many photographs only")
    parser.add_argument("--val-limit", type=int, help="validate on this many photographs only")
    parser.add_argument("--check-every", type=int, default=5, help="epochs between two validations")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)

    train, val = (
        [arguments.flickr8k / "images" / f"{name}.jpg" for name in (arguments.flickr8k / file).read_text().split()]
        for file in ("flickr8ktrain.txt", "flickr8kval.txt")
    )
    train += [path for folder in arguments.more for path in list_images(folder)]
    rng = np.random.default_rng(arguments.seed)
    train = [train[row] for row in rng.permutation(len(train))][: arguments.limit]
    images, val_images = read_images(train), read_images(val[: arguments.val_limit])
    print(f"{len(images):,} photographs to train on, {len(val_images):,} to validate on", flush=True)

    targets = predict(load_teacher(arguments.teacher_weights, "float32"), val_images)
    teacher = load_teacher(arguments.teacher_weights, arguments.precision)
    budget = Budget(60 * arguments.minutes, arguments.learning_rate)
    check = Check(val_images, targets, budget, arguments)
    distiller = Distiller(arguments.alpha, teacher, arguments.mix, arguments.precision, arguments.seed)
    distill(distiller, images, budget, check, arguments.batch_size, arguments.xla)
    if arguments.alpha == 1:
        student = mobilenet(1.0, "float32")
        load_eight_bit(student, arguments.out / "photo_mobilenet.weights.h5")
        cosine = float(np.mean(cosine_similarity(predict(student, val_images), targets)))
        print(f"in 8 bits: cosine similarity {cosine:.4f}")


if __name__ == "__main__":
    main()
