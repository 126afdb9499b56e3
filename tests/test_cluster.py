"""A sweep on a real cluster of two worker processes, one of which is killed in the middle of it."""

import json
import subprocess
import sys
import time

import pytest
from PIL import Image

from benchmarks.picture_codecs import Tcodec
from tests.pictures import make_picture
from tests.program import COMMAND, ENVIRONMENT, process

DASK = [sys.executable, "-m", "dask"]
PATIENCE = 60  # seconds


def wait_for(condition):
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path):
    """Start a scheduler and two workers; give its address and the processes of the workers."""
    file = tmp_path / "scheduler.json"
    log = (tmp_path / "cluster.log").open("w")
    own = {"env": ENVIRONMENT, "stdout": log, "stderr": log, "cwd": tmp_path}
    started = [
        subprocess.Popen(
            [*DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file],
            **own,
        )
    ]
    wait_for(lambda: file.exists() and file.stat().st_size)
    address = json.loads(file.read_text())["address"]
    worker = [*DASK, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    started += [subprocess.Popen(worker, **own) for _ in range(2)]
    wait_for(lambda: (tmp_path / "cluster.log").read_text().count("Registered to") == 2)
    yield address, started[1:]
    for each in started:
        each.kill()
        each.wait()
    log.close()


def results(folder):
    """Return everything in a report but what differs from run to run: times, and what was called."""
    found = json.loads((folder / "results.json").read_text())
    del found["command"]
    for points in [*found["results"].values(), *found["rows"]]:
        del points["encoding_time"], points["decoding_time"]
    return found


def test_a_worker_that_is_killed_loses_no_cell_and_the_results_are_the_serial_ones(cluster, tmp_path):
    address, workers = cluster
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(make_picture(96, 128, seed=seed)).save(folder / f"{seed}.png")
    arguments = ["rd", str(folder), "--against", "webp"]
    cells = 2 * (len(list(Tcodec.variants())) + 1) * 6  # pictures, codecs, qualities

    kept = tmp_path / "spread" / "cells.jsonl"
    sweep = subprocess.Popen(
        [*COMMAND, *arguments, "--cluster", address, "-o", str(kept.parent)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: kept.exists() and kept.read_text().count("\n") >= 10)
    workers[0].kill()
    workers[0].wait()
    at_the_kill = kept.read_text().count("\n")
    _, errors = sweep.communicate(timeout=PATIENCE)
    assert sweep.returncode == 0, errors
    assert 10 <= at_the_kill < cells  # it was killed in the middle
    assert workers[1].poll() is None

    assert process(*arguments, "-o", str(tmp_path / "serial"))[0] == 0
    spread, serial = results(kept.parent), results(tmp_path / "serial")
    assert len(spread["rows"]) == cells
    assert spread == serial


def test_a_cluster_without_workers_is_an_error(tmp_path):
    Image.fromarray(make_picture(20, 30)).save(tmp_path / "x.png")
    file, command = tmp_path / "scheduler.json", [*DASK, "scheduler", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen([*command, "--no-dashboard", "--scheduler-file", file], stderr=subprocess.DEVNULL) as started:
        wait_for(lambda: file.exists() and file.stat().st_size)
        address = json.loads(file.read_text())["address"]
        status, _, errors = process("rd", str(tmp_path / "x.png"), "--cluster", address, "-o", str(tmp_path / "out"))
        started.kill()
    assert status == 1
    assert errors[-1] == f"tcodec: the cluster at {address} has no workers"


def test_a_cluster_that_is_not_there_is_an_error(tmp_path):
    Image.fromarray(make_picture(20, 30)).save(tmp_path / "x.png")
    address = "tcp://127.0.0.1:9"  # the port of RFC 863, where nobody answers
    status, _, errors = process("rd", str(tmp_path / "x.png"), "--cluster", address, "-o", str(tmp_path / "out"))
    assert status == 1
    assert errors[-1].startswith(f"tcodec: no cluster at {address}")
