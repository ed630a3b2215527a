"""Reads Parquet files as one table with three readers. Standard input is JSON: `files`, the oldest first. Prints for each reader the type of the
column `v` and its values, in the order of `n`."""

import json
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet

files = json.load(sys.stdin)["files"]
newest = files[-1]
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")


def by_name():
    table = connection.read_parquet(files, union_by_name=True, hive_partitioning=False).order("n").project("n, v")
    return str(table.types[1]), [row[1] for row in table.fetchall()]


def arrow(schema):
    table = dataset.dataset(files, schema=schema).to_table(columns=["n", "v"]).sort_by("n")
    return str(table.schema.field("v").type), table.column("v").to_pylist()


def lazy():
    schema = polars.read_parquet_schema(newest)
    options = polars.ScanCastOptions(missing_struct_fields="insert")
    frame = polars.scan_parquet(
        files, schema=schema, missing_columns="insert", cast_options=options, hive_partitioning=False
    )
    frame = frame.sort("n").collect()
    return str(frame.schema["v"]), frame["v"].to_list()


found = {
    "duckdb": by_name(),
    "pyarrow": arrow(parquet.read_schema(newest)),
    "unified": arrow(pyarrow.unify_schemas([parquet.read_schema(file).remove_metadata() for file in files])),
    "polars": lazy(),
}
found = {name: {"type": kind, "values": values} for name, (kind, values) in found.items()}
json.dump(found, sys.stdout, default=str)
