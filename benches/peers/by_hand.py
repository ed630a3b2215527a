"""The same work as people write it themselves: requests, pandas, one file at the end. Usage: by_hand.py URL PATH SIZE OUT"""

import os
import sys

import pandas
import requests

url, path, size, out = sys.argv[1:]
session, frames, start = requests.Session(), [], 0
while True:
    answer = session.get(url + path, params={"start": start, "length": size})
    answer.raise_for_status()
    rows = answer.json()["rsp"]["records"]
    if not rows:
        break
    frames.append(pandas.json_normalize(rows))
    start += len(rows)
os.makedirs(out)
pandas.concat(frames).to_parquet(f"{out}/flows.parquet", compression="zstd")
