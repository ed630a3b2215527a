"""The same work by chDB, which is told the URLs and the schema: no paging, no state. Usage: with_chdb.py URL ROWS OUT"""

import os
import sys

import chdb

url, rows, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
labelled = "Tuple(value Int64, label String)"
side = "Tuple(ip String, port String, name String, country String)"
record = f"""Tuple(row_id UInt64, tstamp {labelled}, first_seen Int64, tstamp_end Int64,
    alert_id Tuple(value Int32, label String, shown Bool), severity {labelled}, score Tuple(value Int32, color String),
    l7_proto Tuple(l7_label String, confidence String), vlan_id Int32, cli {side}, srv {side}, bytes Int64, packets Int64,
    thpt Float64, probe_ip Nullable(String), is_cli_attacker Bool, info String)"""
pages = f"{url}?start={{0..{rows // 1000 - 1}}}000"
os.makedirs(out)
chdb.query(f"""SELECT r.* FROM (SELECT arrayJoin(rsp.records) AS r
    FROM url('{pages}', 'JSONEachRow', 'rc Int32, rsp Tuple(records Array({record}))'))
    INTO OUTFILE '{out}/flows.parquet' FORMAT Parquet""")
