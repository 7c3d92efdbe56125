"""Importing the package and loading a bundle write nothing to standard error, not even the C++ code of TensorFlow."""

import os

import pytest

from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR
from caption_tx.startup import silenced_stderr

CODE = """
import caption_tx, os, sys
captioner = caption_tx.load(sys.argv[1], os.environ["WEIGHTS"])
import numpy as np
captioner.caption(np.zeros((8, 8, 3), np.uint8))
caption_tx.AttentionMaps, caption_tx.train
os.write(2, b"END")
"""


@pytest.mark.parametrize("verbose", ["", "1"])
def test_descriptor_2_is_silenced_unless_verbose(capfd, monkeypatch, verbose):
    monkeypatch.setenv("CAPTION_TX_VERBOSE", verbose)
    with pytest.raises(ValueError, match="of Python"), silenced_stderr():
        os.write(2, b"of C++")
        raise ValueError("of Python")
    os.write(2, b"after")
    assert capfd.readouterr().err == ("of C++after" if verbose else "after")


@pytest.mark.slow
def test_loading_is_quiet(one_layer_bundle, run_python, monkeypatch):
    monkeypatch.setenv("WEIGHTS", os.environ[WEIGHTS_ENV_VAR])
    # As in a notebook, nothing has set TensorFlow's log level.
    code = f"import os; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None)\n{CODE}"
    process = run_python(code, one_layer_bundle)
    assert process.returncode == 0, process.stderr
    assert (process.stdout, process.stderr) == ("", "END")
