"""Which column and which characters name an image, where that can be misread."""

import pytest
from corpus_cases import CAT, DOG, ONE, assert_read, jsonl

CASES = {
    # Order of columns
    "caption, URL": (
        "x.tsv",
        f"{DOG}\thttps://e.org/x/a.jpg\n{CAT}\thttps://e.org/x/b.jpg?w=1\n",
        [("https://e.org/x/a.jpg", DOG), ("https://e.org/x/b.jpg?w=1", CAT)],
        "column after the caption",
    ),
    "caption, URL with a header": (
        "x.tsv",
        f"caption\turl\n{DOG}\thttp://e.org/a\n{CAT}\thttp://e.org/b\n",
        [("http://e.org/a", DOG), ("http://e.org/b", CAT)],
        None,
    ),
    "caption, name": ("x.txt", f"{DOG}\ta.jpg\n{CAT}\tb.jpg\n", ONE, "column after the caption"),
    "caption, name with commas": ("x.csv", f"{DOG},a.jpg\n{CAT},b.jpg\n", ONE, "column after the caption"),
    "no header": ("x.csv", f"a.jpg,{DOG}\nb.jpg,{CAT}\n", ONE, None),
    "no header, three columns": ("x.tsv", f"0\ta.jpg\t{DOG}\n1\tb.jpg\t{CAT}\n", ONE, "columns not read (1)"),
    "names and spaces": ("x.txt", f"a.jpg {DOG}\nb.jpg {CAT}\n", ONE, "separated by a space, colon, dash"),
    "names and colons": ("x.txt", f"a.jpg: {DOG}\nb.jpg：{CAT}\n", ONE, "separated by a space, colon, dash"),
    # Contents decide
    "swapped, csv": (
        "x.csv",
        f"image,caption,split\n{DOG},a.jpg,train\n{CAT},b.jpg,train\n",
        ONE,
        "columns read as their contents say: 'image' holds the captions and 'caption' the image names",
    ),
    "swapped, URLs": (
        "x.tsv",
        f"url\ttext\n{DOG}\thttp://e.org/a.jpg\n{CAT}\thttp://e.org/b.jpg\n",
        [("http://e.org/a.jpg", DOG), ("http://e.org/b.jpg", CAT)],
        "'url' holds the captions",
    ),
    "swapped, English, jsonl": (
        "x.jsonl",
        jsonl({"image": "a dog runs", "caption": "p/a.jpg"}, {"image": "two cats", "caption": "p/b.jpg"}),
        [("p/a.jpg", "a dog runs"), ("p/b.jpg", "two cats")],
        "keys read as their contents say",
    ),
    "paths are no words": (
        "x.csv",
        "image,caption\na.jpg,/home/me/1.jpg\nb.jpg,http://e.org/x/y/2\n",
        [("a.jpg", "/home/me/1.jpg"), ("b.jpg", "http://e.org/x/y/2")],
        "captions that are file names, URLs or ids",
    ),
    "no header, URL last": (
        "x.tsv",
        f"a.jpg\t{DOG}\thttp://e.org/a.jpg\nb.jpg\t{CAT}\thttp://e.org/b.jpg\n",
        ONE,
        "columns not read (3)",
    ),
    "no header, URL first": (
        "x.csv",
        f"http://e.org/1,{DOG},a.jpg\nhttp://e.org/2,{CAT},b.jpg\n",
        ONE,
        "columns not read (1)",
    ),
    "no header, caption first": (
        "x.txt",
        f"{DOG}\ta.jpg\thttp://e.org/a.jpg\n{CAT}\tb.jpg\thttp://e.org/b.jpg\n",
        ONE,
        "columns not read (3)",
    ),
    "no header, annotators": (
        "x.tsv",
        f"a.jpg\t{DOG}\t张三\nb.jpg\t{CAT}呢呢\t欧阳小明\n",
        [("a.jpg", DOG), ("b.jpg", f"{CAT}呢呢")],
        "columns not read (3)",
    ),
    "no header, splits": (
        "x.tsv",
        f"a.jpg\t{DOG}\ttrain\nb.jpg\t{CAT}\tdev\n",
        ONE,
        "splits read from the column '3'",
    ),
    "Flickr and a URL": (
        "x.txt",
        f"a.jpg#0\t{DOG}\thttp://e.org/a\nb.jpg#0\t{CAT}\thttp://e.org/b\n",
        ONE,
        "columns not read (3)",
    ),
    "Flickr and a number": (
        "x.txt",
        f"a.jpg#0\t0.93\t{DOG}\nb.jpg#0\t0.5\t{CAT}\n",
        ONE,
        "columns not read (2)",
    ),
    "yes or no": (
        "x.csv",
        f"image,caption,has_text,text_subset\na.jpg,{DOG},False,train\nb.jpg,{CAT},True,val\n",
        ONE,
        "splits read from the column 'text_subset'",
    ),
    # Names that contain #
    "hash before a tab": (
        "x.txt",
        f"p#0 copy.jpg#0\t{DOG}\np#1.jpg#12\t{CAT}\n",
        [("p#0 copy.jpg", DOG), ("p#1.jpg", CAT)],
        None,
    ),
    "hash after a suffix": (
        "x.txt",
        f"p.jpg#0 copy.jpg#1\t{DOG}\nq#2 copy#0\t{CAT}\n",
        [("p.jpg#0 copy.jpg", DOG), ("q#2 copy", CAT)],
        None,
    ),
    "hash and a tag": ("x.txt", f"p#3 a.jpg#zhc#0 {DOG}\nq#zhm#1\t{CAT}\n", [("p#3 a.jpg", DOG), ("q", CAT)], None),
    "hash without a tab": (
        "x.txt",
        f"p#3 a.jpg#0 {DOG}\nq#2.jpg#1 {CAT} #2 吧\n",
        [("p#3 a.jpg", DOG), ("q#2.jpg", f"{CAT} #2 吧")],
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    assert_read(write, *CASES[case])
