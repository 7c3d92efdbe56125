"""What each command does: calls one function and prints."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from caption_tx.cli.settings import decoding_options, need_images, parse_share, resolve, resolve_corpus
from caption_tx.config import Config, CorpusConfig, DecodingOptions
from caption_tx.errors import CaptionTxError, ConfigError, ImageError


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


def _start_tensorflow(in_lanes: bool = False) -> None:
    """In lanes for work that `cores.lanes` divides."""
    with _silence():
        import tensorflow as tf

        from caption_tx.threads import share_cores

        tf.config.list_physical_devices()
        if in_lanes:
            share_cores()
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
        from caption_tx.threads import share_cores
        from caption_tx.training.distribution import choose, worker_share
    index, workers = worker_share()
    if workers == 1:
        _start_tensorflow(in_lanes=True)
        return
    _tell(f"Worker {index} of {workers} waits until all are started.")
    with _silence():
        share_cores()
        choose()


def _tell(text: str) -> None:
    print(text, flush=True)


def demo(arguments: argparse.Namespace) -> None:
    """The whole way on rendered scenes."""
    _start_tensorflow(in_lanes=True)
    from caption_tx.demo import run_demo

    run_demo(arguments.workdir, arguments.language, _tell)


def _read_corpus(source: CorpusConfig) -> Any:
    """The table of captions; names of images are checked only where a folder of images is named."""
    from caption_tx.data.corpus.table import read_corpus

    return read_corpus(
        source.sources,
        source.format,
        source.val_fraction,
        source.test_fraction,
        source.split_seed,
        source.images or None,
    )


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
    from caption_tx.data.corpus.table import describe, format_description
    from caption_tx.data.text.segmentation import Segmenter

    config = resolve(arguments)
    source = config.corpus
    if source.images:
        need_images(config)
    table = _read_corpus(source)
    segmenter = Segmenter(config.text)
    if arguments.check:
        _check_corpus(arguments, config, table, segmenter)
        return
    description = describe(table, segmenter)
    print(json.dumps(description, ensure_ascii=False, indent=1) if arguments.json else format_description(description))


def _check_corpus(arguments: argparse.Namespace, config: Config, table: Any, segmenter: Any) -> None:
    """Prints the report, even where none of the images could be read, which is an error after it."""
    from tqdm import tqdm

    from caption_tx.data.checks.corpus_checks import Findings, check_corpus
    from caption_tx.data.checks.report import format_report
    from caption_tx.data.images.sources import is_remote, open_images
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
        from caption_tx.data.checks.plot import corpus_figure
        from caption_tx.inference.drawing.figures import save_figure

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
        _start_tensorflow(in_lanes=not arguments.join)
    from caption_tx.data.features.corpus_features import encode_corpus, join_corpus
    from caption_tx.training.ray.jobs import encode_on_ray

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
        _start_tensorflow(in_lanes=True)
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
    from caption_tx.training.ray.jobs import train_on_ray

    train_on_ray(config, arguments.workdir, arguments.ray, arguments.workers, _tell)


def _warn(text: str) -> None:
    from caption_tx.inference.predictions import one_line

    print(f"caption-tx: {one_line(text)}", file=sys.stderr, flush=True)


def caption(arguments: argparse.Namespace) -> None:
    """Captions images, onto the terminal or into a file."""
    options = decoding_options(arguments)
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1 image, got {arguments.batch_size}.")
    from caption_tx.data.images.inputs import find_images
    from caption_tx.inference.prediction_file import check_out

    if arguments.out is not None:
        check_out(arguments.out)
    elif arguments.retry_failed:
        raise ConfigError("--retry-failed tries the failed images of a file again; name it with --out.")
    images = find_images(arguments.images, lambda text: _warn(f"skipped: {text}"))
    _start_tensorflow()
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    if arguments.out is None:
        _print_captions(arguments, captioner.captions(images, options, arguments.batch_size))
    else:
        _write_captions(arguments, captioner, images, options)


def _print_captions(arguments: argparse.Namespace, results: Iterator[tuple[str, Any]]) -> None:
    """A line a caption; or, an image at a time, one JSON list of rows as `predictions` has them."""
    from caption_tx.inference.predictions import make_rows, one_line

    images = failed = 0
    for name, result in results:
        rows = make_rows(name, result)
        if isinstance(result, ImageError):
            failed += 1
            _warn(f"skipped: {rows[0]['error']}")
        else:
            for row, each in zip(rows, result, strict=True):
                row["log_probabilities"] = list(each.log_probabilities)
                if not arguments.json:
                    rank = f"\t{row['rank']}" if len(rows) > 1 else ""
                    _tell(f"{one_line(row['image'])}{rank}\t{row['caption']}{'' if row['finished'] else ' ...'}")
        if arguments.json:
            documents = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            print(",\n" if images else "[\n", documents, sep="", end="")
        images += 1
    if arguments.json:
        print("\n]")
    if failed == images:
        raise CaptionTxError("None of the images could be read.")


def _write_captions(arguments: argparse.Namespace, captioner: Any, images: Iterator, options: DecodingOptions) -> None:
    """Adds to the file what it does not hold, and tells the counts."""
    from tqdm import tqdm

    from caption_tx.data.images.inputs import count_images
    from caption_tx.inference.prediction_file import PredictionFile

    def count() -> None:
        with suppress(CaptionTxError):
            bar.total = count_images(arguments.images)

    captioned = failed = 0
    run = {"bundle": captioner.digest, **dataclasses.asdict(options)}
    try:
        with (
            PredictionFile(arguments.out, run, options.n_best, arguments.retry_failed) as file,
            tqdm(unit="image", desc="captions") as bar,
            closing(captioner.captions(file.remaining(images), options, arguments.batch_size)) as results,
        ):
            threading.Thread(target=count, daemon=True).start()  # how many there are shows when it is known
            for name, result in results:
                file.write(name, result)
                failed += isinstance(result, ImageError)
                captioned += not isinstance(result, ImageError)
                bar.update(captioned + failed + file.skipped - bar.n)
            bar.update(captioned + failed + file.skipped - bar.n)
    except KeyboardInterrupt:
        _warn(f"{arguments.out} is whole up to here; the same command goes on.")
        raise
    counts = {"captioned": captioned, "skipped": file.skipped, "failed": failed}
    if arguments.json:
        print(json.dumps({"out": str(arguments.out)} | counts, ensure_ascii=False))
    else:
        _tell(
            f"{captioned:,} images captioned, {file.skipped:,} skipped (in the file already), "
            f"{failed:,} could not be read (their rows say why): {arguments.out}"
        )
    if failed and not captioned and not file.held:
        raise CaptionTxError("None of the images could be read.")


def evaluate(arguments: argparse.Namespace) -> None:
    """Captions a split, or takes a file of predictions, and scores it."""
    options = decoding_options(arguments)
    _check_evaluation(arguments, options)
    from caption_tx.data.corpus.table import captions_by_image
    from caption_tx.evaluation.evaluate import evaluate
    from caption_tx.evaluation.protocol import conversion
    from caption_tx.evaluation.scores import require_scorers
    from caption_tx.evaluation.table import format_evaluation
    from caption_tx.files import write_atomically

    require_scorers()
    config = resolve_corpus(arguments)
    source = config.corpus
    if source.images or (arguments.bundle is not None and arguments.cache is None):
        need_images(config)
    table = _read_corpus(source)
    arguments.out.mkdir(parents=True, exist_ok=True)
    language, convert, path = config.text.language, None, arguments.predictions
    facts: dict[str, Any] = {"corpus": {"sources": list(source.sources), "images": source.images}}
    if arguments.bundle is not None:
        _start_tensorflow()
        from caption_tx.inference.captioner import load

        captioner = load(arguments.bundle, arguments.backbone_weights)
        text = captioner.bundle.text
        if arguments.language not in (None, text.language):
            raise ConfigError(f"The bundle writes captions in '{text.language}', not in '{arguments.language}'.")
        language, convert = text.language, conversion(text)
        path = arguments.out / "predictions.jsonl"
        names = list(captions_by_image(table, arguments.split, "human"))
        _caption_split(arguments, captioner, names, path, options, source.images)
        facts |= {
            "bundle": {"folder": str(arguments.bundle), "digest": captioner.digest},
            "options": dataclasses.asdict(options),
            "converted": {} if convert is None else {"nfkc": text.nfkc, "script": text.script},
        }
    evaluation = evaluate(
        path, table, arguments.split, language, partly=arguments.partial, convert=convert, people=arguments.human
    )
    lines = format_evaluation(evaluation)
    if arguments.bundle is not None and arguments.map_images:
        from caption_tx.evaluation.attention.map_health import measure_map_health

        captions = evaluation.predictions.captions
        maps = measure_map_health(captioner, captions, source.images, arguments.cache, arguments.map_images)
        facts["attention"] = maps.to_dict()
        found = [f"  {warning}" for warning in maps.warnings()] or ["  Nothing speaks against them."]
        lines = "\n".join([lines, f"Attention maps of {maps.captions:,} captions:", *found])
    report = json.dumps(evaluation.to_dict(facts), ensure_ascii=False, indent=1)
    write_atomically(arguments.out / "scores.json", report + "\n")
    if arguments.gallery_images:
        from caption_tx.data.images.sources import open_images
        from caption_tx.evaluation.gallery import gallery_page

        images = open_images(source.images) if source.images else None
        page = gallery_page(evaluation, images, arguments.gallery_images)
        write_atomically(arguments.out / "gallery.html", page)
    _tell(report if arguments.json else f"{lines}\n{arguments.out}")


def _check_evaluation(arguments: argparse.Namespace, options: DecodingOptions) -> None:
    """Refuses what means nothing before anything is read."""
    if (arguments.bundle is None) == (arguments.predictions is None):
        raise ConfigError("Name what to score: --bundle DIR, which captions the split, or --predictions FILE.")
    if arguments.predictions is not None:
        if options != DecodingOptions():
            raise ConfigError("The options of a search are for --bundle; the captions of --predictions are there.")
        for option in ("cache", "backbone_weights", "retry_failed"):
            if getattr(arguments, option):
                raise ConfigError(f"--{option.replace('_', '-')} is for --bundle; leave it out with --predictions.")
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1 image, got {arguments.batch_size}.")
    for option in ("gallery_images", "map_images"):
        if getattr(arguments, option) < 0:
            raise ConfigError(f"--{option.replace('_', '-')} must be 0 or more, got {getattr(arguments, option)}.")


def _caption_split(
    arguments: argparse.Namespace, captioner: Any, names: list[str], path: Any, options: DecodingOptions, images: str
) -> None:
    """Writes the captions that the file does not hold, and tells of images that cannot be read."""
    from tqdm import tqdm

    from caption_tx.evaluation.evaluate import caption_split

    try:
        counts = caption_split(
            captioner,
            names,
            path,
            options,
            images,
            arguments.cache,
            arguments.batch_size,
            arguments.retry_failed,
            lambda items, total: tqdm(items, total=total, unit="image", desc="captions"),
        )
    except KeyboardInterrupt:
        _warn(f"{path} is whole up to here; the same command goes on.")
        raise
    if not arguments.json:
        _tell(
            f"{counts.captioned:,} images captioned, {counts.skipped:,} skipped (in {path} already), "
            f"{counts.failed:,} could not be read."
        )
