"""A caption file that grows image by image and that a killed run resumes. No TensorFlow.

The rows of an image are written together; the next run removes an incomplete last image. Parquet files cannot grow, so
their rows are collected in `NAME.parquet.part.jsonl` until the run ends. `NAME.run.json` records what made the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from caption_tx import __version__
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.escaping import printable
from caption_tx.files import atomic_write, write_atomically
from caption_tx.inference.predictions import (
    RowFormat,
    is_resaved_csv,
    make_rows,
    prediction_suffix,
    read_predictions,
    read_resaved_csv,
    write_parquet,
)

if TYPE_CHECKING:
    from caption_tx.data.images.forms import NamedImage
    from caption_tx.inference.search.caption import Caption

_LOCK_TIMEOUT = 0.2
"""Seconds to wait for the lock, which covers a run that is just ending."""


def check_output_path(path: str | Path) -> None:
    """Raise ConfigError if the format of a caption file is unknown or its folder is missing."""
    prediction_suffix(path)
    if not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"The output folder '{Path(path).absolute().parent}' does not exist; create it first.")


def _name_key(image: str) -> int:
    """96 bits of a hash, so that a million image names need some 80 MB and do not collide."""
    return int.from_bytes(hashlib.blake2b(printable(image).encode(), digest_size=12).digest())


class PredictionFile:
    """A caption file that is being written, as a context manager.

    Take the images that it does not contain from `remaining`, and `write` the captions of each.

    Args:
        path: ends in .jsonl, .csv or .parquet.
        run: what the captions depend on, as JSON-compatible values: bundle and options. A file of another run is
            rejected.
        n_best: the most captions per image.
        retry_failed: remove the rows of images that could not be read, so that `remaining` yields them again.

    Attributes:
        existing: number of images in the file at the start.
        skipped: number of images that `remaining` has left out.
        converted: whether another program, such as Excel or pandas, had saved the file, which is now as before.

    Raises:
        ConfigError: the format is unknown or the folder is missing.
        CaptionTxError: the file is of another run or is not a caption file, or another process writes it.
    """

    def __init__(self, path: str | Path, run: dict[str, Any], n_best: int = 1, retry_failed: bool = False) -> None:
        check_output_path(path)
        self.path = Path(path)
        if self.path.is_symlink():  # replacing the file must not replace the link
            self.path = Path(os.path.realpath(path))
            check_output_path(self.path)
        self.existing = self.skipped = 0
        self.converted = False
        suffix, name = prediction_suffix(self.path), self.path.name
        self._is_parquet = suffix == ".parquet"
        self._format = RowFormat(suffix == ".csv")
        self._growing = self.path.with_name(f"{name}.part.jsonl") if self._is_parquet else self.path
        self._sidecar = self.path.with_name(f"{name}.run.json")
        self._run = json.loads(json.dumps(run))
        if not self._run.get("retrieval", True):
            del self._run["retrieval"]  # files of versions without retrieval can be continued
        self._n_best = n_best
        self._seen: set[int] = set()
        self._lock = FileLock(self.path.with_name(f".{name}.lock"), thread_local=False)
        self._acquire_lock()
        try:
            self._open()
            is_new = self._size == 0
            self._changed = not is_new
            try:
                self._resume(self._read_sidecar(), retry_failed)
            except BaseException:
                os.close(self._file)
                if is_new:
                    self._growing.unlink(missing_ok=True)
                raise
        except BaseException:
            self._release_lock()
            raise

    def _acquire_lock(self) -> None:
        try:
            self._lock.acquire(timeout=_LOCK_TIMEOUT)
        except Timeout:
            raise CaptionTxError(f"Another process is writing {self.path}; wait until it ends.") from None
        except OSError:  # a file system without locks
            pass

    def _release_lock(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):  # Windows removes the lock file on release
                os.unlink(self._lock.lock_file)
            self._lock.release()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._growing, flags, 0o666)
        self._size = os.fstat(self._file).st_size

    def _existing_files(self) -> str:
        """The files that contain rows, for messages."""
        files = dict.fromkeys((self.path, self._growing))
        return " and ".join(str(file) for file in files if file.exists() and file.stat().st_size)

    def _read_sidecar(self) -> dict[str, Any] | None:
        try:
            recorded = dict(json.loads(self._sidecar.read_text(encoding="utf-8"))["run"])
        except FileNotFoundError:
            recorded = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            files = " and ".join(filter(None, [str(self._sidecar), self._existing_files()]))
            raise CaptionTxError(f"Cannot read {self._sidecar} ({error}); remove {files}.") from error
        if recorded is None and (files := self._existing_files()):
            raise CaptionTxError(
                f"{files} has no {self._sidecar.name} that records how it was made and may be a file of yours; "
                "choose another file name."
            )
        return recorded

    def _resume(self, recorded: dict[str, Any] | None, retry_failed: bool) -> None:
        if self.path.suffix.lower() == ".csv" and is_resaved_csv(self._growing):
            self._convert(recorded)
        end, failed = self._scan(recorded)
        if not self._seen and self._is_parquet and self.path.exists():
            self._rewrite(map(self._format.encode, read_predictions(self.path)))
            end, failed = self._scan(recorded)
        if not self._seen:
            write_atomically(self._sidecar, json.dumps({"caption_tx": __version__, "run": self._run}, indent=1) + "\n")
            end = 0
        os.ftruncate(self._file, end)
        self._size = end
        if retry_failed and failed:
            self._remove_failed()
        self.existing = len(self._seen)

    def _convert(self, recorded: dict[str, Any] | None) -> None:
        """Replace a file that another program has saved; its rows may be sorted differently."""
        rows = list(read_resaved_csv(self._growing, allow_columns=False))
        if rows and recorded != self._run:
            raise CaptionTxError(self._difference(recorded or {}))
        order: dict[str, int] = {}
        for row in rows:
            order.setdefault(row["image"], len(order))
        rows.sort(key=lambda row: (order[row["image"]], row["rank"] or 0))
        self._rewrite(map(self._format.encode, rows))
        self.converted = True

    def _scan(self, recorded: dict[str, Any] | None) -> tuple[int, int]:
        """Find the images that the growing file contains.

        Returns:
            The byte offset where the complete images end, and the number of images that failed.
        """
        failed = start = end = num_rows = 0
        image: str | None = None
        row: dict[str, Any] = {}
        with open(self._growing, "rb") as file:
            for record, row in self._format.read(file, str(self._growing)):
                end = end or len(self._format.header)
                if row["image"] != image:
                    image, start, num_rows = row["image"], end, 0
                    self._seen.add(_name_key(image))
                    failed += row["error"] is not None
                end += len(record)
                num_rows += 1
        if image is not None and recorded != self._run:
            raise CaptionTxError(self._difference(recorded or {}))
        if image is not None and row["error"] is None and num_rows < self._n_best:
            # Some rows of the last image may be missing, so it is captioned again.
            self._seen.discard(_name_key(image))
            end = start
        return end, failed

    def _difference(self, recorded: dict[str, Any]) -> str:
        different = []
        for name in sorted({*recorded, *self._run}):
            before, now = recorded.get(name), self._run.get(name)
            if before != now:
                different.append(name if len(str(now)) > 40 else f"{name} ({before}, now {now})")
        files = self._existing_files()
        return (
            f"{files} {'were' if ' and ' in files else 'was'} made with different options: {', '.join(different)}; "
            f"choose another file name, or remove {files} to start over."
        )

    def _rewrite(self, records: Iterable[bytes]) -> None:
        """Replace the growing file by these rows."""
        with atomic_write(self._growing, stat.S_IMODE(os.fstat(self._file).st_mode)) as file:
            file.write(self._format.header)
            file.writelines(records)
        os.close(self._file)
        self._open()

    def _remove_failed(self) -> None:
        def succeeded() -> Iterator[bytes]:
            with open(self._growing, "rb") as file:
                for record, row in self._format.read(file, str(self._growing)):
                    if row["error"] is None:
                        yield record
                    else:
                        self._seen.discard(_name_key(row["image"]))

        self._rewrite(succeeded())
        self._changed = True

    def remaining(self, images: Iterable[NamedImage]) -> Iterator[NamedImage]:
        """The images that are not in the file, without duplicates."""
        for image in images:
            key = _name_key(image[0] if isinstance(image, tuple) else str(image))
            if key in self._seen:
                self.skipped += 1
                continue
            self._seen.add(key)
            yield image

    def write(self, image: str, result: Sequence[Caption] | ImageError) -> None:
        """Append all rows of an image, or none.

        Raises:
            CaptionTxError: the file cannot be written, for example because the disk is full. It stays complete up to
                the image before. Or the search found no caption of the image, which no row can express.
        """
        if not isinstance(result, ImageError) and not result:
            raise CaptionTxError(f"The search found no caption of '{printable(image)}'; use less strict options.")
        data = b"".join(map(self._format.encode, make_rows(image, result)))
        if self._size == 0:
            data = self._format.header + data
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except BaseException as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            if isinstance(error, OSError):
                raise CaptionTxError(
                    f"Cannot write {self._growing}: {error.strerror}. It is complete up to '{printable(image)}'."
                ) from error
            raise
        self._size += len(data)
        self._changed = True

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *_: object) -> None:
        try:
            if self._size == 0:  # nothing was written
                self._growing.unlink(missing_ok=True)
                if not self.path.exists():  # the Parquet file of a previous run still needs it
                    self._sidecar.unlink(missing_ok=True)
            elif exception_type is None and self._is_parquet:
                if self._changed:
                    with atomic_write(self.path, stat.S_IMODE(os.fstat(self._file).st_mode)) as file:
                        write_parquet(read_predictions(self._growing), file)
                self._growing.unlink()
        finally:
            os.close(self._file)
            self._release_lock()
