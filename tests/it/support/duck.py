"""Runs the SQL on standard input with DuckDB, and prints {"columns": [[name, type]], "rows": [{name: value}]}.

No value loses a digit: an integer that fits 64 bits is a JSON number, a wider one a text; a decimal is a text, since JSON has no decimals;
a float is a number, or a text where JSON has none for it; times are ISO 8601 with microseconds, those with a zone in UTC with a Z;
nanoseconds keep all nine digits; blobs are hex; intervals and whatever else are the text that Python gives them.
"""

import datetime
import json
import math
import sys
from decimal import Decimal

import duckdb

I64_LEAST, U64_MOST = -(2**63), 2**64 - 1


def plain(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if I64_LEAST <= value <= U64_MOST else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        zoned = value.tzinfo is not None
        utc = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if zoned else value
        return utc.isoformat(timespec="microseconds") + ("Z" if zoned else "")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(plain(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def main():
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    sql = sys.stdin.read().strip().rstrip(";")
    columns = [(row[0], row[1]) for row in connection.execute("DESCRIBE " + sql).fetchall()]
    names = [name for name, _ in columns]
    if len(set(names)) != len(names):
        sys.exit(f"two columns have one name: {names}")
    # Python's datetime has no nanoseconds.
    exact = [f"CAST({quoted(n)} AS VARCHAR) AS {quoted(n)}" if t == "TIMESTAMP_NS" else quoted(n) for n, t in columns]
    rows = connection.execute(f"SELECT {', '.join(exact)} FROM ({sql})").fetchall() if "--rows" in sys.argv else []
    rows = [{name: plain(value) for name, value in zip(names, row)} for row in rows]
    json.dump({"columns": columns, "rows": rows}, sys.stdout, allow_nan=False)


main()
