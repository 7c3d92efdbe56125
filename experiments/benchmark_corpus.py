"""CPU time of reading caption files of 100,000 captions, beside a plain reader of the same file.

COMMAND
    python experiments/benchmark_corpus.py --workdir DIR

Writes 20,000 made-up images with five captions each in five layouts, 40 MB in all, and reads each file with
`read_corpus`, without images. The baseline of a layout is the plainest program that reads the file: `pandas.read_csv`,
`json.loads` of each line, a split of each line, `json.load` and `pandas.read_parquet`.

HARDWARE  2 cores (AMD EPYC), no GPU, shared with much other work, so times are upper bounds
TIME      1 minute

RESULT    CPU seconds, and the ratio to the baseline
    captions.csv          2.81 s  baseline  0.02 s  ratio 176.7
    captions.jsonl        3.86 s  baseline  0.22 s  ratio  17.3
    captions.token.txt    2.15 s  baseline  0.08 s  ratio  26.0
    captions_coco.json    2.95 s  baseline  0.10 s  ratio  30.1
    captions.parquet      2.42 s  baseline  0.13 s  ratio  18.5
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from caption_tx.data.corpus.table import read_corpus

TEXT = "a dog cat man woman child in the park runs jumps over red blue ball on grass with two men riding"
WORDS = TEXT.split()
NUM_IMAGES, PER_IMAGE = 20_000, 5


def write_files(folder: Path) -> dict[Path, Callable[[Path], object]]:
    """Writes the captions in five layouts; returns the baseline of each file."""
    draw = random.Random(1)
    names = [f"{100_000 + at}_{draw.getrandbits(40):010x}.jpg" for at in range(NUM_IMAGES)]
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(6, 14))) for _ in range(NUM_IMAGES * PER_IMAGE)]
    rows = [(names[at // PER_IMAGE], text.capitalize() + " .") for at, text in enumerate(texts)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    lines = [json.dumps({"image": image, "caption": text}) for image, text in rows]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    lines = [f"{image}#{at % PER_IMAGE}\t{text}" for at, (image, text) in enumerate(rows)]
    (folder / "captions.token.txt").write_text("\n".join(lines))
    images = [{"id": at, "file_name": name} for at, name in enumerate(names)]
    annotations = [{"id": at, "image_id": at // PER_IMAGE, "caption": text} for at, (_, text) in enumerate(rows)]
    (folder / "captions_coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    pd.DataFrame(rows, columns=["image", "caption"]).to_parquet(folder / "captions.parquet")
    return {
        folder / "captions.csv": pd.read_csv,
        folder / "captions.jsonl": lambda path: list(map(json.loads, path.open())),
        folder / "captions.token.txt": lambda path: [line.rstrip("\n").split("\t") for line in path.open()],
        folder / "captions_coco.json": lambda path: json.loads(path.read_text()),
        folder / "captions.parquet": lambda path: pd.read_parquet(path).to_dict("list"),
    }


def measure(read: Callable[[Path], object], path: Path) -> float:
    """CPU seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        start = time.process_time()
        read(path)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the time of reading caption files.")
    parser.add_argument("--workdir", type=Path, required=True)
    for path, baseline in write_files(parser.parse_args().workdir).items():
        plain, ours = measure(baseline, path), measure(lambda path: read_corpus([str(path)]), path)
        print(f"    {path.name:20} {ours:5.2f} s  baseline {plain:5.2f} s  ratio {ours / plain:5.1f}", flush=True)


if __name__ == "__main__":
    main()
