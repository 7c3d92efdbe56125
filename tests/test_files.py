import os
import stat

import pytest

from caption_tx.files import atomic_write, write_atomically


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
