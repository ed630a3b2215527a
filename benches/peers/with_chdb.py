"""The same work by chDB, which is told the URLs and the schema: no paging, no state. Usage: with_chdb.py URL KIND ROWS SIZE OUT"""

import os
import sys

import chdb

url, kind, rows, size, out = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
labelled = "Tuple(value Int64, label String)"
side = "Tuple(ip String, port String, name String, country String)"
flow = f"""Tuple(row_id UInt64, tstamp {labelled}, first_seen Int64, tstamp_end Int64,
    alert_id Tuple(value Int32, label String, shown Bool), severity {labelled}, score Tuple(value Int32, color String),
    l7_proto Tuple(l7_label String, confidence String), vlan_id Int32, cli {side}, srv {side}, bytes Int64, packets Int64,
    thpt Float64, probe_ip Nullable(String), is_cli_attacker Bool, info String)"""
deep = "Tuple(id Int64, list Array(Int64))"
for _ in range(10):
    deep = f"Tuple(level Int64, in {deep}, name String)"
logs = "id trace span host user level url referrer agent message detail stack payload sha256 file subject from to country"
record = {
    "flows": flow,
    "deep": deep,
    "wide": "Tuple(" + ", ".join(f"c{at} {'Int64' if at % 2 else 'String'}" for at in range(1000)) + ")",
    "numbers": "Tuple(" + ", ".join(f"n{at} {'Int64' if at % 2 else 'Float64'}" for at in range(40)) + ")",
    "logs": f"Tuple({', '.join(f'`{name}` String' for name in logs.split())}, `note` Nullable(String))",
    "words": f"Tuple(id Int64, {', '.join(f'text{at} String' for at in range(5))})",
    "texts": "Tuple(id Int64, text String)",
}[kind]
pages = f"{url}?start={{{','.join(str(start) for start in range(0, rows, size))}}}"
os.makedirs(out)
chdb.query(f"""SELECT r.* FROM (SELECT arrayJoin(rsp.records) AS r
    FROM url('{pages}', 'JSONEachRow', 'rc Int32, rsp Tuple(records Array({record}))'))
    INTO OUTFILE '{out}/rows.parquet' FORMAT Parquet""")
