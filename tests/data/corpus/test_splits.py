"""Splits: from files, split lists, file names and the seed."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caption_tx.config import ORIGINS, SPLITS, Source
from caption_tx.data.corpus.splits import split_of_file_name
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

TRAIN, VAL = "caption_train_annotations_20170902.json", "caption_validation_annotations_20170910.json"
IGNORED = "images split by the seed, ignoring 'train' in the file name"


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def splits_of(write, count, **options):
    text = "image,caption\n" + "".join(f"{index}.jpg,one\n{index}.jpg,two\n" for index in range(count))
    table = read_corpus(write(f"{count}.csv", text), **options)
    assert (table.groupby("image").split.nunique() == 1).all()
    return dict(zip(table.image, table.split, strict=True))


def write_release(write, name, images):
    return write(name, [{"image_id": f"{image}.jpg", "caption": ["x"]} for image in images])


def test_sources_share_splits(write):
    first = write("a.csv", "image,caption,split\na.jpg,one,test\nb.jpg,two,\n")
    second = write("b.tsv", "image\tcaption\na.jpg\tuno\n")
    table = read_corpus([first, second], val_fraction=0, test_fraction=0)
    assert rows(table, "image", "split", "caption") == [
        ("a.jpg", "test", "one"),
        ("b.jpg", "train", "two"),
        ("a.jpg", "test", "uno"),
    ]


@pytest.mark.parametrize("name", ["数据集划分", "子集", "数据划分", "dataset_split", "Data Partition", "用途"])
@pytest.mark.parametrize("words", [("训练集", "验证", "测试数据"), ("train_set", "dev", "Test2017")])
def test_columns_of_split_names_are_splits(write, name, words):
    lines = [f"{index}.jpg,{word},一只狗在跑" for index, word in enumerate(words)]
    table = read_corpus(write("x.csv", "\n".join([f"图片,{name},描述", *lines])))
    assert list(table["split"]) == ["train", "val", "test"]
    [file] = table.attrs["files"]
    assert file["notes"] == {f"splits read from the column '{name}'": 1}
    other = read_corpus(write("y.csv", "\n".join([f"图片,{name},描述", *lines, "9.jpg,街景,一只狗在跑"])))
    assert len(other) == 4
    assert other.attrs["files"][0]["notes"] == {f"columns not read ({name})": 1}


def test_split_depends_on_seed_and_name_only(write):
    small, large = splits_of(write, 300), splits_of(write, 400)
    assert small.items() <= large.items()
    assert small == splits_of(write, 300)
    assert small != splits_of(write, 300, split_seed=1)


def test_split_fractions(write):
    values = list(splits_of(write, 2000, val_fraction=0.1, test_fraction=0.2).values())
    assert values.count("val") == pytest.approx(200, abs=45)
    assert values.count("test") == pytest.approx(400, abs=60)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fractions", [(0.01, 0.01), (0.01, 0.98), (0.98, 0.01)])
def test_small_corpus_has_training_and_validation_images(write, seed, fractions):
    for count in (1, 2, 3):
        options = {"split_seed": seed, "val_fraction": fractions[0], "test_fraction": fractions[1]}
        splits = set(splits_of(write, count, **options).values())
        assert "train" in splits
        assert count == 1 or "val" in splits


def test_no_validation_images_with_fraction_zero(write):
    assert set(splits_of(write, 50, val_fraction=0, test_fraction=0).values()) == {"train"}


def test_spellings_of_an_image_name_share_a_split(write, photos):
    bare = write("a.csv", "image,caption\n1,x\n2,x\nsub/4,x\n3,x\n")
    full = write("b.csv", "image,caption,split\n1.jpg,y,test\n2.PNG,y,val\n./sub/4.webp,y,train\n")
    table = read_corpus([bare, full], images=photos)
    assert (table.groupby("image").split.nunique() == 1).all()
    assert dict(zip(table.image, table.split, strict=True)).items() >= {"1.jpg": "test", "2.PNG": "val"}.items()


def test_split_does_not_depend_on_the_suffix(write):
    def splits(suffix):
        text = "".join(f"photo {index}{suffix}\tx\n" for index in range(300))
        table = read_corpus(write(f"names{suffix or '.none'}.txt", text), val_fraction=0.3, test_fraction=0.2)
        return [name.removesuffix(suffix) + split for name, split in zip(table.image, table.split, strict=True)]

    assert splits("") == splits(".jpg") == splits(".PNG")
    assert splits("") != splits(".txt")


def test_release_name_implies_the_split(write):
    table = read_corpus([write_release(write, TRAIN, range(50)), write_release(write, VAL, range(50, 60))])
    assert dict(table.split.value_counts()) == {"train": 50, "val": 10}
    coco = {"images": [{"id": 1, "file_name": "z.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}]}
    table = read_corpus([write_release(write, TRAIN, range(50)), write("captions_val2017.json", coco)])
    assert dict(table.split.value_counts()) == {"train": 50, "val": 1}
    assert all(file["notes"] == {} for file in table.attrs["files"])
    undated = ["caption_train_annotations.json", "caption_validation_annotations.json"]
    table = read_corpus([write_release(write, name, [index]) for index, name in enumerate(undated)])
    assert list(table.split) == ["train", "val"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("captions_train.json", "train"),
        ("my_caption_train_annotations_20170902.json", "train"),
        ("train.csv", "train"),
        ("train-00000-of-00002.parquet", "train"),
        ("IC_train.jsonl", "train"),
        ("train_texts.jsonl", "train"),
        ("train2017.csv", "train"),
        ("valid.csv", "val"),
        ("validation-00000-of-00001.parquet", "val"),
        ("my-dev.tsv", "val"),
        ("muge.test.jsonl", "test"),
        ("测试集.csv", "test"),
        ("captions.csv", None),
        ("train_val.csv", None),
        ("pretrained.csv", None),
        ("latest.csv", None),
    ],
)
def test_split_of_a_file_name(name, split):
    assert split_of_file_name(name) == split


def test_file_names_and_folders_tell_the_split(write):
    def table(count, start=0):
        return "image,caption\n" + "".join(f"{index}.jpg,x y\n" for index in range(start, start + count))

    files = [write("train.csv", table(40)), write("dev.csv", table(5, 40)), write("test.csv", table(5, 50))]
    read = read_corpus(files, val_fraction=0.5, test_fraction=0.3)
    assert dict(read.split.value_counts()) == {"train": 40, "val": 5, "test": 5}
    says = "images in split '{}', as the file name says (:split= overrides it)"
    assert [file["notes"] for file in read.attrs["files"]] == [
        {says.format("train"): 40},
        {says.format("val"): 5},
        {says.format("test"): 5},
    ]
    assert set(read_corpus(f"{files[2]}:split=train").split) == {"train"}
    folders = [write("a/train/captions.csv", table(40)), write("a/valid/captions.csv", table(5, 40))]
    assert dict(read_corpus(folders, val_fraction=0.5).split.value_counts()) == {"train": 40, "val": 5}
    alone = write("test/captions.csv", table(40))
    assert set(read_corpus(alone).split) == {"train", "val", "test"}
    own = write("train_own.csv", "image,caption,split\n1.jpg,x y,val\n2.jpg,x y,train\n")
    read = read_corpus(own)
    assert list(read.split) == ["val", "train"]
    assert read.attrs["files"][0]["notes"] == {}


def test_training_release_alone_is_split_by_the_seed(write):
    path = write_release(write, TRAIN, range(100))
    table = read_corpus(path)
    assert dict(table.split.value_counts()).keys() == {"train", "val", "test"}
    assert table.attrs["files"][0]["notes"] == {IGNORED: 100}
    assert list(table.split) == list(read_corpus(write_release(write, "mine.json", range(100))).split)
    assert set(read_corpus(f"{path}:split=train").split) == {"train"}
    assert set(read_corpus(path, val_fraction=0).split) == {"train"}
    own = write("own.csv", "image,caption\n" + "".join(f"own{index},x\n" for index in range(20)))
    assert set(read_corpus([path, own]).split[:100]) == {"train"}


def test_test_split_of_a_file_name_stays_as_it_is(write):
    train = write("seg.flickr30kzhbbosontrain.caption.txt", "".join(f"{n}#zhb#0 一 只 狗\n" for n in range(100)))
    test = write("seg.flickr30kzhmbosontest.caption.txt", "t#zhm#0 两:m 只:q 狗:n\n")
    table = read_corpus([train, test], test_fraction=0.3)
    assert list(table.image[table.split == "test"]) == ["t"]
    assert (table.split == "val").any()
    assert set(read_corpus(test).split) == {"test"}


def test_split_in_a_file_takes_precedence_over_its_name(write):
    own = write("own.csv", "image,caption,split\n1.jpg,x,test\n2.jpg,x,val\n")
    table = read_corpus([write_release(write, TRAIN, range(5)), own])
    assert list(table.split[:5]) == ["train", "test", "val", "train", "train"]
    with pytest.raises(
        CorpusError, match=r"validation_.*json, entry 1: 1\.jpg is in val here but in train at .*entry 2"
    ):
        read_corpus([write_release(write, TRAIN, range(5)), write_release(write, VAL, [1])])


SOURCES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["", "train", "val", "test"])), min_size=1, max_size=20),
        st.sampled_from(["", ".jpg"]),
        st.sampled_from([None, *SPLITS]),
        st.sampled_from([None, *ORIGINS]),
        st.floats(0.1, 9),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources=SOURCES, seed=st.integers(0, 9), fractions=st.sampled_from([(0, 0), (0.1, 0.1), (0.4, 0.5)]))
def test_every_image_is_in_one_split(tmp_path, sources, seed, fractions):
    all_sources = []
    for index, (lines, suffix, split, origin, weight, stage) in enumerate(sources):
        path = tmp_path / f"{index}.csv"
        path.write_text("image,caption,split\n" + "".join(f"{image}{suffix},x,{own}\n" for image, own in lines))
        all_sources.append(Source(str(path), split=split, origin=origin, weight=weight, stage=stage))
    try:
        table = read_corpus(all_sources, None, *fractions, seed)
    except CorpusError as error:
        assert "put each image in one split" in str(error)
        return
    assert len(table) == sum(len(lines) for lines, *_ in sources)
    assert not table.isna().any().any()
    assert (table.groupby(table["image"].str.removesuffix(".jpg"))["split"].nunique() == 1).all()
    for source, rows_of in zip(all_sources, (table[table["source"] == item.path] for item in all_sources), strict=True):
        assert (rows_of["stage"] == source.stage).all() and np.allclose(rows_of["weight"], source.weight)
        assert source.split is None or (rows_of["split"] == source.split).all()
        assert (rows_of["origin"] == (source.origin or "human")).all()
    named = {image for lines, _, split, *_ in sources for image, own in lines if own or split}
    free = {image for lines, *_ in sources for image, _ in lines} - named
    if len(free) > 1 and fractions[0]:
        assert {"train", "val"} <= set(table["split"])
