"""OFA's TSV: captions beside images in base64."""

import base64

from caption_tx.data.corpus.table import read_corpus


def test_base64_that_is_wrapped_is_part_of_the_row_before(write):
    rows = ""
    for number in range(3):
        image = base64.encodebytes(bytes([number]) * 3000).decode()  # lines of 76 letters
        rows += f"{number}\tid{number}\t一只狗&&两只狗\t\t{image}"
    table = read_corpus(write("wrapped.tsv", rows))
    (file,) = table.attrs["files"]
    assert file["format"] == "ofa"
    assert list(table.image) == ["id0", "id0", "id1", "id1", "id2", "id2"]
    assert table.attrs["skipped"] == []
    assert list(file["notes"]) == ["lines of wrapped base64, which belong to the image before"]
