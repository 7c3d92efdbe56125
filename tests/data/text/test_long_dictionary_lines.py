"""User dictionaries with very long lines."""

import random
import time

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter


def test_long_lines_take_time_that_grows_with_their_length(tmp_path):
    letters = random.Random(0)
    lines = ["".join(chr(letters.randrange(0x4E00, 0x5E00)) for _ in range(400)) for _ in range(300)]
    (tmp_path / "words.txt").write_text("\n".join(lines), encoding="utf-8")
    start = time.process_time()
    segmenter = Segmenter(TextConfig(user_dictionary=str(tmp_path / "words.txt")))
    assert segmenter.segment(f"一只狗{lines[7]}")[-1] == lines[7]
    assert segmenter.dictionary_report().num_entries == 300
    assert time.process_time() - start < 6
