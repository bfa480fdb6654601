"""`bench streams`: the schedule and the verdict by themselves, and a small run with real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.bundle import Bundle
from skelstream.launch.bench_streams import (
    Due,
    Row,
    _Heard,
    bench_streams,
    first_that_breaks,
    largest_that_holds,
    on_cores,
    row_of,
    schedule,
    share_cores,
    verdict,
    window_of,
)
from skelstream.stream.window import WindowCutter
from skelstream.stream.wire import Report, Tracks, decode, encode


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: there is a limit to that of a socket."""
    with tempfile.TemporaryDirectory(prefix="skel-") as path:
        yield Path(path)


def row(streams: int, *, p95: float | None, lost: float, late: float = 1.0) -> Row:
    return Row(
        streams=streams, due=1000, decided=1000 - round(1000 * lost), lost=lost, p50_ms=p95, p95_ms=p95, p99_ms=p95,
        late_ms=late, refused=0, dropped=0, batch=None, cpu={}, robbed=None,
    )  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 64), st.floats(0.1, 8), st.integers(0, 2**31))
def test_each_stream_is_due_every_hop_at_a_phase_of_its_own(streams: int, hop: int, seconds: float, seed: int) -> None:
    due = schedule(streams, hop, seconds, seed)
    assert due == sorted(due) and due == schedule(streams, hop, seconds, seed)
    period = hop / 30
    for stream in range(streams):
        mine = [window for window in due if window.stream == stream]
        assert [window.number for window in mine] == list(range(len(mine)))
        np.testing.assert_allclose(np.diff([window.at_s for window in mine]), period, atol=1e-9)
        if not mine:  # its phase lies after the end
            assert seconds <= (stream + 1) * period / streams
            continue
        assert stream * period / streams <= mine[0].at_s < (stream + 1) * period / streams + 1e-12
        assert mine[-1].at_s < seconds <= mine[-1].at_s + period + 1e-9


def test_other_seeds_give_other_phases() -> None:
    assert schedule(4, 4, 1, 0) != schedule(4, 4, 1, 1)


@pytest.mark.parametrize("hop", [1, 4, 7, 30, 64])
def test_the_windows_are_numbered_as_those_of_a_person_who_comes_into_view(hop: int) -> None:
    cutter = WindowCutter(WindowCutter.Config(hop=hop))
    joints = np.zeros((1, 25, 3), np.float32)
    cut = [
        window
        for tick in range(200)
        for window in cutter.push(
            Tracks(camera="bench-0", t=tick / 30, captured_at=0.0, seq=tick, size=(640, 480), ids=(1,), joints=joints,
                   pixels=joints[..., :2], confidence=np.ones((1, 25), np.float32))
        )
    ]  # fmt: skip
    assert len(cut) >= 3
    probes = np.random.default_rng(0).normal(size=(3, 3, 64, 25, 2)).astype(np.float32)
    for number, theirs in enumerate(cut):
        ours = window_of(Due(0.25, 0, number), hop, 1000.0, probes)
        assert (ours.camera, ours.track, ours.index) == (theirs.camera, theirs.track, theirs.index)
        assert (ours.first_tick, ours.valid, ours.last) == (theirs.first_tick, theirs.valid, theirs.last)
        assert ours.t == pytest.approx(theirs.t) and ours.captured_at == 1000.25
        back = decode(encode(ours))
        np.testing.assert_array_equal(back.joints, probes[number % 3])  # type: ignore[union-attr]


def test_a_row_tells_percentiles_losses_and_the_load_inside_the_span() -> None:
    def report(stage: str, at: float, cpu_s: float, batch: float, dropped: int) -> Report:
        return Report(stage=stage, pid=1, at=at, state="ready", counters={"dropped": dropped},
                      gauges={"cpu_s": cpu_s, "batch": batch})  # fmt: skip

    heard = _Heard(span=(10.0, 20.0))
    heard.latencies_s = [ms / 1000 for ms in range(101, 0, -1)]  # 1 ... 101 ms, in no good order
    heard.waiting = {(f"bench-{i}", 12.0) for i in range(25)}
    heard.lateness_s = [0.001] * 98 + [0.5] * 28
    heard.refused = 3
    heard.reports = {
        "detect": [report("detect", 9, 0, 8, 0), report("detect", 11, 1, 2, 0), report("detect", 19, 5, 4, 0),
                   report("detect", 21, 50, 8, 0)],
        "decode": [report("decode", 11, 1, 0, 2), report("decode", 21, 2, 0, 22)],
    }  # fmt: skip
    told = row_of(7, heard)
    assert (told.streams, told.due, told.decided, told.refused, told.dropped) == (7, 126, 101, 3, 22)
    assert told.lost == pytest.approx(25 / 126)
    assert (told.p50_ms, told.p95_ms, told.p99_ms) == pytest.approx((51, 96, 100))
    assert told.late_ms == pytest.approx(500)
    assert told.batch == pytest.approx(3)
    assert told.cpu["detect"] == pytest.approx(0.5)
    assert "decode" not in told.cpu  # one report in the span gives no difference


