import os
import signal
import stat

import pytest

from caption_tx.files import atomic_write, remove_leftovers, write_atomically


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_text_is_written_as_utf8_and_readable_by_everyone(tmp_path):
    path = tmp_path / "caption.txt"
    write_atomically(path, "一只猫")
    assert path.read_bytes() == "一只猫".encode()
    assert permissions(path) == 0o644


def test_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert permissions(path) == 0o600


def test_permissions_of_a_new_file_can_be_chosen(tmp_path):
    path = tmp_path / "scores.json"
    with atomic_write(path, permissions=0o640) as file:
        file.write(b"new")
    assert permissions(path) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_temporary_file(tmp_path, error):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half of the new")
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["scores.json"]


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "scores.json", "{}")


KILLED = """
import os, signal, sys
from caption_tx.files import atomic_write

with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, run_forked):
    path = tmp_path / "scores.json"
    assert run_forked(KILLED, path).returncode == -signal.SIGKILL
    [leftover] = tmp_path.iterdir()
    with atomic_write(tmp_path / "other.json") as file:  # of a process that runs
        assert leftover not in tmp_path.iterdir()
        remove_leftovers(tmp_path)
        file.write(b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_leftovers_of_other_hosts_are_removed_under_a_lock_only(tmp_path):
    names = {".log.csv.00000000.1.abcdefgh.tmp", "bundle.00000000.1.old", ".hidden.tmp", "notes.tmp"}
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert set(os.listdir(tmp_path)) == names
    remove_leftovers(tmp_path, locked=True)
    assert set(os.listdir(tmp_path)) == names - {".log.csv.00000000.1.abcdefgh.tmp"}


FULL_DISK = """
import resource, signal, sys
from caption_tx.files import write_atomically

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_atomically(sys.argv[1], bytes(1_000_000))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("before", "state"), [("old", "what was there before is intact"), (None, "it was not written")]
)
def test_a_full_disk_names_the_file_and_what_is_intact(tmp_path, run_forked, before, state):
    path = tmp_path / "checkpoint.npz"
    if before is not None:
        path.write_text(before)
    assert run_forked(FULL_DISK, path).stdout == f"[Errno 27] File too large; {state}: '{path}'\n"
    assert os.listdir(tmp_path) == ([path.name] if before else [])
