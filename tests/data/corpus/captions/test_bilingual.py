"""Captions in Chinese and English keep the part in the language of the model."""

import pytest

from caption_tx import check_corpus
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.captions.bilingual import split_languages
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ZH = ("一只狗在草地上跑", "两个人在看NBA", "一个女孩拿着iPhone", "一位穿T恤的男人")
EN = ("A dog runs on the grass", "Two people watch the NBA", "A girl holds an iPhone", "A man in a T-shirt")
KEPT = "captions in Chinese and English, of which the {} part is kept (language (--language) {} keeps the other)"
LAYOUTS = [
    "{zh}。{en}.", "{en}. {zh}。", "{zh} {en}", "{zh} / {en}", "{zh}/{en}", "{zh}（{en}）", "{en} ({zh})",
    "{zh}\n{en}", "{zh} | {en}", "{zh}；{en}", "{zh} - {en}", "{zh}，{en}", "{zh}\\n{en}", "【{zh}】{en}",
    "{zh}<br>{en}", "中文：{zh} 英文：{en}", "[EN] {en} [ZH] {zh}", "{zh}||{en}",
]  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Reads captions in a CSV file; returns those of the table and the notes about the file."""

    def read(captions, language="zh"):
        cells = (caption.replace('"', '""') for caption in captions)
        rows = "".join(f'{number}.jpg,"{cell}"\n' for number, cell in enumerate(cells))
        (tmp_path / "captions.csv").write_text(f"image,caption\n{rows}", encoding="utf-8")
        table = read_corpus(tmp_path / "captions.csv", language=language)
        return table["caption"].tolist(), table.attrs["files"][0]["notes"], table

    return read


def plain(captions):
    return [caption.strip("。.") for caption in captions]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_part_in_the_language_is_kept_and_reported(read, layout):
    cells = [layout.format(zh=zh, en=en) for zh, en in zip(ZH, EN, strict=True)]
    for language, expected, name, other in (("zh", ZH, "Chinese", "en"), ("en", EN, "English", "zh")):
        captions, notes, table = read(cells, language)
        assert plain(captions) == list(expected)
        assert notes[KEPT.format(name, other)] == 4
        assert not any("warning" in note for note in reading_notes(table, language))


@pytest.mark.parametrize("layout", ["{} / {}", "{}（{}）", "{}|{}", "{}\n{}"])
def test_words_with_their_translation(read, layout):
    pairs = [("狗", "dog"), ("猫", "cat"), ("马", "horse"), ("红色的花", "red flowers")]
    assert read([layout.format(*pair) for pair in pairs])[0] == [chinese for chinese, _ in pairs]
    assert read([layout.format(*pair) for pair in pairs], "en")[0] == [english for _, english in pairs]


@pytest.mark.parametrize(
    "captions",
    [
        ["红色连衣裙（ZARA）", "运动鞋（Nike Air Max）", "手机 / iPhone", "电脑（MacBook Pro）"],
        ["洗发水（500ml）", "牛奶（1l）", "毛巾 / xl", "米（5kg）", "外套 THE NORTH FACE"],
        ["一个人在看 NBA", "一个女孩拿着iPhone。", "WiFi 路由器", "他穿着 Nike Air Max"],
        ["上面写着“welcome to new york”", "写着 “do not enter here”", "墙上有“made in china for you”", "一只狗"],
        ["一只狗 http://t.cn/a-dog-runs", "猫 www.cats.com/a", "马 me@a-horse.com", "photo-of-dog.jpg 一只狗"],
        ["红色T恤 hong se t xu", "草地 cao di", "一只狗在跑 yi zhi gou zai pao", "狗 (gou)"],
    ],
)
def test_names_sizes_quotations_and_pinyin_belong_to_chinese_captions(read, captions):
    _, notes, _ = read(captions)
    assert not any("Chinese and English" in note for note in notes)


def test_the_language_of_a_report_is_that_of_its_settings():
    captions = {f"{number}.jpg": f"{zh}。{en}." for number, (zh, en) in enumerate(zip(ZH, EN, strict=True))}
    for language, kept in (("zh", "Chinese"), ("en", "English")):
        notes = check_corpus(captions, check=False, language=language).content["files"][0]["notes"]
        assert any(f"the {kept} part is kept" in note for note in notes)
    with pytest.raises(CorpusError, match="language must be zh or en, got 'fr'"):
        read_corpus(captions, language="fr")


def test_few_captions_in_two_languages_are_kept_and_reported(read):
    cells = [*ZH, *ZH, f"{ZH[0]}。{EN[0]}."]
    captions, notes, _ = read(cells)
    assert captions == cells
    assert notes["captions in Chinese and English, kept as they are"] == 1


@pytest.mark.parametrize("layout", ["张三: {en}", "Describe the image. {zh}。", "photo: {zh}", "狗 / {en}"])
def test_labels_and_prompts_are_no_translations(read, layout):
    cells = [layout.format(zh=zh, en=en) for zh, en in zip(ZH, EN, strict=True)]
    captions, notes, _ = read(cells)
    assert captions == cells
    [note] = [note for note in notes if "Chinese and English" in note]
    assert "with a part that repeats" in note


def test_titles_are_kept_and_reported(read):
    cells = ["狗 / Dog", "猫 / Cat", "马 / Horse", "红花 / Red Flower"]
    captions, notes, _ = read(cells)
    assert captions == cells
    assert notes == {"captions that may be in two languages (such as '狗 / Dog'), kept as they are": 4}
    brands = [f"第{number}双鞋（{'Nike' if number % 2 else 'Adidas'}）" for number in range(8)]
    assert read(brands)[1] == {}


def test_without_a_language_both_parts_are_kept(read):
    cells = [f"{zh}。{en}." for zh, en in zip(ZH, EN, strict=True)]
    captions, notes, _ = read(cells, None)
    assert captions == cells
    assert notes["captions in Chinese and English, kept as they are; language chooses a part"] == 4


@pytest.mark.parametrize(
    ("caption", "chinese", "english"),
    [
        ("一只狗。A dog runs fast. 一只猫。A cat sits.", "一只狗。一只猫。", "A dog runs fast. A cat sits."),
        ("一只狗/A dog runs here/一只猫/A cat sits here", "一只狗/一只猫", "A dog runs here/A cat sits here"),
        ("一个人（Nike）在跑 / A man in Nike runs", "一个人（Nike）在跑", "A man in Nike runs"),
        ("一只狗在3月跑。 A dog, 3 years old, runs; it ate.", "一只狗在3月跑。", "A dog, 3 years old, runs; it ate."),
        ("一只狗 A dog runs http://t.cn/A-b", "一只狗", "A dog runs http://t.cn/A-b"),
        ("1. 一只狗在跑 2. A dog runs here", "1. 一只狗在跑", "A dog runs here"),
        ("1. A dog runs here. 2. 一只狗在跑。", "一只狗在跑。", "1. A dog runs here."),
        ("“一只狗在跑。”“A dog runs here.”", "一只狗在跑。", "A dog runs here."),
        ('"一只狗" / "a dog on grass"', "一只狗", "a dog on grass"),
        ("一只狗 A DOG ON THE GRASS", "一只狗", "A DOG ON THE GRASS"),
        ("一只狗在跑A dog runs here", "一只狗在跑", "A dog runs here"),
        ("3只狗在跑。3 dogs are running.", "3只狗在跑。", "3 dogs are running."),
        ("一只狗在跑&&一条狗&&A dog runs fast&&A dog sits", "一只狗在跑&&一条狗", "A dog runs fast&&A dog sits"),
    ],
)  # fmt: skip
def test_texts_of_several_parts(caption, chinese, english):
    halves = split_languages(caption)
    assert (halves.chinese, halves.english) == (chinese, english)


def test_cells_with_several_captions_of_each_language_are_split_afterwards(read):
    cells = [f"{zh}&&{zh}了&&{en}&&{en} again" for zh, en in zip(ZH, EN, strict=True)]
    assert len(read(cells)[0]) == 8
    assert read(cells, "en")[0][:2] == [EN[0], f"{EN[0]} again"]
