"""Files that are no caption files, by their first bytes."""

import pytest

from caption_tx.data.corpus.file_text.other_files import other_kind
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

PROGRAMS = (
    'from pathlib import Path\nfor name in [("a.jpg", "JPEG"), ("b.jpg", "JPEG")]:\n    print(name, "一只狗在跑")\n',
    '# Makes images\nimport os\n\nnames = ["a.jpg", "b.jpg"]\n',
    "import os\nimport sys\n",
    "#!/bin/bash\ncaption-tx caption a.jpg\n",
    "#include <stdio.h>\nint main() {}\n",
    "<?php\n$captions = [];\n",
)
TEXTS = (
    "import car\n",
    "from Paris with love\n",
    "import\na dog\n",
    "# photographs\na.jpg\ta dog\n",
    "#!image\ncaption\n",
    '# names\nCAPTIONS = {"a.jpg": "a dog"}\n',
    '#!/usr/bin/env python\nCAPTIONS = {"a.jpg": "a dog"}\n',
)


@pytest.mark.parametrize("text", PROGRAMS)
def test_programs_are_named(write, text):
    with pytest.raises(CorpusError, match=r"x\.txt is a program \(give the file of captions"):
        read_corpus(write("x.txt", text))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_no_programs(text):
    assert other_kind(text.encode()) is None
