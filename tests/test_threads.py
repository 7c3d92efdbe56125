"""How TensorFlow's threads are configured, and when bfloat16 is fast."""

import pytest
import tensorflow as tf

from caption_tx import threads
from caption_tx.cli import main
from caption_tx.threads import choose_chunks
from caption_tx.training.training_model import resolve_precision


@pytest.mark.parametrize(
    ("cores", "settings", "chunks"),
    [
        (1, {}, 1),
        (2, {}, 2),
        (6, {}, 4),
        (8, {}, 4),
        (9, {}, 1),
        (2, {"threads_are_set": True}, 1),
        (2, {"has_gpu": True}, 1),
    ],
)
def test_work_is_divided_if_there_are_a_few_free_cores(cores, settings, chunks):
    assert choose_chunks(cores, **settings) == chunks


@pytest.mark.parametrize("name", ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"])
def test_threads_of_the_environment_are_kept(parallel_chunks, monkeypatch, name):
    monkeypatch.setenv(name, "3")
    monkeypatch.setattr(threads, "choose_chunks", lambda cores, threads_are_set, has_gpu: 1 if threads_are_set else 2)
    assert threads.configure_threads(2) == 1


def test_threads_of_the_configuration_are_kept(parallel_chunks, monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 3)
    monkeypatch.setattr(threads, "choose_chunks", lambda cores, threads_are_set, has_gpu: 1 if threads_are_set else 2)
    assert threads.configure_threads(2) == 1


def test_nothing_changes_once_tensorflow_has_started(parallel_chunks):
    tf.zeros(3)
    assert threads.configure_threads(2) == threads.parallel_chunks() == 1
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0


def test_a_new_process_gives_each_operation_one_core(run_forked, parallel_chunks):
    code = """
import tensorflow as tf
from caption_tx import threads
assert threads.parallel_chunks() == 1
chunks = threads.configure_threads(6), threads.parallel_chunks()
tf.zeros(3)
print(*chunks, threads.configure_threads(6), tf.config.threading.get_intra_op_parallelism_threads())
"""
    process = run_forked(code)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["4", "4", "4", "1"]


@pytest.mark.parametrize("tf_config", ["", '{"cluster": {"worker": ["localhost:1"]}, "task": {"index": 0}}'])
def test_the_train_command_configures_threads_before_it_trains(monkeypatch, tmp_path, tf_config):
    calls = []
    monkeypatch.setenv("TF_CONFIG", tf_config)
    monkeypatch.setattr(threads, "configure_threads", lambda: calls.append("threads"))
    monkeypatch.setattr("caption_tx.api.runs.train_captioner", lambda *values: calls.append("train"))
    monkeypatch.setattr("caption_tx.api.runs.Run", lambda workdir: None)
    assert main(["train", "captions.txt", "--images", str(tmp_path), "--workdir", "w"]) == 0
    assert calls == ["threads", "train"]


def test_a_ray_worker_uses_the_cpus_that_ray_gives_it(run_forked, parallel_chunks):
    code = """
import tensorflow as tf
from caption_tx import threads
from caption_tx.training.ray.cluster import prepare_worker
for _ in range(2):  # Ray runs several tasks in one process
    prepare_worker({}, 16)
    tf.zeros(3)
print(threads.parallel_chunks(), tf.config.threading.get_intra_op_parallelism_threads())
"""
    process = run_forked(code)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["1", "16"]


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("flags : fpu avx512f avx512_bf16 sse", True), ("amx_tile amx_bf16", True), ("avx512f avx2", False), ("", False)],
)
def test_bfloat16_is_fast_on_processors_with_instructions_for_it(monkeypatch, flags, fast):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert threads.has_fast_bfloat16(flags) is fast
    monkeypatch.setattr(threads.Path, "read_text", lambda *_, **__: flags)
    assert resolve_precision() == ("mixed_bfloat16" if fast else "float32")


@pytest.mark.parametrize(
    ("capabilities", "fast"), [([(8, 0)], True), ([(9, 0), (7, 5)], False), ([(7, 0)], False), ([None], False)]
)
def test_the_oldest_gpu_decides(monkeypatch, capabilities, fast):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)

    def details(capability):
        return {} if capability is None else {"compute_capability": capability}

    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    assert threads.has_fast_bfloat16("avx512_bf16") is fast


def test_bfloat16_counts_as_slow_on_an_unknown_processor(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(threads.Path, "read_text", fail)
    assert not threads.has_fast_bfloat16()
