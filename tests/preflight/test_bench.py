"""``sdcpp-py bench``: what it times, and what it makes of it."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py.cli import main
from sdcpp_py.preflight.bench import Times, decode_time, step_time

SECONDS = st.floats(0.001, 1000)


def single(seconds: float) -> Times:
    return Times((seconds,))


@given(linear=SECONDS, quadratic=SECONDS, text=st.integers(0, 512), size=st.integers(1, 128))
def test_steps_of_other_sizes_follow_from_two(linear: float, quadratic: float, text: int, size: int) -> None:
    """Where a step takes a t + b t^2 seconds for t tokens, the time of every size is found."""
    tokens = {16 * edge: edge**2 + text for edge in {16, 32, size}}

    def takes(edge: int) -> float:
        return linear * tokens[edge] + quadratic * tokens[edge] ** 2

    steps = {256: single(takes(256)), 512: single(takes(512))}
    assert step_time(tokens, steps, 16 * size) == pytest.approx(takes(16 * size), rel=1e-6)


@given(constant=SECONDS, slope=SECONDS, size=st.integers(256, 2048))
def test_decoding_other_sizes_follows_from_two(constant: float, slope: float, size: int) -> None:
    """Where decoding takes so many seconds for each pixel over a constant, the time of every larger size is found."""
    decodes = {edge: single(constant + slope * edge**2) for edge in (256, 512)}
    assert decode_time(decodes, size) == pytest.approx(constant + slope * size**2, rel=1e-6)


def test_the_spread_is_a_share_of_the_median() -> None:
    """Times of 2, 3 and 4 seconds spread over two thirds of their median; a single one does not spread."""
    assert Times((2.0, 4.0, 3.0)).spread == pytest.approx(2 / 3)
    assert single(5).spread == 0


@pytest.mark.slow
def test_it_says_what_pictures_take(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON with the times that were taken and an estimate of every size: beyond them, larger pictures take longer."""
    assert main(["bench", "--sizes", "128,256,512,768,1024", "--repeat", "2", "--threads", "2", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["model"], found["threads"], found["cpu"] != "") == ("tiny", 2, True)
    assert len(found["steps"]["256"]["seconds"]) == 2
    assert len(found["encode"]["seconds"]) == 3
    for estimate in found["estimates"]:
        parts = estimate["encode"] + estimate["steps"] * estimate["step"] + estimate["decode"]
        assert estimate["picture"] == pytest.approx(parts)
        assert estimate["measured"] == (estimate["size"] in (256, 512))
    # Of those up to the larger one that was timed, the clock says what it says.
    assert [estimate["size"] for estimate in found["estimates"]] == [128, 256, 512, 768, 1024]
    assert all(a["picture"] < b["picture"] for a, b in pairwise(found["estimates"][2:]))
    assert "warming up" in captured.err


@pytest.mark.slow
def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json there is a table to read, and --no-progress keeps standard error empty."""
    assert main(["bench", "tiny", "--sizes", "256,1024", "--repeat", "1", "--no-progress"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert re.search(r"^1024x1024, 4 steps +[\d.]+  \(estimated\)$", captured.out, re.MULTILINE)
    assert re.search(r"^256x256, 4 steps +[\d.]+$", captured.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "100"], "multiples of 16"),
        (["--sizes", "-256"], "multiples of 16"),
        (["--sizes", "large"], "'large'"),
        (["--repeat", "0"], "repeat is 0"),
        (["no-such-model"], "no-such-model"),
        (["klein-4b", "--quant", "Q9"], "Q9"),
        (["--threads", "0"], "threads"),
    ],
)
def test_wrong_options_are_an_error_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be timed is refused with a sentence that names it."""
    assert main(["bench", *arguments, "--no-progress"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
