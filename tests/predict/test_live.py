"""Live frames, by the real command: a process writes a stream, and lines come back before it ends."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vidcls
from tests.support.encodings import Encoding
from tests.support.video import moving_square
from vidcls.predict.timeline.timeline import predict_timeline
from vidcls.predict.timeline.windows import WindowPlan

pytestmark = pytest.mark.long

FRAMES = moving_square(150, 48, 64, seed=4)
WRITER = """\
import sys
content = open(sys.argv[1], "rb").read()
sys.stdout.buffer.write(content[: 2 * len(content) // 3])
sys.stdout.buffer.flush()
sys.stdin.readline()
sys.stdout.buffer.write(content[2 * len(content) // 3 :])
"""


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds as a transport stream."""
    options = {"g": "5", "bf": "0", "crf": "5"}
    return Encoding("libx264", "ts", options).write(tmp_path_factory.mktemp("stream") / "v", FRAMES)


@contextmanager
def writing(stream: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes two thirds of a file, and the rest once it gets a line."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(stream)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def predicting(run: Path, writer: subprocess.Popen[str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vidcls", "predict", str(run), "-", "--window", "1s", *words]
    reader = subprocess.Popen(
        command, stdin=writer.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.close()  # the reader alone reads it
    return reader


def rest_of(reader: subprocess.Popen[str]) -> tuple[str, str]:
    """What is left of both outputs, after lines of one were read; `communicate` would lose what it had buffered."""
    assert reader.stdout is not None
    assert reader.stderr is not None
    rest = reader.stdout.read(), reader.stderr.read()
    reader.wait()
    return rest


def test_results_come_while_the_stream_is_written(rgb_run: Path, stream: Path) -> None:
    with writing(stream) as writer, predicting(rgb_run, writer, "--stride", "500ms", "--json") as reader:
        assert reader.stdout is not None
        lines = [reader.stdout.readline()]
        assert writer.stdin is not None
        assert writer.poll() is None  # it waits with the rest
        writer.stdin.write("go on\n")
        writer.stdin.close()
        rest, said = rest_of(reader)
        lines += rest.splitlines()
    assert reader.returncode == 0, said
    told = [json.loads(line) for line in lines]
    plan = WindowPlan.read("1s", "500ms")
    windows = predict_timeline(stream, vidcls.load(rgb_run), plan=plan).windows
    assert [(each["start_s"], each["end_s"], each["frames"]) for each in told] == [
        (each.start_s, each.end_s, each.num_frames) for each in windows
    ]
    for each, window in zip(told, windows, strict=True):
        assert each["class"] == window.label
        assert each["probability"] == pytest.approx(window.probability, abs=1e-5)
    assert f"standard input: {len(windows)} windows until 0:06.00" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_the_summary(rgb_run: Path, stream: Path, number: signal.Signals) -> None:
    with writing(stream) as writer, predicting(rgb_run, writer, "--csv") as reader:
        assert reader.stdout is not None
        head, first = (reader.stdout.readline() for _ in range(2))
        reader.send_signal(number)
        rest, said = rest_of(reader)
    assert reader.returncode == 0, said
    rows = list(csv.DictReader([head, first, *rest.splitlines()]))
    assert [float(row["end_s"]) for row in rows] == [k + 1.0 for k in range(len(rows))]
    counted = "1 window" if len(rows) == 1 else f"{len(rows)} windows"
    assert f"{counted} until 0:0{len(rows)}.00" in said
    assert "Traceback" not in said


def test_a_signal_in_a_file_says_what_was_done(rgb_run: Path, tmp_path: Path) -> None:
    short = Encoding("libx264", "mkv").write(tmp_path / "short", FRAMES[:10])
    hours = Encoding("libx264", "mkv", steps=(2500,)).write(tmp_path / "hours", FRAMES)
    out = tmp_path / "out"
    words = ["predict", str(rgb_run), str(short), str(hours), "--window", "200ms", "--out", str(out)]
    command = [sys.executable, "-m", "vidcls", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stderr is not None
        while "wrote" not in reader.stderr.readline():
            assert reader.poll() is None
        reader.send_signal(signal.SIGINT)
        _, said = rest_of(reader)
    assert reader.returncode == 1
    assert f"error: stopped in {hours}; 1 of 2 videos were done, and written" in said
    assert (out / "short" / "timeline.png").is_file()
    assert not (out / "hours").exists()


def test_lines_for_a_person(rgb_run: Path, stream: Path) -> None:
    command = [sys.executable, "-m", "vidcls", "predict", str(rgb_run), "-", "--window", "4s"]
    with stream.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("0:00.00  0:04.00  ")
    assert second.startswith("0:04.00  0:06.00  ")
    assert "% of the windows, mean probability " in done.stderr


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 100, bytes(range(256)) * 40])
def test_what_is_no_video_is_one_message(rgb_run: Path, content: bytes) -> None:
    command = [sys.executable, "-m", "vidcls", "predict", str(rgb_run), "-", "--window", "1s"]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: standard input: is not a video that can be read from a pipe")
    assert done.stderr.count(b"\n") == 1


def test_a_missing_camera_is_one_message(rgb_run: Path) -> None:
    command = [sys.executable, "-m", "vidcls", "predict", str(rgb_run), "--camera", "63", "--window", "1s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    first, *more = done.stderr.splitlines()
    assert first == "error: --camera 63: there is no such camera, or it cannot be opened"
    assert len(more) == 1
    assert done.stdout == ""
