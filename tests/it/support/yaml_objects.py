"""Reads YAML, and prints its documents as a list of JSON."""

import json
import sys

import yaml

json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout, default=str)
