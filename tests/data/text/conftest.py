import pytest
from user_dictionaries import ENTRIES

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter


@pytest.fixture
def segmenter(tmp_path):
    def make(entries=ENTRIES, **settings):
        path = tmp_path / "words.txt"
        path.write_bytes(entries if isinstance(entries, bytes) else entries.encode())
        return Segmenter(TextConfig(user_dictionary=str(path), **settings))

    return make
