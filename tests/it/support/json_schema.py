"""Reads {"schema": ..., "instances": [YAML text, ...]}, and prints what the JSON Schema (2020-12) has against each instance.

YAML is read as editors read it: by the core schema of YAML 1.2, where `no` is a text and `2026-01-01` too.
"""

import json
import re
import sys

import yaml
from jsonschema import Draft202012Validator


class Core(yaml.SafeLoader):
    pass


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), [c if c != "\0" else "" for c in first])
Core.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10))


def complaints(validator, text):
    instance = yaml.load(text, Loader=Core)
    errors = sorted(validator.iter_errors(instance), key=lambda error: [str(step) for step in error.absolute_path])
    return [f"{'.'.join(str(step) for step in error.absolute_path) or '(root)'}: {error.message[:300]}" for error in errors]


def main():
    order = json.load(sys.stdin)
    Draft202012Validator.check_schema(order["schema"])
    validator = Draft202012Validator(order["schema"])
    json.dump([complaints(validator, instance) for instance in order["instances"]], sys.stdout)


main()
