"""A user dictionary, and how tests read one."""

import dataclasses

from caption_tx.data.text.user_dictionary import read_user_dictionary

ENTRIES = """leap motion
让·雷诺
C/C++
ラーメン屋
㐂喜
café店
ＸＹ款裙
臺灣小吃攤
ens
new york
北京 大学
C#
Wi-Fi
@mention
草地上奔跑 1
"""


def read(tmp_path, text):
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    dictionary = read_user_dictionary(path)
    return [dataclasses.astuple(entry)[:2] for entry in dictionary.entries], " ".join(dictionary.notes)
