"""What each command does: calls one function and prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from caption_tx.cli.settings import decoding_options, need_images, parse_share, resolve
from caption_tx.config import Config
from caption_tx.errors import CaptionTxError, ConfigError


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what C++ writes to stderr while TensorFlow starts from the terminal; errors still raise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _start_tensorflow() -> None:
    with _silence():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.zeros(())


def _start_tensorflow_without_gpus() -> None:
    """For a process that only waits for others, which may need the GPUs of this machine."""
    with _silence():
        import tensorflow as tf

        with suppress(RuntimeError):  # it was in use already
            tf.config.set_visible_devices([], "GPU")


def _join_workers() -> None:
    """Starts TensorFlow as one of several workers, which must come before all else that it does."""
    with _silence():
        from caption_tx.training.distribution import choose, worker_share
    index, workers = worker_share()
    if workers > 1:
        _tell(f"Worker {index} of {workers} waits until all are started.")
    with _silence():
        choose()


def _tell(text: str) -> None:
    print(text, flush=True)


def demo(arguments: argparse.Namespace) -> None:
    """The whole way on rendered scenes."""
    _start_tensorflow()
    from caption_tx.demo import run_demo

    run_demo(arguments.workdir, arguments.language, _tell)


def corpus(arguments: argparse.Namespace) -> None:
    """Counts of a corpus, and what is wrong with it."""
    for option, path, suffixes in (
        ("--list", arguments.list, (".csv",)),
        ("--plot", arguments.plot, (".png", ".svg", ".pdf")),
    ):
        if path is None:
            continue
        if not arguments.check:
            raise ConfigError(f"{option} writes what --check finds; add --check.")
        if path.suffix.lower() not in suffixes:
            raise ConfigError(f"{option} must end in {' or '.join(suffixes)}, got '{path}'.")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"{option}: there is no folder '{path.absolute().parent}'.")
    from caption_tx.data.corpus import describe, format_description, read_corpus
    from caption_tx.data.segmentation import Segmenter

    config = resolve(arguments)
    source = config.corpus
    if source.images:
        need_images(config)
    table = read_corpus(
        source.sources,
        source.format,
        source.val_fraction,
        source.test_fraction,
        source.split_seed,
        source.images or None,
    )
    segmenter = Segmenter(config.text)
    if arguments.check:
        _check_corpus(arguments, config, table, segmenter)
        return
    description = describe(table, segmenter)
    print(json.dumps(description, ensure_ascii=False, indent=1) if arguments.json else format_description(description))


def _check_corpus(arguments: argparse.Namespace, config: Config, table: Any, segmenter: Any) -> None:
    """Prints the report, even where none of the images could be read, which is an error after it."""
    from tqdm import tqdm

    from caption_tx.data.hygiene.checks import Findings, check_corpus
    from caption_tx.data.hygiene.text import format_report
    from caption_tx.data.image_folders import is_remote, open_images
    from caption_tx.files import write_atomically

    location, findings = config.corpus.images, Findings()
    if is_remote(location):
        _start_tensorflow()
    report = check_corpus(
        table,
        segmenter,
        images=open_images(location) if location else None,
        text=config.text,
        model_max_length=config.model.max_length,
        progress=lambda items, total, what: tqdm(items, desc=what, total=total, disable=not total),
        findings=findings,
    )
    print(json.dumps(report, ensure_ascii=False, indent=1) if arguments.json else format_report(report))
    if arguments.list is not None:
        write_atomically(arguments.list, findings.to_csv())
    if arguments.plot is not None:
        from caption_tx.data.hygiene.plot import corpus_figure
        from caption_tx.inference.plotting import save_figure

        save_figure(corpus_figure(report), arguments.plot)
    if location and not report["checked_images"]["read"]:
        raise CaptionTxError(f"None of the images that the captions name could be read in '{location}'.")


def features(arguments: argparse.Namespace) -> None:
    """Encodes the images of a corpus, or joins what several processes encoded."""
    config = resolve(arguments)
    need_images(config)
    share = parse_share(arguments.shard)
    if arguments.join and arguments.shard:
        raise ConfigError("--join comes after all shares are encoded; leave out --shard.")
    if arguments.ray:
        _refuse_beside_ray(arguments, "--ray encodes all shares and joins them itself", "shard", "join")
        _refuse_beside_ray(arguments, "--renew needs a cache that no other process is at work on", "renew")
        _start_tensorflow_without_gpus()
    else:
        _start_tensorflow()
    from caption_tx.training.encoding import encode_corpus, join_corpus
    from caption_tx.training.ray_jobs import encode_on_ray

    if arguments.ray:
        cache = encode_on_ray(config, arguments.ray, arguments.cache, _tell)
    elif arguments.join:
        cache = join_corpus(config, arguments.cache, _tell)
    else:
        cache = encode_corpus(config, arguments.cache, _tell, share, arguments.renew)
    _tell(f"{len(cache.images):,} images are in {cache.folder}, {len(cache.failed):,} could not be read.")
    if cache.failed and not cache.images:
        raise CaptionTxError("None of the images could be read; check --images.")


def _refuse_beside_ray(arguments: argparse.Namespace, reason: str, *options: str) -> None:
    for option in options:
        if getattr(arguments, option):
            raise ConfigError(f"{reason}; leave out --{option} or --ray.")


def train(arguments: argparse.Namespace) -> None:
    """Trains, or goes on."""
    config = resolve(arguments)
    need_images(config)
    if arguments.ray or arguments.workers is not None:
        _train_on_ray(arguments, config)
        return
    if os.environ.get("TF_CONFIG"):
        _join_workers()
    else:
        _start_tensorflow()
    from caption_tx.training.fit import train

    train(config, arguments.workdir, _tell)


def _train_on_ray(arguments: argparse.Namespace, config: Config) -> None:
    if not arguments.ray:
        raise ConfigError("--workers is for --ray, which starts them; without Ray start each yourself, with TF_CONFIG.")
    if arguments.workers is None or arguments.workers < 1:
        raise ConfigError(f"--ray needs --workers N, a number above 0, got {arguments.workers}.")
    if os.environ.get("TF_CONFIG"):
        raise ConfigError("TF_CONFIG is set, but with --ray it is Ray that names the workers; unset it.")
    _start_tensorflow_without_gpus()
    from caption_tx.training.ray_jobs import train_on_ray

    train_on_ray(config, arguments.workdir, arguments.ray, arguments.workers, _tell)


def caption(arguments: argparse.Namespace) -> None:
    """Captions images."""
    options = decoding_options(arguments)
    _start_tensorflow()
    from caption_tx.errors import ImageError
    from caption_tx.inference.captioning import find_images, load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    documents, failed = [], 0
    for name, result in captioner.captions(find_images(arguments.images), options):
        if isinstance(result, ImageError):
            failed += 1
            print(f"caption-tx: skipped: {result}", file=sys.stderr)
            documents.append({"image": name, "error": str(result)})
            continue
        for caption in result:
            if not arguments.json:
                _tell(f"{name}\t{caption.text}{'' if caption.finished else ' ...'}")
            documents.append(
                {
                    "image": name,
                    "caption": caption.text,
                    "rank": caption.rank,
                    "score": caption.score,
                    "words": list(caption.words),
                    "log_probabilities": list(caption.log_probabilities),
                    "finished": caption.finished,
                }
            )
    if arguments.json:
        print(json.dumps(documents, ensure_ascii=False, indent=1))
    if failed == len(documents):
        raise CaptionTxError("None of the images could be read.")


def explain(arguments: argparse.Namespace) -> None:
    """Draws or writes attention maps."""
    known = (".png", ".svg", ".pdf", ".npz")
    if arguments.out.suffix.lower() not in known:
        raise ConfigError(f"--out must end in one of {', '.join(known)}, got '{arguments.out}'.")
    if not arguments.out.absolute().parent.is_dir():
        raise ConfigError(f"--out: there is no folder '{arguments.out.absolute().parent}'.")
    _start_tensorflow()
    from caption_tx.inference.captioning import load
    from caption_tx.inference.plotting import save_figure

    maps = load(arguments.bundle, arguments.backbone_weights).explain(arguments.image, arguments.caption)
    if arguments.out.suffix.lower() == ".npz":
        maps.save_npz(arguments.out)
    elif arguments.heads_of is not None:
        save_figure(maps.heads_figure(None, arguments.heads_of), arguments.out)
    else:
        figure = maps.figure(
            layer=arguments.layer,
            head=arguments.head,
            pool=arguments.pool,
            common_scale=not arguments.scale_per_word,
        )
        save_figure(figure, arguments.out)
    _tell(f"{maps.caption}\n{arguments.out}")
