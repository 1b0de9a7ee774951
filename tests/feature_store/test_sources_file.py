"""The file source: windows of CSV and Parquet files, nothing lost, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_store.sources import RAW_COLUMNS, open_source
from headroom.errors import BadInputError
from headroom.settings_sources import FileSource

START, END = pd.Timestamp("2026-07-08T00:00Z"), pd.Timestamp("2026-07-08T01:00Z")
HEADER = "timestamp,region,service,metric,value\n"


def read(folder: Path, name: str, start: pd.Timestamp = START, end: pd.Timestamp = END) -> pd.DataFrame:
    source = FileSource.model_validate({"name": "traces", "path": name, "metrics": {"cpu": {"unit": "vCPU"}, "mem": {"unit": "GiB"}}})
    return open_source(source, folder).rows(start, end)


def refusal(folder: Path, name: str) -> str:
    with pytest.raises(BadInputError) as refused:
        read(folder, name)
    return str(refused.value)


def measurements(rows: int = 24, start: pd.Timestamp = START) -> pd.DataFrame:
    times = pd.date_range(start, periods=rows, freq="5min").as_unit("us")
    return pd.DataFrame({"timestamp": times, "region": "r", "service": "s", "metric": "cpu", "value": np.arange(rows, dtype="float64")})


def write(frame: pd.DataFrame, folder: Path, name: str) -> str:
    frame.to_parquet(folder / name, index=False) if name.endswith(".parquet") else frame.to_csv(folder / name, index=False)
    return name


@pytest.mark.parametrize("name", ["m.csv", "m.csv.gz", "m.parquet"])
def test_the_rows_of_a_window(tmp_path: Path, name: str) -> None:
    rows = read(tmp_path, write(measurements(), tmp_path, name))
    assert list(rows.columns) == list(RAW_COLUMNS)
    assert rows["timestamp"].tolist() == list(pd.date_range(START, periods=12, freq="5min"))
    assert rows["value"].tolist() == list(range(12))
    assert {column: str(kind) for column, kind in rows.dtypes.items()} == {
        "timestamp": "datetime64[us, UTC]", "region": "object", "service": "object", "metric": "object", "value": "float64", "row": "object"
    }  # fmt: skip
    empty = read(tmp_path, name, END + pd.Timedelta(days=9), END + pd.Timedelta(days=10))
    assert empty.empty
    assert empty.dtypes.to_dict() == rows.dtypes.to_dict()


def test_the_demo_reads_the_same_from_both_formats(tmp_path: Path, repository: Path) -> None:
    rows = pd.read_parquet(repository / "demo" / "metrics.parquet")
    rows = rows[(rows["timestamp"] >= START) & (rows["timestamp"] < END)].astype({"value": "float64"})
    write(rows, tmp_path, "m.csv")
    source = FileSource.model_validate({"name": "t", "path": "demo/metrics.parquet", "metrics": {"cpu_vcpu": {"unit": "vCPU"}}})
    parquet = open_source(source, repository).rows(START, END)
    csv = open_source(source.model_copy(update={"path": "m.csv"}), tmp_path).rows(START, END)
    pd.testing.assert_frame_equal(parquet.drop(columns="row"), csv.drop(columns="row"), rtol=1e-12)
    assert len(parquet) == 120


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_doubtful_rows_come_along_as_they_are(tmp_path: Path, name: str) -> None:
    good = measurements(2)
    odd = pd.concat([good.assign(value=[np.nan, -3.0]), good.assign(value=[np.inf, 1.0]), good.assign(region=["nowhere", None])])
    rows = read(tmp_path, write(pd.concat([good, odd]), tmp_path, name))
    assert len(rows) == 8
    assert rows["value"].fillna(-99).tolist() == [0, 1, -99, -3, np.inf, 1, 0, 1]
    assert rows["region"].tolist() == ["r"] * 6 + ["nowhere", None]
    assert rows["row"].is_unique


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_text_in_the_value_is_kept_for_quarantine(tmp_path: Path, name: str) -> None:
    frame = measurements(4).astype({"value": "object"})
    frame.loc[1, "value"], frame.loc[2, "value"] = "n/a", None
    frame["value"] = frame["value"].map(str, na_action="ignore")
    rows = read(tmp_path, write(frame, tmp_path, name))
    assert rows["value"].map(lambda v: v if isinstance(v, str) else float(v)).fillna(-99).tolist() == [0.0, "n/a", -99, 3.0]
    assert rows["row"].tolist() == ['{"row": 1}', '{"row": 2}', '{"row": 3}', '{"row": 4}']


def test_lines_that_cannot_be_split_are_kept_for_quarantine(tmp_path: Path) -> None:
    lines = ["2026-07-08T00:00Z,r,s,cpu,1", "2026-07-08T00:05Z,r,s,cpu,1,5", "2026-07-08T00:10Z,r", "2026-07-08T00:15Z,r,s,cpu,4"]
    (tmp_path / "m.csv").write_text(HEADER + "\n".join(lines) + "\n")
    rows = read(tmp_path, "m.csv")
    assert rows["timestamp"].isna().tolist() == [False, True, True, False]
    assert [json.loads(row) for row in rows["row"]] == [{"row": 1}, {"row": 2, "text": lines[1]}, {"row": 3, "text": lines[2]}, {"row": 4}]
    assert rows["value"].isna().tolist() == [False, True, True, False]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_a_row_without_readable_time_belongs_to_the_window_of_the_row_before_it(tmp_path: Path, name: str) -> None:
    frame = measurements(24).astype({"timestamp": "object"})
    frame["timestamp"] = frame["timestamp"].map(lambda t: t.isoformat())
    frame.loc[[0, 5, 11, 12], "timestamp"] = ["soon", "2026-13-40", "", "12:60"]
    rows = read(tmp_path, write(frame, tmp_path, name))
    assert rows["timestamp"].isna().sum() == 4  # 0 by the row after it; 11 and 12 by row 10
    assert json.loads(rows["row"].iloc[0])["timestamp"] == "soon"
    assert json.loads(rows["row"].iloc[5]) == {
        "row": 6,
        "timestamp": "2026-13-40",
        "region": "r",
        "service": "s",
        "metric": "cpu",
        "value": "5.0" if name == "m.csv" else 5.0,
    }


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_windows_that_touch_share_no_row_and_lose_none(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.sources.parquet_file._BATCH_ROWS", 7)
    monkeypatch.setattr("feature_store.sources.csv_file._BLOCK_BYTES", 200)
    frame = measurements(60).sample(frac=1, random_state=3).astype({"timestamp": "datetime64[us, UTC]"})
    frame.loc[frame.sample(9, random_state=1).index, "timestamp"] = pd.NaT
    write(frame, tmp_path, name)
    bounds = pd.date_range(START, periods=7, freq="h")
    parts = [read(tmp_path, name, *window) for window in pairwise(bounds)]
    positions = sorted(json.loads(row)["row"] for part in parts for row in part["row"])
    assert positions == list(range(1, 61))


def test_a_window_of_a_parquet_file_reads_only_the_row_groups_that_meet_it(tmp_path: Path) -> None:
    frame = measurements(3 * 288)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "m.parquet", row_group_size=288)
    groups = pq.ParquetFile(tmp_path / "m.parquet").metadata
    first_of_second_day = groups.row_group(1).column(0).dictionary_page_offset or groups.row_group(1).column(0).data_page_offset
    content = bytearray((tmp_path / "m.parquet").read_bytes())
    content[4:first_of_second_day] = b"\xff" * (first_of_second_day - 4)  # the first day can no longer be read
    (tmp_path / "m.parquet").write_bytes(content)
    rows = read(tmp_path, "m.parquet", START + pd.Timedelta(hours=25), END + pd.Timedelta(hours=25))
    assert json.loads(rows["row"].iloc[0]) == {"row": 288 + 13}
    assert len(rows) == 12
    assert refusal(tmp_path, "m.parquet").startswith("source traces: m.parquet: not a readable Parquet file: ")


def test_other_types_of_column_are_read(tmp_path: Path) -> None:
    frame = measurements(4)
    table = pa.table(
        {
            "timestamp": pa.array(frame["timestamp"].dt.tz_localize(None), pa.timestamp("ns")),
            "region": pa.array(frame["region"]).dictionary_encode(),
            "service": pa.array(frame["service"], pa.large_string()),
            "metric": pa.array(frame["metric"], pa.large_string()).dictionary_encode(),
            "value": pa.array([1, 2, None, 4], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    rows = read(tmp_path, "m.parquet")
    assert rows["timestamp"].tolist() == frame["timestamp"].tolist()
    assert rows["value"].fillna(-1).tolist() == [1, 2, -1, 4]
    assert rows[["region", "service", "metric"]].values.tolist() == [["r", "s", "cpu"]] * 4


def test_times_of_other_zones_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    # pandas alone would read the second time, which has no zone, in the zone of the first
    text = HEADER + "2026-07-08T02:00:00+02:00,r,s,cpu,1\n2026-07-08 00:05,r,s,cpu,2\n"
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(tmp_path, "m.csv")["timestamp"].tolist() == [START, START + pd.Timedelta(minutes=5)]


def test_metrics_that_the_source_does_not_list_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = measurements(6)
    frame["metric"] = ["cpu", "mem", "disk", "disk", None, "fan"]
    rows = read(tmp_path, write(frame, tmp_path, "m.parquet"))
    assert rows["metric"].tolist() == ["cpu", "mem", None]
    assert rows.attrs["remarks"] == [
        "2 rows of metric 'disk', which the source does not list",
        "1 rows of metric 'fan', which the source does not list",
    ]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    write(measurements().drop(columns="service").rename(columns={"value": "val"}), tmp_path, name)
    assert refusal(tmp_path, name) == (
        f"source traces: {name}: column 'service' is missing; expected timestamp, region, service, metric, value, found timestamp, region, metric, val"
    )


def test_what_is_no_file_of_measurements_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "no.csv") == f"source traces: no.csv: no such file in {tmp_path}; correct metrics.path in capacity.yaml"
    (tmp_path / "m.xlsx").touch()
    assert (
        refusal(tmp_path, "m.xlsx") == "source traces: m.xlsx: unknown kind of file; expected a name that ends in .parquet, .csv or .csv.gz"
    )
    (tmp_path / "m.csv").touch()
    assert (
        refusal(tmp_path, "m.csv") == "source traces: m.csv: the file is empty; expected the header timestamp,region,service,metric,value"
    )
    (tmp_path / "m.parquet").write_text("PAR?")
    assert refusal(tmp_path, "m.parquet").startswith("source traces: m.parquet: not a readable Parquet file: ")
    (tmp_path / "l.csv").write_bytes((HEADER + "2026-07-08T00:00Z,Z\xfcrich,s,cpu,1\n").encode("latin-1"))
    assert refusal(tmp_path, "l.csv").startswith("source traces: l.csv: not a readable CSV: ")
    write(measurements().assign(timestamp=range(24)), tmp_path, "i.parquet")
    assert (
        refusal(tmp_path, "i.parquet")
        == "source traces: i.parquet: column 'timestamp' holds int64; expected timestamps (UTC) or ISO 8601 text"
    )
    write(measurements(3).assign(timestamp="08/07/26"), tmp_path, "d.csv")
    assert refusal(tmp_path, "d.csv") == (
        "source traces: d.csv: none of the first 3 rows has a readable timestamp, the first is '08/07/26'; "
        "expected ISO 8601, for example 2026-07-08T00:05:00Z"
    )
    (tmp_path / "g.csv.gz").write_bytes(gzip.compress(HEADER.encode())[:20])
    assert refusal(tmp_path, "g.csv.gz").startswith("source traces: g.csv.gz: not a readable CSV: ")


def test_a_file_without_rows_is_an_empty_window(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(HEADER)
    assert read(tmp_path, "m.csv").empty
    assert read(tmp_path, write(measurements(0), tmp_path, "m.parquet")).empty
