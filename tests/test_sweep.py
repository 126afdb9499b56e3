"""Tests of sweeps: cells, what is kept of them, and that nothing that goes wrong in one is lost on others."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import cells, pool
from benchmarks.cells import Cell, Setting, child_cpu_seconds, cpu_seconds, point
from benchmarks.pool import Crew, processes, work_on
from benchmarks.sources import find_sources
from benchmarks.sweep import Store, cells_of, sweep
from benchmarks.video_codecs import Mpeg2
from bitstreams.errors import CodecError
from codec import metrics
from tests.footage import Broken, Coarse, CoarsePicture, Exiting, make_footage
from tests.pictures import make_picture
from tests.program import ENVIRONMENT

MEASURES = ("psnr-rgb", "ssim")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, width in (("one", 96), ("two", 80)):
        Image.fromarray(make_picture(48, width)).save(folder / f"{name}.png")
    return find_sources([str(folder)]).sources


def here(number=1):
    """A crew of threads: quick to start."""
    return Crew(lambda: ThreadPoolExecutor(number), number + 1)


def run(cells, store, crew=None):
    return sweep(cells, crew or here(), store, bar=False, unit="cells")


def cells_of_codecs(sources, codecs):
    return cells_of(sources, [Setting.of(codec) for codec in codecs], MEASURES)


def without_times(rows):
    return [row and {key: value for key, value in row.items() if not key.endswith("_time")} for row in rows]


# Cells ------------------------------------------------------------------------------------------------------


def test_a_cell_is_what_coding_and_measuring_give(sources):
    codec, picture = CoarsePicture(), make_picture(48, 96)
    [cell] = [cell for cell in cells_of_codecs(sources[:1], [codec]) if cell.quality == 8]
    row = cell.run()
    data = codec.encode(picture, 8)
    decoded = codec.decode(data)
    assert without_times([row]) == [
        {
            "quality": 8,
            "bytes": len(data),
            "bpp": 8 * len(data) / (48 * 96),
            "psnr-rgb": metrics.psnr(picture, decoded),
            "ssim": metrics.ssim(picture, decoded),
        }
    ]
    assert row["encoding_time"] > 0
    assert row["decoding_time"] > 0


def test_points_of_clips_have_a_bit_rate():
    footage, codec = make_footage(48, 64, 5), Coarse()
    data = codec.encode(footage, 5)
    row = point(codec, footage, 5, ["psnr-y"])
    assert (row["bytes"], row["kbit/s"]) == (len(data), footage.kilobits(len(data)))
    assert row["bpp"] == 8 * len(data) / (5 * 48 * 64)


def test_cells_are_all_sources_codecs_and_steps_source_by_source(sources):
    codecs = [CoarsePicture("a"), CoarsePicture("b")]
    expected = itertools.product(["one", "two"], "ab", CoarsePicture.ladder)
    assert [(c.source.name, c.setting.codec.name, c.quality) for c in cells_of_codecs(sources, codecs)] == [*expected]


def test_a_key_tells_everything_that_matters_apart(sources, monkeypatch):
    setting = Setting(CoarsePicture(), "1", "code")
    cell = Cell(sources[0], setting, 8, MEASURES)
    others = [
        cell._replace(source=sources[1]),
        cell._replace(source=dataclasses.replace(sources[0], frames=3)),
        cell._replace(setting=setting._replace(codec=CoarsePicture("other"))),
        cell._replace(setting=setting._replace(version="2")),
        cell._replace(setting=setting._replace(code="changed")),
        cell._replace(quality=4),
    ]
    keys = [each.key for each in (cell, *others)]
    monkeypatch.setattr(cells, "cpu_model", lambda: "another processor, and so other times")
    keys.append(cell.key)
    assert len(set(keys)) == len(keys)
    renamed = cell._replace(source=dataclasses.replace(sources[0], name="renamed"))
    assert renamed.key == cell.key


def test_a_setting_follows_the_code_of_the_codec_and_of_the_measures(monkeypatch):
    code, before = cells.fingerprint, Setting.of(CoarsePicture()).code
    for changed in ("tests.footage", "benchmarks.distortion", "codec.metrics", "codec.frames"):

        def of_changed_code(*modules, changed=changed):
            return code(*modules) + "changed" * (changed in modules)

        monkeypatch.setattr(cells, "fingerprint", of_changed_code)
        assert Setting.of(CoarsePicture()).code != before


@pytest.mark.parametrize("difference", [{"version": "2"}, {"code": "other"}])
def test_another_version_elsewhere_is_refused(difference, sources):
    cell = Cell(sources[0], Setting.of(CoarsePicture())._replace(**difference), 8, MEASURES)
    with pytest.raises(RuntimeError, match=r"coarse-picture is 1 .* here, not "):
        cell.run()


def test_time_is_that_of_this_process_or_of_its_children():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    burning = [sys.executable, "-c", code]
    _, children = child_cpu_seconds(subprocess.run, burning, check=True)
    _, own = cpu_seconds(subprocess.run, burning, check=True)
    assert children >= 0.3
    assert own < 0.1
    assert child_cpu_seconds(lambda: sum(range(3_000_000)))[1] == 0


def test_the_time_of_a_codec_that_is_a_process_is_its_own(monkeypatch):
    monkeypatch.setattr(cells, "child_cpu_seconds", lambda work, *args: (work(*args), 1.0))
    monkeypatch.setattr(cells, "cpu_seconds", lambda work, *args: (work(*args), 2.0))
    footage = make_footage(32, 48, 2)
    for codec, seconds in ((Mpeg2(), 1), (Coarse(), 2)):
        row = point(codec, footage, 5, ["psnr-y"])
        assert (row["encoding_time"], row["decoding_time"]) == (seconds, seconds)


# What is kept -----------------------------------------------------------------------------------------------


def test_what_was_measured_is_not_measured_again(sources, tmp_path):
    work = cells_of_codecs(sources, [CoarsePicture()])
    first = run(work[:5], Store(tmp_path / "cells.jsonl"))
    again = run(work, Store(tmp_path / "cells.jsonl"))
    assert (first.known, again.known) == (0, 5)
    assert again.rows[:5] == first.rows  # with their times: it is the same measurement
    assert run(work[::-1], Store(tmp_path / "cells.jsonl")).rows == again.rows[::-1]


def test_fewer_measures_are_known_and_more_are_added(sources, tmp_path):
    store = Store(tmp_path / "cells.jsonl")
    work = cells_of_codecs(sources, [CoarsePicture()])
    whole = run(work, store)
    assert run([cell._replace(measures=("ssim",)) for cell in work], store).known == 8
    more = run([cell._replace(measures=("psnr-y",)) for cell in work], store)
    assert (more.known, set(MEASURES) < set(more.rows[0])) == (0, True)
    again = run(work, Store(tmp_path / "cells.jsonl"))
    assert again.known == 8
    assert [row["ssim"] for row in again.rows] == [row["ssim"] for row in whole.rows]


def test_equal_files_are_measured_once_and_both_named(sources, tmp_path):
    twins = [dataclasses.replace(sources[1], name=name) for name in ("two", "twin")]
    swept = run(cells_of_codecs(twins, [Broken()]), Store(tmp_path / "x"))
    said = "UnpicklableError: a library said a code"
    assert swept.failures == [f"two, broken: {said} (4 of 4)", f"twin, broken: {said} (4 of 4)"]
    swept = run(cells_of_codecs(twins, [CoarsePicture()]), Store(tmp_path / "y"))
    assert swept.rows[:4] == swept.rows[4:]
    assert (tmp_path / "y").read_text().count('"key"') == 4


def test_a_line_that_was_cut_off_is_measured_again_and_loses_no_other(sources, tmp_path):
    file = tmp_path / "cells.jsonl"
    work = cells_of_codecs(sources[:1], [CoarsePicture()])
    whole = run(work, Store(file))
    text = file.read_text()
    for end in (len(text) - 1, len(text) - 40, text.rindex("\n") + 1):
        file.write_text(text[:end])
        again = run(work, Store(file))
        assert again.known == 3
        assert without_times(again.rows) == without_times(whole.rows)
        assert run(work, Store(file)).known == 4
    file.write_bytes(b'\xff\xfe\x00{"key": 1}\nnull\n[]\nno JSON\n' + text.encode())
    assert run(work, Store(file)).rows == whole.rows


# What goes wrong --------------------------------------------------------------------------------------------


def test_processes_find_what_is_found_here(sources, tmp_path):
    work = cells_of_codecs(sources, [CoarsePicture(), CoarsePicture("twice", times=2)])
    serial = run(work, Store(tmp_path / "serial"))
    parallel = run(work, Store(tmp_path / "parallel"), processes(2))
    assert without_times(parallel.rows) == without_times(serial.rows)
    assert len(work) == 16


def test_a_codec_that_fails_on_one_picture_is_named_and_the_rest_goes_on(sources, tmp_path):
    work = cells_of_codecs(sources, [Broken()])
    swept = run(work, Store(tmp_path / "cells"), processes(1))
    assert [row is not None for row in swept.rows] == [True] * 4 + [False] * 4
    said = "UnpicklableError: a library said a code"
    assert swept.failures == [f"two, broken: {said} (4 of 4)"]
    assert run(work, Store(tmp_path / "cells"), processes(1)).failures == swept.failures  # they are tried again


@pytest.mark.parametrize("number", [1, 2])
def test_a_process_that_dies_is_named_and_the_rest_goes_on(number, sources, tmp_path):
    work = cells_of_codecs(sources, [Exiting()])
    swept = run(work, Store(tmp_path / "cells"), processes(number))
    assert [row is not None for row in swept.rows] == [True] * 5 + [False] + [True] * 2
    assert swept.failures == ["two, exiting: the process that worked on it died (1 of 4)"]


class Losing(Executor):
    """An executor that cancels what it was given first, as a cluster may that has lost a worker."""

    lost = 0

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if Losing.lost < 2:
            Losing.lost += 1
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_what_an_executor_loses_is_done_again():
    found = sorted(outcome.result for outcome in work_on(abs, [-1, 2, -3], Crew(Losing, 2)))
    assert (found, Losing.lost) == ([1, 2, 3], 2)


def slowly(seconds):
    time.sleep(seconds)
    if seconds == 0.3:
        os._exit(1)
    return seconds


def test_a_pool_that_breaks_while_nobody_looks_is_replaced():
    found = []
    for outcome in work_on(slowly, [0.0, 0.3, 0.01, 0.02, 0.03], processes(2)):
        found.append((outcome.item, outcome.error))
        time.sleep(0.6)  # meanwhile the second item breaks the pool
    assert sorted(found) == [(0.0, ""), (0.01, ""), (0.02, ""), (0.03, ""), (0.3, "the process that worked on it died")]


def test_suspects_are_on_their_way_alone():
    class Watching(Executor):
        """Breaks at its first look, with all that it has; from then on it says how many are on their way."""

        def __init__(self):
            self.futures = []
            started.append(self)

        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            self.futures.append(future)
            if len(started) == 1:
                if len(self.futures) == 3:
                    for each in self.futures:
                        each.set_exception(BrokenExecutor())
            else:
                most.append((args[1], sum(not each.done() for each in self.futures)))
                threading.Timer(0.02, lambda: future.set_result(fn(*args, **kwargs))).start()
            return future

    started, most = [], []
    assert len(list(work_on(abs, range(6), Crew(Watching, 3)))) == 6
    assert sorted(most[:3]) == [(0, 1), (1, 1), (2, 1)]
    assert max(most[3:])[1] > 1


class Breaking(Executor):
    """An executor that breaks after its first item, before anybody has looked."""

    started = 0

    def __init__(self):
        Breaking.started += 1
        self.given = 0

    def submit(self, fn, /, *args, **kwargs):
        self.given += 1
        if self.given >= 2:
            raise BrokenExecutor
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("ahead", [1, 2])
def test_an_executor_that_breaks_between_two_looks_is_replaced(ahead):
    Breaking.started = 0
    found = [outcome.result for outcome in work_on(abs, [-1, 2, -3], Crew(Breaking, ahead))]
    assert (found, Breaking.started) == ([1, 2, 3], 3)


def test_no_more_items_are_on_their_way_than_there_should_be():
    class Counting(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            flying.append(future)
            most.append(sum(not each.done() for each in flying))
            if most[-1] == 3:
                for each in flying:
                    if not each.done():
                        each.set_result(fn(*args, **kwargs))
            return future

    flying, most = [], []
    assert len(list(work_on(abs, range(9), Crew(Counting, 3)))) == 9
    assert max(most) == 3


def test_an_interrupted_sweep_keeps_what_it_has(sources, tmp_path):
    work = cells_of_codecs(sources, [CoarsePicture()])
    store = Store(tmp_path / "cells.jsonl")
    put, seen = store.put, []

    def interrupt(key, row):
        put(key, row)
        seen.append(key)
        if len(seen) == 3:
            raise KeyboardInterrupt

    store.put = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(work, store)
    lines = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().split("\n") if line]
    assert [line["key"] for line in lines] == seen
    assert run(work, Store(tmp_path / "cells.jsonl")).known == 3


def test_while_nothing_happens_the_crew_is_asked(monkeypatch):
    def check():
        asked.append(True)
        if len(asked) == 3:
            raise CodecError("the cluster is gone")

    class Silent(Executor):
        def submit(self, fn, /, *args, **kwargs):
            return Future()

    asked = []
    monkeypatch.setattr(pool, "PATIENCE", 0.01)
    with pytest.raises(CodecError, match="gone"):
        list(work_on(abs, [1], Crew(Silent, 1, check)))


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import os, sys, time\n"
        "from codec.commands.batch import process_pool\n"
        "if __name__ == '__main__':\n"
        "    print(process_pool(1).submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=ENVIRONMENT) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and "zombie" not in Path(f"/proc/{worker}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_workers_are_not_threads_of_this_process(sources):
    [outcome] = work_on(_process_id, [None], processes(1))
    assert outcome.result != os.getpid()


def _process_id(_):
    return os.getpid()
