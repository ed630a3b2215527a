"""Reads Parquet files with Polars. Standard input is JSON: `files`, a glob, and `where`, SQL. Prints the types of the columns and the rows,
sorted by `n`: decimals as texts, times in UTC to the microsecond."""

import json
import sys

import polars

asked = json.load(sys.stdin)
frame = polars.scan_parquet(asked["files"], hive_partitioning=True).filter(polars.sql_expr(asked["where"])).sort("n")
types = {name: str(kind) for name, kind in frame.collect_schema().items()}
shown = frame.with_columns(polars.col(polars.Datetime("us", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
json.dump({"types": types, "rows": shown.collect().to_dicts()}, sys.stdout, default=str)
