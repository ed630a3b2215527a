"""Compares Parquet files with the JSON records that they were made of.

Reads {"files": [path], "records": [text], "decimals": [column], "times": [column], "json": [column]} from standard input, and prints
{"rows": count, "different": [text]}: what isn't equal, digit for digit. Each record has a unique "id". What a record doesn't have, or is
null, must be null.
"""

import datetime
import json
import struct
import sys
from decimal import Decimal

import pyarrow.parquet


def instant(text):
    seconds, _, fraction = text.rstrip("Z").partition(".")
    base = datetime.datetime.fromisoformat(seconds).replace(tzinfo=datetime.timezone.utc)
    return base + datetime.timedelta(microseconds=int(fraction[:6].ljust(6, "0")) if fraction else 0)


def same(wanted, found):
    """Whether a value of JSON, decimals as Decimal, is what pyarrow found."""
    if wanted is None or found is None:
        return wanted is None and found is None
    if isinstance(found, float):
        return struct.pack("<d", float(str(wanted))) == struct.pack("<d", found)
    if isinstance(wanted, dict):
        keys = set(wanted) | set(found)
        return isinstance(found, dict) and all(same(wanted.get(key), found.get(key)) for key in keys)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(same, wanted, found))
    return type(wanted) is type(found) and wanted == found


def exact(text):
    return json.loads(text, parse_float=Decimal)


def main():
    order = json.load(sys.stdin)
    records = {record["id"]: record for record in map(exact, order["records"])}
    different, rows = [], 0
    for path in order["files"]:
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            rows += 1
            wanted = records.pop(row["id"], None)
            if wanted is None:
                different.append(f"row {row['id']} was not sent, or came twice")
                continue
            for column in sorted(set(wanted) | set(row)):
                want, found = wanted.get(column), row.get(column)
                if want is not None and column in order["decimals"]:
                    want = Decimal(str(want))
                if want is not None and column in order["times"]:
                    want = instant(want)
                if found is not None and column in order["json"]:
                    found = exact(found)
                if not same(want, found):
                    different.append(f"row {row['id']}, {column}: sent {want!r}, found {found!r}")
    different.extend(f"row {number} is missing" for number in records)
    json.dump({"rows": rows, "different": different}, sys.stdout)


main()
