"""Exports of chats are recognized and rejected with advice."""

import pytest
from corpus_cases import CAT, DOG

from caption_tx.data.corpus.file_text.chats import chat_message
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CHATS = {
    "WhatsApp": f"2024/5/3 09:58 - 已加密。\n2024/5/3 10:10 - 李梅: a.jpg (附件)\n{DOG}\n2024/5/3 10:14 - 王强: 好！",
    "WhatsApp, English": f"5/3/24, 10:10 AM - Anna: IMG-1.jpg (file attached)\n{DOG}\n5/3/24, 10:14 AM - Bob: nice",
    "WhatsApp of iOS": f"[2024/5/3 上午10:10:11] 李梅: \u200e<附件：1.jpg>\n[2024/5/3 上午10:12:00] 李梅: {DOG}",
    "WeChat": f"李梅 2024-05-03 10:10:11\n[图片]\n\n王强 2024-05-03 10:10:11\n{DOG}\n",
    "QQ": f"2024-05-03 10:10:11 李梅(12345678)\n[图片]\n\n2024-05-03 10:12:11 王强<a@qq.com>\n{DOG}\n",
    "Telegram": f"李梅, [03.05.2024 10:10]\n{DOG}\n\n王强, [03.05.2024 10:11]\n{CAT}\n",
    "LINE": f"2024/05/03(五)\n10:10\t李梅\t[照片]\n10:11\t王强\t{DOG}\n",
}


@pytest.mark.parametrize("name", CHATS)
def test_chats_are_rejected_with_advice(write, name):
    path = write("chat.txt", CHATS[name])
    with pytest.raises(CorpusError, match=r"chat\.txt is a chat, not a caption file .* a table with the columns image"):
        read_corpus(path)


def test_a_chat_in_a_folder(write, tmp_path):
    write("chat.txt", CHATS["WhatsApp"]), write("a.jpg", b"\xff\xd8")
    with pytest.raises(CorpusError, match=r"No caption file was recognized in .*; chat\.txt is a chat"):
        read_corpus(tmp_path)
    write("captions.csv", f"image,caption\na.jpg,{DOG}\n")
    assert list(read_corpus(tmp_path)["caption"]) == [DOG]


@pytest.mark.parametrize(
    "text",
    [
        f"a.jpg\t{DOG}\nb.jpg\t{CAT}",
        f"2024-05-03 10.10.11.jpg\t{DOG}\n2024-05-03 10.12.11.jpg\t{CAT}",
        f"IMG_20240503.jpg - {DOG}\nIMG_20240504.jpg - {CAT}",
        f"time,image,caption\n2024/5/3 10:10,a.jpg,{DOG}\n2024/5/3 10:11,b.jpg,{CAT}",
        f"a.jpg\t{DOG}\t2024-05-03 10:10:11\nb.jpg\t{CAT}\t2024-05-03 10:10:11",
        f"a.jpg {DOG} 2024-05-03 10:10:11\nb.jpg {CAT} 2024-05-03 10:10:11",
        "10:30\ta.jpg\n",
    ],
)
def test_captions_with_dates_are_no_chat(text):
    assert chat_message(text.splitlines()) is None
