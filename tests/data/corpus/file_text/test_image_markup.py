"""Pages of Markdown, wikis and site generators whose images have captions."""

import pytest
from corpus_cases import notes, rows

from caption_tx.data.corpus.file_text.image_markup import read_images
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT, TEA = "一只狗在海滩上奔跑", "两只猫睡在红色沙发上", "一位女士在花园里喝茶"
READ = [("a.jpg", DOG), ("b c.jpg", CAT), ("d.jpg", TEA)]
FRONT = "---\ntitle: 我的旅行\n---\n\n# 旅行\n\n昨天我们去了海边。\n\n"
PAGES = {
    "Markdown": f"![{DOG}](a.jpg)\n\n![{CAT}](<b c.jpg>)\n\n![{TEA}](d.jpg){{width=50%}}\n",
    "titles": f'![图](a.jpg "{DOG}")\n![](b%20c.jpg "{CAT}")\n![图]( d.jpg \'{TEA}\' )\n',
    "front matter and text": f"{FRONT}![{DOG}](a.jpg)\n\n![{CAT}](<b c.jpg>)\n\n第二天。\n\n![{TEA}](d.jpg)\n",
    "links and bullets": f"- [![{DOG}](a.jpg)](https://x.org)\n* ![{CAT}](<b c.jpg>)\n3. ![{TEA}](d.jpg)\n",
    "references": f'![{DOG}][1]\n![{CAT}][2]\n![图][三]\n\n[1]: a.jpg\n[2]: b%20c.jpg\n[三]: d.jpg "{TEA}"\n',
    "line below": f"![](a.jpg)\n*{DOG}*\n\n![](<b c.jpg>)\n_{CAT}_\n\n![d.jpg](d.jpg)\n{TEA}\n",
    "Obsidian": f"![[a.jpg|{DOG}]]\n![[b c.jpg|{CAT}|300]]\n\n![[d.jpg|300x200|{TEA}]]\n",
    "MediaWiki": f"[[File:a.jpg|thumb|200px|{DOG[:2]}[[犬|{DOG[2:]}]]]]\n[[文件:b c.jpg|缩略图|居中|{CAT}]]\n"
    f"[[Image:d.jpg|alt={TEA}]]\n",
    "Hugo": f'{{{{< figure src="a.jpg" caption="{DOG}" >}}}}\n{{{{< figure alt="{CAT}" src="b c.jpg" class=x >}}}}\n'
    f'{{{{% figure src="d.jpg" title="{TEA}" %}}}}\n',
    "a gallery of MediaWiki": f'<gallery mode="packed">\nFile:a.jpg|{DOG[:2]}[[犬|{DOG[2:]}]]\n'
    f"文件:b c.jpg|alt=猫|{CAT}\n\nd.jpg|{TEA}\n</gallery>\n",
    "reStructuredText": f".. figure:: a.jpg\n   :width: 9px\n   :alt: 狗\n\n   {DOG[:4]}\n   {DOG[4:]}\n\n   更多。\n\n"
    f".. image:: b c.jpg\n   :alt: {CAT}\n   :align: left\n\n.. figure:: d.jpg\n\n   {TEA}\n",
    "AsciiDoc": f".{DOG}\nimage::a.jpg[狗,300,200]\n\n.{CAT}\n[#cats]\nimage::b c.jpg[]\n\n"
    f'image::d.jpg["{TEA}",width=90]\n',
    "Org": f"#+CAPTION: {DOG}\n#+NAME: fig:1\n[[file:a.jpg]]\n\n#+caption[猫]: {CAT[:3]}\n#+CAPTION: {CAT[3:]}\n"
    f"#+ATTR_HTML: :width 300px\n[[./b c.jpg]]\n\n#+CAPTION: {TEA}\n[[file:d.jpg][图]]\n",
    "HTML": f'<img src="a.jpg" alt="{DOG}">\n<IMG width=300 alt="{CAT}" src="b c.jpg" />\n'
    f'<img src="d.jpg" alt="{TEA}"/>\n',
}


@pytest.mark.parametrize("name", PAGES)
def test_the_images_of_a_page_are_read_with_their_texts(write, name):
    table = read_corpus(write("page.md", PAGES[name]))
    assert [(image.replace("%20", " "), caption) for image, caption in rows(table)] == READ
    assert any(text.startswith("images of a page, read with their texts as captions") for text in notes(table))


