"""Opens the Parquet files whose paths stand on standard input, one a line, with PyArrow, and prints for each, as JSON, what it found:
types, row groups, and of each column of the first row group what readers skip by."""

import json
import sys

import pyarrow.parquet as parquet


def column(chunk):
    return {
        "compression": chunk.compression,
        "dictionary": chunk.has_dictionary_page,
        "encodings": sorted(chunk.encodings),
        "statistics": chunk.is_stats_set and chunk.statistics.has_min_max,
        "column_index": chunk.has_column_index,
        "offset_index": chunk.has_offset_index,
    }


def describe(path):
    file = parquet.ParquetFile(path)
    meta = file.metadata
    table = file.read()
    table.validate(full=True)
    group = meta.row_group(0)
    sorting = [
        {"column": meta.schema.column(key.column_index).path, "descending": key.descending, "nulls_first": key.nulls_first}
        for key in group.sorting_columns
    ]
    pairs = {key.decode(): value.decode() for key, value in (meta.metadata or {}).items() if key.startswith(b"tidegate.")}
    return {
        "rows": table.num_rows,
        "types": {field.name: str(field.type) for field in table.schema},
        "row_groups": [meta.row_group(at).num_rows for at in range(meta.num_row_groups)],
        "sorting": sorting,
        "metadata": pairs,
        "columns": {group.column(at).path_in_schema: column(group.column(at)) for at in range(group.num_columns)},
    }


json.dump([describe(path) for path in sys.stdin.read().splitlines()], sys.stdout)
