"""Do damaged caption files end in anything but a table or a CorpusError?

COMMAND   python -m experiments.fuzz_captions --files 10000
HARDWARE  two cores of an AMD EPYC processor, shared with other work
TIME      3 minutes
RESULT    10,000 damaged files of 13 layouts: 2,964 tables, 7,036 times CorpusError in one line, no other error.
          The slowest file took 0.5 s.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CAPTIONS = ["一只狗在草地上奔跑。", "两个女孩在海边玩耍", 'A dog, "running" on grass', "café ☕ = 1+1", ""]
IMAGES = ["a.jpg", "目录/狗.png", "-x.jpg", "COCO_val2014_000000000042.jpg", "b b.jpeg"]
ENCODINGS = ["utf-8"] * 6 + ["utf-8-sig", "gb18030", "utf-16", "big5"]
PIECES = [
    *(b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\t\t", b'"', b"'", b"\\", b",,"),
    *(b"[", b"]", b"{", b"}", b'"\\ud800"', b"1e999", b"NaN", b"null", b"-1", b"9" * 5000, b"[" * 3000, b"A" * 70_000),
    *("\u2028".encode(), "狗".encode("gbk"), "狗".encode("utf-16"), b"PAR1", b"image,caption\n", b"#0\t", b"/" * 50),
]  # fmt: skip
SWAPS = [(b",", b"\t"), (b'"', b"'"), (b"\n", b"\r"), (b"image", b"x"), (b":", b","), (b"a", b"")]


def make_files(source: random.Random) -> dict[str, bytes]:
    """One small valid file of each layout: its name -> its content."""
    pairs = [(image, caption) for image in IMAGES for caption in source.sample(CAPTIONS, 3)]
    rows = [{"image": image, "caption": caption, "split": source.choice(["train", "val"])} for image, caption in pairs]
    ids = {image: number for number, image in enumerate(IMAGES, 1)}
    coco = {
        "images": [{"id": number, "file_name": image} for image, number in ids.items()],
        "annotations": [{"id": n, "image_id": ids[image], "caption": text} for n, (image, text) in enumerate(pairs)],
    }
    karpathy = {
        "dataset": "x",
        "images": [
            {"filename": image, "split": "train", "sentences": [{"raw": text} for name, text in pairs if name == image]}
            for image in IMAGES
        ],
    }
    challenger = [{"image_id": image, "caption": CAPTIONS[:3], "url": ""} for image in IMAGES]
    table = pd.DataFrame(rows)
    texts = {
        "table.csv": table.to_csv(index=False),
        "table.tsv": table.to_csv(index=False, sep="\t"),
        "pairs.txt": "".join(f"{image}\t{text}\n" for image, text in pairs),
        "flickr8k.txt": "".join(f"{image}#{n % 5}\t{text}\n" for n, (image, text) in enumerate(pairs)),
        "zhc.txt": "".join(f"{image}#zhc#{n % 5} {text}\n" for n, (image, text) in enumerate(pairs)),
        "results.csv": "image_name| comment_number| comment\n" + "".join(f"{i}| 0| {text}\n" for i, text in pairs),
        "rows.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        "muge.jsonl": "".join(json.dumps({"image_id": i, "text": [text]}) + "\n" for i, text in pairs),
        "coco.json": json.dumps(coco, ensure_ascii=source.random() < 0.5),
        "karpathy.json": json.dumps(karpathy),
        "challenger.json": json.dumps(challenger, ensure_ascii=False),
        "mapping.json": json.dumps({image: CAPTIONS[:2] for image in IMAGES}),
    }
    encoding = source.choice(ENCODINGS)
    return {name: text.encode(encoding, "replace") for name, text in texts.items()} | {
        "rows.parquet": table.to_parquet(index=False)
    }


def damage(data: bytes, source: random.Random) -> bytes:
    """Changes a file in 1 to 4 places."""
    for _ in range(source.randint(1, 4)):
        start = source.randrange(len(data) + 1)
        end = min(len(data), start + source.choice([1, 3, 20, 200]))
        change = source.choice(["flip", "remove", "insert", "repeat", "truncate", "swap", "move"])
        if change == "flip" and start < len(data):
            data = data[:start] + bytes([data[start] ^ 1 << source.randrange(8)]) + data[start + 1 :]
        elif change == "remove":
            data = data[:start] + data[end:]
        elif change == "insert":
            data = data[:start] + source.choice(PIECES) + data[start:]
        elif change == "repeat":
            data = data[:end] + data[start:end] * source.choice([1, 5, 50]) + data[end:]
        elif change == "truncate" and source.random() < 0.3:
            data = data[:start]
        elif change == "swap":
            old, new = source.choice(
                [(b",", b"\t"), (b'"', b"'"), (b"\n", b"\r"), (b"image", b"x"), (b":", b","), (b"a", b"")]
            )
            data = data.replace(old, new)
        elif change == "move":
            data = data[end:] + data[:end]
    return data


def fuzz(files: int, seed: int) -> tuple[Counter, float]:
    """Reads damaged files.

    Returns:
        How often each outcome occurred: "table", "CorpusError" or the class of another error; and the most seconds that
        one file took.
    """
    source, outcomes, slowest = random.Random(seed), Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files):
            name, data = source.choice(list(make_files(source).items()))
            path = Path(folder) / name
            path.write_bytes(damage(data, source))
            start = time.monotonic()
            try:
                read_corpus([str(path)])
                outcome = "table"
            except CorpusError as error:
                outcome = "CorpusError" if "\n" not in str(error) else "CorpusError of several lines"
            except Exception as error:
                outcome = type(error).__name__
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{number}-{name}"
                kept.write_bytes(path.read_bytes())
                print(f"{outcome}: {str(error)[:200]} ({kept})")
            outcomes[outcome] += 1
            slowest = max(slowest, time.monotonic() - start)
            path.unlink()
    return outcomes, slowest


def main() -> None:
    """Prints the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes, slowest = fuzz(arguments.files, arguments.seed)
    print(f"{dict(outcomes)} in {time.monotonic() - start:.0f} s; slowest file {slowest:.2f} s")


if __name__ == "__main__":
    main()
