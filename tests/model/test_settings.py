"""The settings of a captioner are checked, and predict the shape of every weight that Keras saves."""

import h5py
import pytest

from caption_tx.errors import ConfigError
from caption_tx.model.captioner import Captioner
from caption_tx.model.settings import MAX_WEIGHTS, CaptionerSettings, weight_shapes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm_order": "post", "num_layers": 1},
        {"tie_embeddings": False},
        {"embedding_dim": 5, "freeze_embeddings": True},
        {"embedding_dim": 22, "num_layers": 12},
        {"freeze_embeddings": True, "tie_embeddings": False},
    ],
)
def test_the_shapes_are_those_of_the_saved_weights(sizes, changes, tmp_path):
    settings = CaptionerSettings(**(sizes | changes))
    Captioner(settings).save_weights(tmp_path / "model.weights.h5")
    saved = {}
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda name, item: saved.update({name: item.shape}) if isinstance(item, h5py.Dataset) else None)
    assert weight_shapes(settings) == saved


def test_too_many_weights_are_rejected_without_allocating_them(sizes):
    with pytest.raises(ConfigError, match=f"more than the limit of {MAX_WEIGHTS:,}"):
        CaptionerSettings(**(sizes | {"vocabulary_size": 1_000_000, "hidden_dim": 4096, "intermediate_dim": 1}))
