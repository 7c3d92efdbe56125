"""A photograph and maps of one cell."""

import numpy as np
import pytest

ROWS, COLUMNS = 3, 5


@pytest.fixture(scope="package")
def image():
    return np.random.default_rng(0).integers(90, 160, (79, 113, 3), dtype=np.uint8)


@pytest.fixture(scope="package")
def one_cell():
    """Makes a (3, 5) map with all attention on one cell."""

    def make(row, column):
        attention_map = np.zeros((ROWS, COLUMNS), np.float32)
        attention_map[row, column] = 1
        return attention_map

    return make


@pytest.fixture(scope="package")
def is_colorful():
    """Maps pixels (.., 3) to whether they are colorful rather than gray."""

    def check(pixels):
        pixels = np.asarray(pixels).astype(int)
        return pixels.max(axis=-1) - pixels.min(axis=-1) > 25

    return check
