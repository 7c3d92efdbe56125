"""Scores of captions against what people wrote: `score` and what it gives. No TensorFlow."""

from caption_tx.evaluation.scores import METRICS, Health, Interval, Scores, score, score_people

__all__ = ["METRICS", "Health", "Interval", "Scores", "score", "score_people"]
