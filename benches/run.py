#!/usr/bin/env python3
"""What an export costs, in seconds of CPU, against what else does the same work, on one machine in one run.

    benches/run.py                      200,000 flow alerts: Tidegate, the same with SQL, dlt, a hand-written script, chDB
    benches/run.py --kind wide          the same with other records: wide, deep, numbers, logs, words, or texts of 100 KB
    benches/run.py --scale              Tidegate alone: ten times the rows, wide, deep, small and large records and pages
    benches/run.py --instructions       instructions a record, by valgrind's callgrind, against a bound: no stopwatch
    benches/run.py --bin PATH           a binary that is there already; else `cargo build --release` makes one

The peers are installed from PyPI into a virtual environment in the work folder (--work, kept for the next run). Of several rounds the
median counts. The server is a process of its own, and its time isn't counted. CPU time is user and system time of the whole process.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import pages  # noqa: E402

PEERS = ["dlt[filesystem,parquet]", "requests", "pandas", "pyarrow", "chdb"]
# Seconds of wall time from which on a command runs once.
SLOW = 3
# What a record of `flows` may cost, about 15 % above what it cost when this was written.
INSTRUCTIONS = 41_000
SCALE = [  # name, kind, rows, rows a page
    ("flows", "flows", 200_000, 1000), ("ten times", "flows", 2_000_000, 1000), ("wide", "wide", 10_000, 100),
    ("deep", "deep", 100_000, 1000), ("100 B", "tiny", 500_000, 1000), ("100 KB", "texts", 1000, 10),
    ("logs", "logs", 50_000, 500), ("words", "words", 40_000, 500),
    ("numbers", "numbers", 100_000, 1000), ("1 row a page", "tiny", 5000, 1), ("50 MB a page", "flows", 300_000, 75_000),
    ("2,000 partitions", "tiny", 500_000, 1000), ("20,000 slices", "tiny", 200_000, 10),
]
# What a shape asks of the pipeline file beside what all have.
SINK = {"2,000 partitions": ", partition_by: [part]"}
TRANSFORM = {"2,000 partitions": "\n    transform: SELECT *, id % 2000 AS part FROM records"}
SQL = """
    transform: |
      SELECT CAST(row_id AS BIGINT) AS row_id, to_timestamp_seconds(tstamp."value") AS ts,
             to_timestamp_seconds(tstamp_end) AS ts_end, alert_id."value" AS alert_id, alert_id.label AS alert,
             severity."value" AS severity_level, severity.label AS severity, score."value" AS score, l7_proto.l7_label AS l7_protocol,
             cli.ip AS client_ip, CAST(cli.port AS INT) AS client_port, cli.name AS client_name, cli.country AS client_country,
             srv.ip AS server_ip, CAST(srv.port AS INT) AS server_port, srv.name AS server_name, srv.country AS server_country,
             vlan_id, "bytes", packets, thpt, probe_ip, is_cli_attacker, info
      FROM records"""


def cells(url):
    """A slice for each of the 20,000 hours before an instant: hour N asks for the page that begins with row N * 10."""
    return f"""version: 1
name: bench
source: {{base_url: '{url}', concurrency: 4}}
jobs:
  cells:
    get: {pages.PATH}
    query: {{start: '{{{{ (window.from | int) // 360 - 4720880 }}}}'}}
    window: {{every: 1h, start: 2023-11-09T08:00:00Z, as: epoch_s, from: query.begin, to: query.end}}
    paginate: none
    records: '.rsp.records[]'
    sinks: {{lake: {{parquet: {{url: './out'}}}}}}
"""


def pipeline(url, size, sql="", sink=""):
    return f"""version: 1
name: bench
source: {{base_url: '{url}', concurrency: 4}}
jobs:
  flows:
    get: {pages.PATH}
    snapshot: daily
    paginate: {{offset: {{into: query.start, size_into: query.length, size: {size}}}, total: '.rsp.recordsTotal'}}
    records: '.rsp.records[]'{sql}
    sinks: {{lake: {{parquet: {{url: './out'{sink}}}}}}}
