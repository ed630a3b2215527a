"""Reads JSON, a list of YAML texts of one or more objects each, and prints what Kubernetes' own schemas have against each, strictly.

The schemas are those that kubernetes-validate carries, of its oldest version with all that we use, and of its newest.
"""

import json
import sys

import kubernetes_validate
import yaml

VERSIONS = ["1.31", kubernetes_validate.latest_version()]


def complaints(text):
    found = []
    for document in yaml.safe_load_all(text):
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(str(step) for step in error.path)
                found.append(f"{document['kind']} {version}: {place}: {error.message[:300]}")
    return found


json.dump([complaints(text) for text in json.load(sys.stdin)], sys.stdout)
