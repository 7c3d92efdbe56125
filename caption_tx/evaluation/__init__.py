"""How good captions and attention maps are. Importing it brings the scores of captions, and no TensorFlow."""

from caption_tx.evaluation.scores import METRICS, Health, Interval, Scores, score, score_humans

__all__ = ["METRICS", "Health", "Interval", "Scores", "score", "score_humans"]
