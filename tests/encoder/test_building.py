"""A long build: its progress is a number that never goes back, and Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.engine.building import BuildProgress, progress_bar, stoppable


class TestProgress:
    def test_a_phase_within_a_step(self) -> None:
        seen: list[tuple[float, str]] = []
        progress = BuildProgress(lambda fraction, phase: seen.append((fraction, phase)))
        progress.begin("build", None, 4)
        progress.step("build", 0)
        progress.begin("timing", "build", 10)
        for step in range(5):
            progress.step("timing", step)
        assert progress.fraction == pytest.approx((1 + 5 / 10) / 4)
        assert seen[-1] == (progress.fraction, "timing")
        progress.end("timing")
        progress.step("build", 1)
        assert progress.fraction == pytest.approx(2 / 4) and seen[-1][1] == "build"
        progress.end("build")  # before its last step, as is allowed
        assert progress.fraction == 1.0

    def test_a_second_build_begins_anew(self) -> None:
        progress = BuildProgress()
        progress.begin("first", None, 1)
        progress.end("first")
        progress.begin("second", None, 2)
        assert progress.fraction == 0.0

    @given(
        st.lists(
            st.tuples(st.sampled_from(["begin", "step", "end"]), st.sampled_from("abcd"), st.integers(-1, 9)),
            max_size=60,
        ),
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from("rabcd")),
    )
    def test_whatever_is_told_it_lies_in_0_to_1_and_never_goes_back(
        self, told: list[tuple[str, str, int]], parents: dict[str, str]
    ) -> None:
        """Phases that end twice, overlap, have no steps, too many, or each other for parents."""
        progress = BuildProgress()
        progress.begin("r", None, 5)
        last = 0.0
        for what, name, number in told:
            if what == "begin":
                progress.begin(name, parents.get(name, "r"), number)
            elif what == "step":
                progress.step(name, number)
            else:
                progress.end(name)
            assert last <= progress.fraction <= 1.0
            last = progress.fraction

    def test_any_thread_may_tell(self) -> None:
        progress = BuildProgress()
        progress.begin("build", None, 400)

        def tell(first: int) -> None:
            for step in range(first, 400, 4):
                progress.step("build", step)
                progress.begin(f"inner {step}", "build", 1)
                progress.end(f"inner {step}")

        threads = [threading.Thread(target=tell, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert progress.fraction == 1.0

    def test_without_a_terminal_there_is_no_bar(self, capfd: pytest.CaptureFixture[str]) -> None:
        with progress_bar("TensorRT fp16") as progress:
            progress.begin("build", None, 1)
            progress.end("build")
        assert capfd.readouterr() == ("", "")

    def test_on_a_terminal_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if os.name != "posix":
            pytest.skip("pseudo-terminals are POSIX's")
        import pty

        ours, theirs = pty.openpty()
        program = (
            "from skelstream.encoder.engine.building import progress_bar\n"
            "with progress_bar('TensorRT fp16') as p:\n"
            "    p.begin('Building [engine]', None, 2)\n"
            "    p.step('Building [engine]', 0)\n"
        )
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True, timeout=60, env=environment)
        os.close(theirs)
        shown = os.read(ours, 100_000).decode()
        os.close(ours)
        assert "TensorRT fp16" in shown and "50%" in shown and "Building [engine]" in shown


def native(seconds: float) -> Callable[[threading.Event], str]:
    """Work that looks at the event now and then, as a compiler does at each of its steps."""

    def work(stop: threading.Event) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stop.wait(0.01):
            pass
        return "stopped" if stop.is_set() else "done"

    return work


def send_interrupt_soon() -> threading.Thread:
    def send() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.skipif(os.name != "posix", reason="a process sends itself no Ctrl-C on Windows")
class TestStoppable:
    def test_the_result_comes_back(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        assert stoppable(native(0.05)) == "done"
        assert signal.getsignal(signal.SIGINT) is before

    def test_an_error_comes_through(self) -> None:
        before = signal.getsignal(signal.SIGINT)

        def failing(_: threading.Event) -> None:
            raise TimeoutError("what the compiler said")  # which waiting raises too, and must not be taken for

        with pytest.raises(TimeoutError, match="what the compiler said"):
            stoppable(failing)
        assert signal.getsignal(signal.SIGINT) is before

    def test_ctrl_c_ends_the_work_and_is_raised(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        ended: list[str] = []
        sender = send_interrupt_soon()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            stoppable(lambda stop: ended.append(native(50.0)(stop)))
        sender.join()
        assert ended == ["stopped"]  # it had ended when the exception came
        assert time.monotonic() - begun < 40
        assert signal.getsignal(signal.SIGINT) is before

    def test_ctrl_c_is_heard_while_the_work_never_gives_python_a_turn(self) -> None:
        """The worker is inside one native call, as the compiler is; the handler must still run in time."""
        heard: list[bool] = []

        def work(stop: threading.Event) -> None:
            subprocess.run(["sleep", "1"], check=True, start_new_session=True)
            heard.append(stop.is_set())

        sender = send_interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            stoppable(work)
        sender.join()
        assert heard == [True]

    def test_an_error_of_work_that_was_stopped_is_no_error(self) -> None:
        def cancelled(stop: threading.Event) -> None:
            native(50.0)(stop)
            raise ValueError("the compiler returned nothing")

        sender = send_interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            stoppable(cancelled)
        sender.join()

    def test_off_the_main_thread_it_simply_works(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        results: list[str] = []
        thread = threading.Thread(target=lambda: results.append(stoppable(native(0.05))))
        thread.start()
        thread.join()
        assert results == ["done"] and signal.getsignal(signal.SIGINT) is before

    def test_where_ctrl_c_is_ignored_it_stays_so(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            sender = send_interrupt_soon()
            assert stoppable(native(0.5)) == "done"
            sender.join()
        finally:
            signal.signal(signal.SIGINT, before)