def test_a_row_of_nothing_decided_has_no_percentiles_and_does_not_hold() -> None:
    heard = _Heard(span=(0.0, 1.0))
    heard.waiting = {("bench-0", 0.5)}
    told = row_of(1, heard)
    assert (told.p50_ms, told.p95_ms, told.p99_ms, told.lost, told.batch) == (None, None, None, 1.0, None)
    assert told.breaks(1e9)


def test_it_breaks_above_one_hop_or_one_percent_and_not_on_them() -> None:
    assert not row(8, p95=100, lost=0.01).breaks(100)
    assert row(8, p95=100.1, lost=0).breaks(100) == "p95 over a hop"
    assert row(8, p95=50, lost=0.02).breaks(100) == "2.0% lost"
    assert row(8, p95=None, lost=1).breaks(100) == "100.0% lost, p95 over a hop"
    assert row(8, p95=1, lost=0, late=11).feeder_late(100)
    assert not row(8, p95=1, lost=0, late=10).feeder_late(100)


def test_the_largest_that_holds_has_none_below_it_that_breaks() -> None:
    good, late, lossy = row(8, p95=50, lost=0), row(16, p95=200, lost=0), row(24, p95=50, lost=0.5)
    lucky = row(32, p95=50, lost=0)
    assert largest_that_holds([good, late, lucky], 100) == 8
    assert first_that_breaks([good, late, lossy], 100) == 16
    assert largest_that_holds([late, lucky], 100) is None
    assert (largest_that_holds([good, lucky], 100), first_that_breaks([good, lucky], 100)) == (32, None)
    assert verdict(8, 16) == "8 streams hold; 16 do not"
    assert verdict(32, None) == "32 streams hold; more were not tried"
    assert verdict(None, 16) == "not even 16 streams hold; try fewer"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are pinned on Linux alone")
def test_children_start_on_the_cores_they_are_given_and_the_parent_gets_its_own_back() -> None:
    before = os.sched_getaffinity(0)
    core = frozenset({max(before)})
    with on_cores(core):
        child = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
        said = subprocess.run(child, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == sorted(core)
    assert os.sched_getaffinity(0) == before
    with on_cores(frozenset()):
        assert os.sched_getaffinity(0) == before
    detector, others, said = share_cores(1)
    assert not detector & others and detector | others in (before, frozenset()) and said
    if len(before) == 1:
        assert not detector and "share" in said
    with on_cores(core):  # one core to share
        assert share_cores(1)[:2] == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"streams": ()}, "--streams"), ({"streams": (0, 4)}, "--streams"), ({"streams": (2000,)}, "--streams"),
        ({"hop": 0}, "--hop"), ({"hop": 65}, "--hop"), ({"seconds": 0.5}, "--seconds"),
        ({"seconds": float("nan")}, "--seconds"), ({"threads": 0}, "--threads"), ({"model": "nothing"}, "nothing"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_met_is_told_in_one_line(change: dict[str, object], said: str, tmp_path: Path) -> None:
    asked = {"streams": (1,), "hop": 4, "seconds": 1.0, "model": "small", "threads": 1, "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=said) as error:
        bench_streams(**(asked | change))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_two_streams_with_real_processes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # where the supervisor makes its sockets
    before = os.sched_getaffinity(0) if sys.platform == "linux" else None
    # A long hop: windows are lost only if another program holds everything up for a quarter of a second.
    assert bench_streams((2,), 8, 1.0, "small", 1, folder / "out") == 0
    if before is not None:
        assert os.sched_getaffinity(0) == before
    told = json.loads((folder / "out" / "streams.json").read_text())
    assert (told["model"], told["hop"], told["threads"]) == (Bundle.load("small").name, 8, 1)
    assert told["hop_ms"] == pytest.approx(8000 / 30) and told["cores"]
    (only,) = told["rows"]
    assert only["due"] == sum(2 <= window.at_s < 3 for window in schedule(2, 8, 3.5, 0))
    assert only["decided"] == only["due"] and only["lost"] == 0 and only["dropped"] == only["refused"] == 0
    assert 0 < only["p50_ms"] <= only["p95_ms"] <= only["p99_ms"]
    assert (told["holds"], told["breaks"]) in ((2, None), (None, 2))
    assert (told["holds"] == 2) == (only["why"] == "") == (only["p95_ms"] <= told["hop_ms"])
    assert (folder / "out" / "streams.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in folder.iterdir()] == ["out"]
    assert "verdict" in capsys.readouterr().out


def test_ctrl_c_ends_it_and_leaves_no_process(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from skelstream.launch.bench_streams import bench_streams; "
        "sys.exit(bench_streams((1,), 4, 600.0, 'small', 1, Path(sys.argv[1])))"
    )
    bench = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "out")],
        env={**os.environ, "TMPDIR": str(folder)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(folder.glob("skelstream-*/bus-out")):
            assert time.monotonic() < deadline and bench.poll() is None
            time.sleep(0.1)
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=60)
    finally:
        bench.kill()
        bench.wait()
    assert bench.returncode == 130, said
    assert list(folder.iterdir()) == []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            assert str(folder).encode() not in path.read_bytes()