def test_other_lines_and_shorter_texts_are_counted(write):
    found = notes(read_corpus(write("page.md", FRONT + f'![图1](a.jpg "{DOG}")\n![](b.jpg)\n{CAT}\n')))
    assert found["shorter texts of images, not read (such as '图1')"] == 1
    assert found["captions read from the line below the image"] == 1
    assert found["lines outside images, not read (such as '---')"] == 5


def test_an_image_without_a_text_is_skipped(write):
    table = read_corpus(write("page.md", f"![{DOG}](a.jpg)\n![{CAT}](b.jpg)\n![](c.jpg)\n"))
    assert rows(table) == [("a.jpg", DOG), ("b.jpg", CAT)]
    assert [(line, reason) for _, line, reason in table.attrs["skipped"]] == [(3, "no caption")]


@pytest.mark.parametrize(
    "text",
    [
        f"| 图 | 描述 |\n|---|---|\n| ![](a.jpg) | {DOG} |\n| ![](b.jpg) | {CAT} |\n",
        f"image,caption\na.jpg,{DOG}\nb.jpg,![{CAT}](b.jpg)\n",
        f"a.jpg\t{DOG}\nb.jpg\t[[{CAT}]]\n",
        f"![{DOG}](a.txt)\n![{CAT}](b.txt)\n",
        "![](a.jpg)\n![](b.jpg)\n![](c.jpg)\n",
        "![IMG](a.jpg)\n![photo](b.jpg)\n\nWe went to the beach yesterday.\n",
    ],
)
def test_tables_and_other_pages_are_not_read_like_that(text):
    assert read_images(list(enumerate(text.splitlines(), 1)))[0] == []


def test_a_page_of_images_without_texts_is_rejected(write):
    with pytest.raises(CorpusError, match="unknown caption format"):
        read_corpus(write("page.md", "![](a.jpg)\n![](b.jpg)\n"))


@pytest.mark.parametrize(
    "start",
    [
        "![a](",
        "![a](x.jpg ",
        "<img ",
        "[![",
        "[[File:",
        "{{< figure ",
        '![a](x.jpg "',
        "- ![",
        "[a]: ",
        "<gallery ",
        "image::",
        ".. figure::",
        "[[",
    ],
)
@pytest.mark.parametrize("filling", [" ", "a", "](", ")](", "=", "| ", "\\"])
def test_long_lines_are_read_in_linear_time(start, filling):
    lines = [(number, start + filling * 2000) for number in range(1, 40)]
    assert read_images(lines)[0] == []


@pytest.mark.parametrize(
    "line", ["<gallery>", ".. figure:: a.jpg", "   :alt: a", ".a", "#+CAPTION: a", "File:a|b", "[a]"]
)
def test_many_lines_of_blocks_are_read_in_linear_time(line):
    page = [".. image:: x.jpg", "<gallery>", *[line] * 20_000, "image::y.jpg[]", "[[file:z.jpg]]"]
    read_images(list(enumerate(page, 1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'image::a.jpg[title="{DOG}"]\n\nimage::b.jpg[狗,title={CAT}]\n', [("a.jpg", DOG), ("b.jpg", CAT)]),
        (f"<gallery>\na.jpg|{DOG}\nb.jpg|{CAT}\n", [("a.jpg", DOG), ("b.jpg", CAT)]),
        (f".. |x| image:: a.jpg\n   :alt: {DOG[:4]}\n     {DOG[4:]}\n", [("a.jpg", DOG)]),
        (".. figure:: a.jpg\n\n   a black-\n   and-white dog\n   runs\n", [("a.jpg", "a black-and-white dog runs")]),
        (".. figure:: a.jpg\n\n   개가 풀밭에서\n   달린다\n", [("a.jpg", "개가 풀밭에서 달린다")]),
        (".. figure:: a.jpg\n\n   一只狗叫“小黑”\n   在草地上跑\n", [("a.jpg", "一只狗叫“小黑”在草地上跑")]),
        (f"![{DOG}](a.jpg)\n\n.{CAT}\nimage::b.jpg[]\n", [("a.jpg", DOG), ("b.jpg", CAT)]),
    ],
)
def test_other_forms_of_blocks(write, text, expected):
    assert rows(read_corpus(write("page.txt", text))) == expected
