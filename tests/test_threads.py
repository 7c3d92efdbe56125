"""Who decides how TensorFlow shares the cores; each case in a process of its own, since it is decided once."""

import pytest
import tensorflow as tf

from caption_tx import threads
from caption_tx.training.training_model import resolve_precision

CODE = """
import tensorflow as tf
{before}
from caption_tx import threads
assert threads.parallel_chunks() == 1
chunks = threads.configure_threads({cores}), threads.parallel_chunks()
print(*chunks, tf.config.threading.get_intra_op_parallelism_threads())
tf.zeros(3)
"""


@pytest.mark.parametrize(
    ("before", "intra"),
    [
        ("tf.zeros(3)", 0),
        ("tf.config.threading.set_intra_op_parallelism_threads(3)", 3),
        ("import os; os.environ['TF_NUM_INTEROP_THREADS'] = '3'", 0),
    ],
    ids=["begun", "set", "environment"],
)
def test_cores_are_not_shared_where_somebody_chose_otherwise(run_python, parallel_chunks, before, intra):
    finished = run_python(CODE.format(before=before, cores=""))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["1", "1", str(intra)]


@pytest.mark.parametrize(("given", "divided"), [("", None), ("6", 4), ("9", 1)])
def test_cores_are_shared_where_nobody_chose(run_python, parallel_chunks, given, divided):
    finished = run_python(CODE.format(before="", cores=given))
    assert finished.returncode == 0, finished.stderr
    divided = divided or parallel_chunks
    assert finished.stdout.split() == [str(divided), str(divided), "1" if divided > 1 else "0"]


@pytest.mark.parametrize("environment", ["", '{"cluster": {"worker": ["localhost:1"]}, "task": {"index": 0}}'])
def test_the_command_trains_in_lanes(run_python, parallel_chunks, monkeypatch, environment):
    monkeypatch.setenv("TF_CONFIG", environment)
    code = """
import sys
from caption_tx import threads
from caption_tx.cli import main
from caption_tx.training import fit
fit.train = lambda config, workdir, log: print("lanes", threads.parallel_chunks())
sys.exit(main(["train", "captions.txt", "--images", ".", "--workdir", "w"]))
"""
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == f"lanes {parallel_chunks}"


@pytest.mark.parametrize(("cpus", "said"), [(1, [1, 1]), (2, [2, 1]), (16, [1, 16])])
def test_a_worker_of_ray_uses_the_cpus_that_it_was_given(run_python, parallel_chunks, cpus, said):
    code = """
import sys
import tensorflow as tf
from caption_tx import threads
from caption_tx.training.ray.cluster import prepare_worker
for _ in range(2):  # Ray gives a process one task after another
    prepare_worker({}, int(sys.argv[1]))
    tf.zeros(3)
print(threads.parallel_chunks(), tf.config.threading.get_intra_op_parallelism_threads())
"""
    finished = run_python(code, cpus)
    assert finished.returncode == 0, finished.stderr
    assert [int(word) for word in finished.stdout.split()] == said


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("flags : fpu avx512f avx512_bf16 sse", True), ("amx_tile amx_bf16", True), ("avx512f avx2", False), ("", False)],
)
def test_a_processor_with_instructions_for_bfloat16_is_told_from_others(monkeypatch, flags, fast):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert threads.has_fast_bfloat16(flags) is fast
    monkeypatch.setattr(threads.Path, "read_text", lambda *_, **__: flags)
    assert resolve_precision() == ("mixed_bfloat16" if fast else "float32")


@pytest.mark.parametrize(
    ("capabilities", "fast"), [([(8, 0)], True), ([(9, 0), (7, 5)], False), ([(7, 0)], False), ([None], False)]
)
def test_the_oldest_gpu_decides(monkeypatch, capabilities, fast):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)

    def tell(found):
        return {} if found is None else {"compute_capability": found}

    monkeypatch.setattr(tf.config.experimental, "get_device_details", tell)
    assert threads.has_fast_bfloat16("avx512_bf16") is fast


def test_a_processor_that_does_not_tell_is_taken_to_be_slow(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(threads.Path, "read_text", refuse)
    assert not threads.has_fast_bfloat16()
