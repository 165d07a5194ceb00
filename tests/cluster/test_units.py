"""The bench's own rules, tested without starting it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from . import archive
from .bench import PARTS, expand
from .kwok import gpu_node
from .leftovers import Leftovers
from .processes import Processes, start_time
from .report import BenchError
from .settings import from_environment


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("all", PARTS),
        ("", PARTS),
        ("control-plane", ("control-plane",)),
        ("kwok", ("control-plane", "kwok")),
        ("dns,control-plane", ("control-plane", "node", "dns")),
        ("kwok node", ("control-plane", "kwok", "node")),
    ],
)
def test_parts_come_with_what_they_need_and_in_order(text: str, parts: tuple[str, ...]) -> None:
    assert parts == expand(text)


def test_an_unknown_part_is_refused_by_name() -> None:
    with pytest.raises(BenchError, match="unknown part nodes"):
        expand("control-plane,nodes")


def test_every_setting_can_come_from_the_environment() -> None:
    settings = from_environment({"RAG_BENCH_API_PORT": "7001", "RAG_BENCH_STATE": "/srv/b", "RAG_BENCH_LINK": "l0"})

    assert 7001 == settings.api_port
    assert Path("/srv/b/admin.kubeconfig") == settings.kubeconfig
    assert "l0" == settings.link


def test_a_setting_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="many"):
        from_environment({"RAG_BENCH_API_PORT": "many"})


def test_a_process_is_started_once_and_ended_by_its_record(tmp_path: Path) -> None:
    processes = Processes(tmp_path)

    pid = processes.start("sleeper", ["sleep", "100"])

    assert pid == processes.start("sleeper", ["sleep", "100"])
    assert pid == Processes(tmp_path).pid("sleeper")
    assert processes.stop("sleeper")
    assert start_time(pid) is None
    assert not processes.stop("sleeper")
    assert [] == processes.names()


def test_a_process_that_took_over_a_pid_is_left_alone(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    with subprocess.Popen(["sleep", "100"]) as stranger:
        started = start_time(stranger.pid)
        assert started is not None
        (tmp_path / "run").mkdir()
        record = {"pid": stranger.pid, "start": started - 1, "command": ["sleep"]}
        (tmp_path / "run" / "sleeper.json").write_text(json.dumps(record))

        assert processes.pid("sleeper") is None
        assert not processes.stop("sleeper")
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    )
    pid = processes.start("deaf", [sys.executable, "-c", script])
    while "deaf" not in processes.tail("deaf"):
        pass

    assert processes.stop("deaf", grace=0.2)
    assert start_time(pid) is None


def test_only_folders_that_were_missing_are_made_and_removed_again(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    notes = Leftovers(tmp_path / "cache", "one", tmp_path / "forwarding")

    notes.make_folder(there)
    notes.make_folder(there / "a" / "b")
    notes.remove()

    assert there.is_dir()
    assert [] == list(there.iterdir())


def test_forwarding_is_switched_back_when_the_last_bench_goes(tmp_path: Path) -> None:
    forwarding = tmp_path / "forwarding"
    forwarding.write_text("0\n")
    one, two = (Leftovers(tmp_path / "cache", name, forwarding) for name in ("one", "two"))

    one.need_forwarding()
    two.need_forwarding()
    assert "1" == forwarding.read_text().strip()
    one.remove()
    assert "1" == forwarding.read_text().strip()
    two.remove()
    assert "0" == forwarding.read_text().strip()


def test_forwarding_that_was_on_stays_on(tmp_path: Path) -> None:
    forwarding = tmp_path / "forwarding"
    forwarding.write_text("1\n")
    notes = Leftovers(tmp_path / "cache", "one", forwarding)

    notes.need_forwarding()
    notes.remove()

    assert "1" == forwarding.read_text().strip()


def test_an_image_archive_is_the_same_for_the_same_program(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"#!program")
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    archive.write(first, "example.test/pause:1", program, "amd64")
    os.utime(program, (1, 1))
    archive.write(second, "example.test/pause:1", program, "amd64")

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(first.read_bytes())) as opened:
        manifest = json.load(opened.extractfile("manifest.json") or io.BytesIO(b"null"))
    assert ["example.test/pause:1"] == manifest[0]["RepoTags"]


def test_a_made_gpu_node_offers_what_it_says() -> None:
    node = gpu_node("g1", gpus=4, product="NVIDIA-H100", taints=())

    assert "4" == node["status"]["allocatable"]["nvidia.com/gpu"]
    assert "NVIDIA-H100" == node["metadata"]["labels"]["nvidia.com/gpu.product"]
    assert [] == node["spec"]["taints"]


@pytest.mark.parametrize("command", ["up", "down", "env", "status", "images", "load"])
def test_every_command_explains_itself(command: str) -> None:
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-m", "tests.cluster", command, "--help"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert "usage: python3 -m tests.cluster" in done.stdout
