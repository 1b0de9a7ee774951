"""Reading the long frame: what is in the file is what is forecast, and what is wrong in it is named by its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from models.long_frame import LongFrame, read_long_frame, step_of

HEADER = "unique_id,ds,y"
HOUR = pd.Timedelta("1h")


def read(tmp_path: Path, *lines: str, freq: str | None = None) -> LongFrame:
    path = tmp_path / "demand.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_long_frame(path, freq)


def hours(name: str, values: list[object], start: str = "2026-07-01 00:00", step: str = "1h") -> list[str]:
    stamps = pd.date_range(start, periods=len(values), freq=step)
    return [f"{name},{stamp},{value}" for stamp, value in zip(stamps, values, strict=True)]


def test_rows_come_sorted_and_exact_whatever_their_order(tmp_path: Path) -> None:
    values = [float(v) for v in np.random.default_rng(0).normal(size=50) * 1e-7]
    lines = hours("b", values) + hours("a", values)
    shuffled = list(np.random.default_rng(1).permutation(lines))
    frame = read(tmp_path, HEADER, *shuffled)
    assert list(frame.rows.columns) == ["unique_id", "ds", "y"]
    assert list(frame.rows["unique_id"]) == ["a"] * 50 + ["b"] * 50
    assert list(frame.rows["y"]) == values * 2
    assert frame.rows["ds"].dtype == "datetime64[us]"
    assert (frame.step, frame.notes) == (HOUR, ())


def test_parquet_and_csv_read_the_same(tmp_path: Path) -> None:
    lines = [HEADER, *hours("a", [1, 2.5, -3]), *hours("b", [0, 7])]
    from_csv = read(tmp_path, *lines)
    rows = from_csv.rows
    typed = {
        "plain": rows,
        "zoned": rows.assign(ds=rows["ds"].dt.tz_localize("UTC").dt.tz_convert("Asia/Taipei")),
        "categories": rows.assign(unique_id=rows["unique_id"].astype("category"), y=rows["y"].astype("float32")),
        "indexed": rows.set_index(["unique_id", "ds"]),
        "text": rows.astype(str),
    }
    for name, frame in typed.items():
        path = tmp_path / f"{name}.parquet"
        frame.to_parquet(path)
        pd.testing.assert_frame_equal(read_long_frame(path).rows, rows, check_dtype=True)


def test_times_with_a_zone_become_utc(tmp_path: Path) -> None:
    frame = read(tmp_path, HEADER, "a,2026-07-01T02:00+02:00,1", "a,2026-07-01T01:00Z,2", "a,2026-07-01 02:00,3")
    assert list(frame.rows["ds"]) == list(pd.date_range("2026-07-01", periods=3, freq="h"))


def test_names_stay_what_they_are(tmp_path: Path) -> None:
    frame = read(tmp_path, "extra," + HEADER, *(f"x,{line}" for name in ("NA", "007", "é/ø") for line in hours(name, [1, 2])))
    assert list(frame.rows["unique_id"].unique()) == ["007", "NA", "é/ø"]


def test_gaps_are_allowed_and_empty_measurements_are_gaps(tmp_path: Path) -> None:
    lines = hours("a", [1, "#N/A", "NaN", 4, 5, 6])
    del lines[4]
    frame = read(tmp_path, HEADER, *lines, freq="1h")
    assert list(frame.rows["ds"].dt.hour) == [0, 3, 5]
    assert frame.notes == ("2 rows without y taken as gaps",)


def test_truth_values_are_no_measurements(tmp_path: Path) -> None:
    rows = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2026-07-01", periods=2, freq="h"), "y": [True, False]})
    rows.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(BadInputError, match="row 1: y True is not a number"):
        read_long_frame(tmp_path / "in.parquet")


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    lines = hours("a", [1, 2, 3])
    frame = read(tmp_path, HEADER, *lines, lines[1], lines[1])
    assert len(frame.rows) == 3
    assert frame.notes == ("2 rows that repeat another left out",)


def test_the_step_is_the_most_frequent_difference(tmp_path: Path) -> None:
    five = hours("a", range(10), step="5min")
    assert read(tmp_path, HEADER, *five, *hours("b", range(4))).step == pd.Timedelta("5min")
    assert read(tmp_path, HEADER, *five[:3], freq="1min").step == pd.Timedelta("1min")


def test_series_may_be_shifted_against_each_other(tmp_path: Path) -> None:
    frame = read(tmp_path, HEADER, *hours("a", [1, 2, 3]), *hours("b", [1, 2, 3], start="2026-07-01 00:30"))
    assert frame.step == HOUR
    assert len(frame.rows) == 6


@pytest.mark.parametrize(
    ("freq", "step"),
    [("h", "1h"), ("1h", "1h"), ("15min", "15min"), ("D", "1D"), (" 5min ", "5min"), ("30s", "30s")],
)
def test_a_step_is_a_length_of_time(freq: str, step: str) -> None:
    assert step_of(freq) == pd.Timedelta(step)


@pytest.mark.parametrize("freq", ["", "month", "M", "0h", "-1h", "often", "NaT"])
def test_what_has_no_fixed_length_is_no_step(freq: str) -> None:
    with pytest.raises(BadInputError, match=r"--freq .*for example 5min"):
        step_of(freq)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("a,yesterday,1", "row 3: ds yesterday is not a time"),
        ("a,07/01/2026,1", "row 3: ds 07/01/2026 is not a time"),
        ("a,2026,1", "row 3: ds 2026 is not a time"),
        ("a,,1", "row 3: ds is empty"),
        (",2026-07-01 02:00,1", "row 3: unique_id is empty"),
        ("a,2026-07-01 02:00,many", "row 3: y many is not a number"),
        ("a,2026-07-01 02:00,1_000", "row 3: y 1_000 is not a number"),
        ("a,2026-07-01 02:00,inf", "row 3: y inf is infinite"),
        ("a,2026-07-01 02:00,-Infinity", "row 3: y -Infinity is infinite"),
        ("a,2026-07-01 02:00,-2e30", "row 3: y -2e30 is beyond 1e[+]30; give it in a larger unit"),
        ("a,2026-07-01 01:00,9", r"row 2 \(y 2\.0\) and row 3 \(y 9\.0\) are both a at 2026-07-01 01:00:00; keep one"),
        ("a,2026-07-01 02:10,1", "row 3: a at 2026-07-01 02:10:00 is not a whole number of steps of 1:00:00"),
        ("a,2026-07-01 02:00,1,5", "not readable"),
    ],
)
def test_a_bad_row_is_named_with_the_rule(tmp_path: Path, bad: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        read(tmp_path, HEADER, *hours("a", [1, 2]), bad, *hours("a", [1, 2, 3], start="2026-07-02"))


def test_the_row_that_is_off_the_grid_is_the_odd_one_even_when_it_is_first(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"row 1: a at 2026-06-30 23:17:00 .*0 more; bring the rows to that step first, for example by rounding"
    ):
        read(tmp_path, HEADER, "a,2026-06-30 23:17,1", *hours("a", [1, 2, 3, 4]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        (HEADER, "no row below the header"),
        (f"{HEADER}\na,2026-07-01,", "no row has a y"),
        (f"{HEADER}\na,2026-07-01,1", "the step is unknown"),
        ("id,ds,y\na,2026-07-01,1", "column 'unique_id' is missing; expected unique_id, ds, y, found id, ds, y"),
        ("unique_id;ds;y\na;2026-07-01;1", "found unique_id;ds;y"),
        ("unique_id;ds;y\na;2026-07-01;1,5\na;2026-07-02;1,5", "part the fields by commas, and write numbers with a point"),
        (f"{HEADER}\na,2026-01-01,1\na,2026-02-01,1\na,2026-03-01,1\na,2026-04-01,1", "steps of up to a day; aggregate or spread"),
        (
            f"{HEADER}\n" + "\n".join(f"a,2025-10-{n}T00:00+0{1 + (n < 27)}:00,{n}" for n in range(21, 31)),
            "give days as dates without a zone",
        ),
        (f"{HEADER}\na,2026-07-01,1,5\na,2026-07-02,1,5", "row 1 has more fields than the header"),
    ],
)
def test_a_file_without_series_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "demand.csv"
    path.write_text(content)
    with pytest.raises(BadInputError, match=words):
        read_long_frame(path)


def test_numbers_as_times_are_refused_in_parquet_too(tmp_path: Path) -> None:
    path = tmp_path / "m4.parquet"
    pd.DataFrame({"unique_id": "H1", "ds": [1, 2, 3], "y": [1.0, 2.0, 3.0]}).to_parquet(path)
    with pytest.raises(BadInputError, match="row 1: ds 1 is not a time"):
        read_long_frame(path)


def test_a_file_that_is_not_there_or_not_what_it_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such file"):
        read_long_frame(tmp_path / "none.csv")
    (tmp_path / "x.parquet").write_text("text")
    with pytest.raises(BadInputError, match="not readable"):
        read_long_frame(tmp_path / "x.parquet")
    (tmp_path / "x.xlsx").write_text("text")
    with pytest.raises(BadInputError, match=r"expected a file that ends in \.csv"):
        read_long_frame(tmp_path / "x.xlsx")
