"""Scores of captions and measurements of attention maps; importing it does not load TensorFlow."""

from caption_tx.evaluation.metrics import METRICS
from caption_tx.evaluation.scores import CaptionStatistics, Scores, score, score_humans

__all__ = ["METRICS", "CaptionStatistics", "Scores", "score", "score_humans"]
