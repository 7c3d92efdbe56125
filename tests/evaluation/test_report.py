"""An evaluation as text for the terminal."""

from caption_tx.evaluation.intervals import Interval
from caption_tx.evaluation.metrics import METRICS
from caption_tx.evaluation.report import _score_rows


def test_rows_show_the_intervals_that_exist():
    without = dict.fromkeys(METRICS, Interval(1.0))
    assert len(_score_rows("words", without)) == 1
    _, ends = _score_rows("words", without | {"cider": Interval(2.0, -1.0, 3.0)}, "+")
    assert ends.split() == ["95%", *("-" if metric != "cider" else "-1.0..+3.0" for metric in METRICS)]
