"""`caption-tx corpus`: summary and check."""

import json

import pytest

from caption_tx.cli import main


def test_check_of_two_sources_as_json(corpus, capsys):
    folder, _ = corpus
    sources = [str(folder / "human.txt"), str(folder / "machine.txt")]
    assert main(["corpus", *sources, "--images", str(folder / "photos"), "--check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["captions"]) == (12, 24)
    assert [file["encoding"] for file in report["files"]] == ["gb18030", "utf-8"]
    assert report["origins"] == {"human": 12, "machine": 12}


def test_caption_lengths_depend_on_user_dictionary(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("a.jpg\t一只边境牧羊犬在奔跑\nb.jpg\t边境牧羊犬睡了\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("边境牧羊犬\n", encoding="utf-8")
    lengths = []
    for options in ([], ["--user-dictionary", str(tmp_path / "words.txt")]):
        assert main(["corpus", str(tmp_path / "a.tsv"), "--json", *options]) == 0
        lengths.append(json.loads(capsys.readouterr().out)["caption_length"]["max"])
    assert lengths == [5, 4]


def test_entries_of_the_user_dictionary_are_counted(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("a.jpg\t一只边境牧羊犬在奔跑\nb.jpg\t边境牧羊犬睡了\n", encoding="utf-8")
    (tmp_path / "words.txt").write_bytes("边境牧羊犬\nleap motion\n——\n".encode("gbk"))
    command = ["corpus", str(tmp_path / "a.tsv"), "--user-dictionary", str(tmp_path / "words.txt")]
    kept = "words.txt (GB18030): 2 of 3 entries are kept whole; not kept: line 3 '——' (no letter or digit)."
    for options in ([], ["--check"]):
        assert main([*command, *options]) == 0
        assert kept in " ".join(capsys.readouterr().out.split())
        assert main([*command, *options, "--json"]) == 0
        dictionary = json.loads(capsys.readouterr().out)["user_dictionary"]
        assert (dictionary["entries"], len(dictionary["not_kept"])) == (3, 1)
        assert dictionary["summary"].endswith(kept)


def test_what_is_read_differently_is_reported(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("id,file_name,caption_1,caption_2\n1,a.jpg,a dog runs,it runs\n2,b.jpg,two cats,they sleep\n")
    notes = {"caption columns read (caption_1, caption_2)": 2, "columns not read (id)": 1}
    warning = "warning: 100% of captions are not Chinese ('a dog runs', ..); set language (--language) to en."
    for options in ([], ["--check"]):
        assert main(["corpus", str(path), "--json", *options]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["files"][0]["notes"] == notes
        assert report["language_warning"] == warning
        assert main(["corpus", str(path), *options]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert all(f"{note}: {count}" in text for note, count in notes.items())
        assert warning in text
    assert main(["corpus", str(path), "--language", "en", "--caption-column", "caption_2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["captions"], report["language_warning"]) == (2, None)


@pytest.mark.slow
def test_published_ai_challenger(shared, capsys):
    folder = shared / "data" / "ai_challenger"
    sources = [str(folder / f"caption_{split}_annotations.json") for split in ("train", "validation")]
    assert main(["corpus", *sources, "--check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["captions"]) == (1300, 6500)
    assert report["findings"]["malformed_line"]["count"] == 0
    assert report["findings"]["control_characters"]["count"] == 1
    assert report["language_warning"] is None