"""


def measure(command, folder):
    """Runs a command in an empty folder; returns CPU seconds, wall seconds, peak MiB and the bytes of its Parquet files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "bench.yaml").write_text(command.get("file", ""))
    with open(folder / "log", "wb") as log:
        begun = time.monotonic()
        process = subprocess.Popen(command["run"], cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
    if status:
        sys.exit(f"{command['name']} failed ({os.waitstatus_to_exitcode(status)}):\n{(folder / 'log').read_text()}")
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / unit, size


def tidegate(name, binary, url, size, sql=""):
    run = [str(binary), "run", "bench.yaml"]
    if name == "20,000 slices":
        return {"name": name, "run": [*run, "--now", "2026-02-19T17:00:00Z"], "file": cells(url)}
    return {"name": name, "run": run, "file": pipeline(url, size, TRANSFORM.get(name, sql), SINK.get(name, ""))}


def peers(python, url, kind, rows, size):
    script = lambda name, *words: [str(python), str(HERE / "peers" / f"{name}.py"), *map(str, words), "out"]  # noqa: E731
    return [
        {"name": "dlt", "run": script("with_dlt", url, pages.PATH, size)},
        {"name": "by hand", "run": script("by_hand", url, pages.PATH, size)},
        {"name": "chDB", "run": script("with_chdb", url + pages.PATH, kind, rows, size)},
    ]


def environment(work):
    """Makes the peers' virtual environment where it isn't there, and returns its Python."""
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


class Served:
    """A server of the pages of one kind."""

    def __init__(self, work, kind, rows, size):
        folder = work / "pages" / f"{kind}-{rows}-{size}"
        if not (folder / "whole").exists():
            self.bytes = pages.make(folder, kind, rows, size)
            (folder / "whole").write_text(str(self.bytes))
        self.bytes = int((folder / "whole").read_text())
        command = [sys.executable, HERE / "pages.py", folder]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def line(result, first):
    """Prints one line of the table."""
    print(f"{result['name']:16} {result['cpu']:8.2f} {result['cpu'] / first['cpu']:6.2f} {result['wall']:8.2f} {result['mib']:6.0f}"
          f" {result['bytes'] / 1e6:10.1f}", flush=True)


def in_turns(commands, work, count):
    """Runs commands in turns, so that what else the machine does meets them all; those that take seconds once. Returns the medians."""
    found = [[] for _ in commands]
    for turn in range(count):
        for command, results in zip(commands, found):
            if turn == 0 or results[0][1] < SLOW:
                results.append(measure(command, work / "run"))
    names = ("cpu", "wall", "mib", "bytes")
    return [{"name": command["name"], **dict(zip(names, map(statistics.median, zip(*results))))} for command, results in zip(commands, found)]


def instructions(binary, work):
    """Returns the instructions that a record costs: what 20,000 take more than 10,000."""
    counts = []
    for rows in (10_000, 20_000):
        with Served(work, "flows", rows, 1000) as served:
            ours = tidegate("Tidegate", binary, served.url, 1000)
            # What compresses files and counts digests is chosen by the processor, which valgrind makes the same everywhere.
            ours["run"] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *ours["run"]]
            measure(ours, work / "run")
        counts.append(int(re.search(r"Collected : (\d+)", (work / "run" / "log").read_text()).group(1)))
    return (counts[1] - counts[0]) // 10_000


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--bin", type=Path, help="the tidegate binary")
    parse.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "tidegate-bench", help="the work folder")
    parse.add_argument("--python", type=Path, help="a Python that has the peers already")
    parse.add_argument("--rounds", type=int, default=5, help="how often what isn't slow runs")
    parse.add_argument("--scale", action="store_true", help="Tidegate alone, on other shapes of data")
    parse.add_argument("--kind", default="flows", choices=["flows", "wide", "deep", "numbers", "logs", "words", "100 KB"], help="other records than flow alerts")
    parse.add_argument("--only", help="with --scale: the one shape of this name")
    parse.add_argument("--instructions", action="store_true", help="count instructions, and fail beyond the bound")
    parse.add_argument("--json", action="store_true", help="print one JSON document as well")
    asked = parse.parse_args()
    binary = asked.bin or HERE.parent / "target" / "release" / "tidegate"
    if not asked.bin:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=HERE.parent, check=True)
    binary, asked.work, results = binary.resolve(), asked.work.resolve(), []
    if asked.instructions:
        found = instructions(binary, asked.work)
        print(f"{found} instructions a record; {INSTRUCTIONS} are allowed")
        sys.exit(found > INSTRUCTIONS)
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':16} {'CPU s':>8} {'ratio':>6} {'wall s':>8} {'MiB':>6} {'output MB':>10}")

    def run(commands):
        results.extend(in_turns(commands, asked.work, asked.rounds))
        for result in results[-len(commands):]:
            line(result, results[0])

    if asked.scale:
        for name, kind, rows, size in SCALE:
            if asked.only in (None, name):
                with Served(asked.work, kind, rows, size) as served:
                    run([tidegate(name, binary, served.url, size)])
    else:
        python = asked.python or environment(asked.work)
        kind, rows, size = next(shape[1:] for shape in SCALE if shape[0] == asked.kind)
        with Served(asked.work, kind, rows, size) as served:
            ours = [tidegate("Tidegate", binary, served.url, size)]
            if kind == "flows":
                ours.append(tidegate("with SQL", binary, served.url, size, SQL))
            run(ours + peers(python, served.url, kind, rows, size))
    if asked.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
