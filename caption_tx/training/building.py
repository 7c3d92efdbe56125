"""Builds and compiles the model of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from caption_tx.data.preparation import TrainingData
from caption_tx.data.text.word_vectors import read_word_vectors
from caption_tx.threads import parallel_chunks
from caption_tx.training.box_loss import BoxLoss
from caption_tx.training.initialization import copy_captioner
from caption_tx.training.inputs import TrainingInputs
from caption_tx.training.keras_patches import patched
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
from caption_tx.training.optimizer import make_adam
from caption_tx.training.run import RunContext
from caption_tx.training.schedule import Stage, learning_rate_schedule
from caption_tx.training.training_model import TrainingModel, make_captioner


def build_model(run: RunContext, inputs: TrainingInputs, data: TrainingData) -> TrainingModel:
    """The model to train: with random weights or those of the initial bundle, its log prior adapted to the captions."""
    config, distribution, log = run.config, run.distribution, run.log
    vectors = None
    if config.text.word_vectors is not None:
        vectors = read_word_vectors(config.text.word_vectors, data.tokenizer.vocabulary)
        log(vectors.summary(data.label_counts))
        distribution.assert_same("word vectors", vectors.digest)
    distribution.assert_same("captions and images", data.fingerprint)
    if run.initial is not None:
        distribution.assert_same("initial bundle", run.initial.digest())
    rows_per_worker = math.ceil(config.training.batch_size / distribution.world_size)
    chunks = 1 if distribution.num_devices > 1 else min(parallel_chunks(), rows_per_worker)
    precision = config.training.precision
    log(f"Computing in {precision}" + (f", each batch in {chunks} parallel chunks." if chunks > 1 else "."))
    model_class = patched(TrainingModel, distribution)
    with distribution.strategy.scope():
        shape = inputs.backbone.feature_shape
        if run.initial is None:
            captioner = make_captioner(data.tokenizer.vocabulary_size, shape, config.model, precision, vectors)
        else:
            captioner = copy_captioner(run.initial, data.tokenizer.vocabulary, config.model, precision, log)
        backbone = None if inputs.cache is not None else inputs.backbone
        box_loss = BoxLoss.from_config(config.boxes)
        model = model_class(captioner, backbone, config.training.accumulation_steps, chunks, box_loss)
    entropy = captioner.token_output.adapt(data.label_counts)
    log(f"Before training, expect a loss near the marginal entropy: {entropy}.")
    log(f"The captioner has {captioner.count_params():,} parameters.")
    if run.verbose:
        captioner.summary(print_fn=lambda text, **_: log(text))
    return model


def compile_model(run: RunContext, model: TrainingModel, stages: Sequence[Stage]) -> None:
    """Compiles a model with its loss, its metrics, and an optimizer that follows the learning rate schedule."""
    training = run.config.training
    with run.distribution.strategy.scope():
        schedule = learning_rate_schedule(training, stages)
        model.compile(
            make_adam(schedule, training.clip_norm, run.distribution),
            MaskedLoss(training.label_smoothing),
            weighted_metrics=[TokenLoss(), TokenAccuracy()],
            jit_compile=False,
        )
