"""Captions grouped by image, and the rows that the graph lays out."""

import numpy as np
import tensorflow as tf

from caption_tx.data.batches.packing import pack_captions, row_packer
from caption_tx.data.text.tokenizer import TokenLists


def test_captions_are_grouped_by_image_and_laid_out_in_rows():
    images = ["001.png", "000.png", "001.png"]
    tokens = TokenLists(np.array([2, 7, 3, 2, 3, 2, 8, 9]), np.array([0, 3, 5, 8]))
    packed = pack_captions(images, tokens, np.array([0.5, 1.0, 2.0]))
    assert packed.images == ("001.png", "000.png")
    assert packed.caption_splits.tolist() == [0, 2, 3]
    assert [row.tolist() for row in packed.tokens] == [[2, 7, 3], [2, 8, 9], [2, 3]]
    assert packed.weights.tolist() == [0.5, 2.0, 1.0]
    assert packed.row_lengths().tolist() == [4, 1]
    rows = row_packer(packed)(tf.constant([1, 0]), tf.constant(5, tf.int64))
    # The last caption of the first image is truncated: its last token is a label, without an end token.
    assert {name: values.numpy().tolist() for name, values in rows.items()} == {
        "token_ids": [[2, 0, 0, 0, 0], [2, 7, 2, 8, 0]],
        "labels": [[3, 0, 0, 0, 0], [7, 3, 8, 9, 0]],
        "positions": [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0]],
        "segment_ids": [[1, 0, 0, 0, 0], [1, 1, 2, 2, 0]],
        "weights": [[1, 0, 0, 0, 0], [0.5, 0.5, 2, 2, 0]],
    }
    assert {rows[name].dtype for name in rows} == {tf.int32, tf.float32}


def test_no_captions_pack_to_no_rows(pack):
    assert pack({}).caption_splits.tolist() == [0]
