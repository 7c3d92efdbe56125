"""Caption a photograph and save a map per word with NumPy, Pillow and ai-edge-litert only; caption_tx is not needed.

COMMAND
    caption-tx export flickr8k-zh --to litert --out export/captioner.tflite
    python experiments/lite_reader.py export/captioner.tflite photo.jpg maps/

HARDWARE  2 cores (AMD EPYC), no GPU; ai-edge-litert 2.3.0
TIME      0.4 s
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

file, photo, folder = Path(sys.argv[1]), Image.open(sys.argv[2]), Path(sys.argv[3])
about = json.loads(file.with_name("export.json").read_text("utf-8"))
words = file.with_name("vocabulary.txt").read_text("utf-8").split("\n")
separator, (h, w), size = "" if about["language"] == "zh" else " ", about["grid"], about["image_size"]

photo = ImageOps.exif_transpose(photo).convert("RGB")
image = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))[None]  # uint8 (1, size, size, 3)
interpreter = Interpreter(str(file))
token_ids = interpreter.get_signature_runner("greedy")(image=image)["token_ids"][0]  # (P,)
explain = interpreter.get_signature_runner("explain")(image=image, token_ids=token_ids)
maps = explain["attention_scores"].mean(axis=(0, 1))  # (layers, heads, P, h * w) -> (P, h * w)

caption = [words[token_id] for token_id in token_ids if token_id > about["tokens"]["end"]]
print(separator.join(caption))
folder.mkdir(exist_ok=True)
for index, (word, heat) in enumerate(zip(caption, maps.reshape(-1, h, w), strict=False)):
    mask = Image.fromarray((255 * heat / maps.max()).astype(np.uint8)).resize(photo.size, Image.Resampling.BICUBIC)
    Image.composite(photo, Image.new("RGB", photo.size), mask).save(folder / f"{index}.png")
    print(f"{folder / f'{index}.png'}\t{word}\t{np.exp(explain['log_probs'][index]):.0%}")
