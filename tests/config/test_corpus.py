"""Settings of the corpus: caption sources with options, layouts."""

import pytest

from caption_tx.config import CAPTION_FORMATS, CorpusConfig, Source, parse_source
from caption_tx.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.txt", Source("a.txt")),
        (r"C:\图\a.txt", Source(r"C:\图\a.txt")),
        ("s3://b/x.csv:stage=2,weight=0.5", Source("s3://b/x.csv", weight=0.5, stage=2)),
        ("a:b:images=train.tsv,split=val,origin=human", Source("a:b", split="val", origin="human", images="train.tsv")),
        ("a.csv:encoding=gb18030,format=csv", Source("a.csv", "csv", "gb18030")),
    ],
)
def test_parse_source(text, source):
    assert parse_source(text) == source
    assert CorpusConfig(sources=(text,)).sources == (text,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "source must be a path"),
        ("a:weight=much", "weight of a must be a number, got 'much'"),
        ("a:weight=0", r"weight of a must be above 0 and finite, got 0\.0"),
        ("a:weight=nan", "weight of a must be above 0 and finite"),
        ("a:stage=0", "stage of a must be at least 1 and at most 100"),
        ("a.txt:wieght=0.5", r"Unknown option 'wieght' of source a\.txt\. Did you mean 'weight'\?"),
        ("a:split=best", "split of a must be one of train, val, test"),
        ("a:origin=robot", "origin of a must be one of human, machine"),
    ],
)
def test_error_names_source_and_its_option(text, message):
    with pytest.raises(ConfigError, match=message):
        CorpusConfig(sources=(text,))


def test_formats_and_problems_are_known():
    from caption_tx.data.corpus.formats import READERS

    assert tuple(READERS) == CAPTION_FORMATS
    with pytest.raises(ConfigError, match=r"corpus\.leave_out must be one of no_letters, .*got 'boring'"):
        CorpusConfig(leave_out=("url", "boring"))
    with pytest.raises(ConfigError, match=r"corpus\.format must be one of parquet, .*got 'word'"):
        CorpusConfig(format="word")
