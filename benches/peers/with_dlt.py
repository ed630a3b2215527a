"""The same work by dlt: its REST source, its offset paginator, Parquet on the local disk. Usage: with_dlt.py URL PATH SIZE OUT"""

import os
import sys

url, path, size, out = sys.argv[1:]
os.environ |= {"RUNTIME__LOG_LEVEL": "ERROR", "RUNTIME__DLTHUB_TELEMETRY": "false"}

import dlt  # noqa: E402 (it reads the environment)
from dlt.sources.rest_api import rest_api_source  # noqa: E402

paginator = {"type": "offset", "limit": int(size), "offset_param": "start", "limit_param": "length", "total_path": "rsp.recordsTotal"}
endpoint = {"path": path.lstrip("/"), "data_selector": "rsp.records", "paginator": paginator}
source = rest_api_source({"client": {"base_url": url}, "resources": [{"name": "flows", "endpoint": endpoint}]})
destination = dlt.destinations.filesystem(f"file://{os.path.abspath(out)}")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="d", pipelines_dir=out + ".state")
pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
