"""Runs the blocks of code of a page. Standard input is JSON: `folder`, where they run, and `blocks`, pairs of `sql` or `python` and the
code. Prints how many rows each finds: SQL ends with a count, Python leaves what it has read in `orders`."""

import json
import os
import sys

import duckdb

asked = json.load(sys.stdin)
os.chdir(asked["folder"])


def rows(language, code):
    if language == "sql":
        connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
        statements = [statement for statement in code.split(";") if statement.strip()]
        return [connection.execute(statement).fetchall() for statement in statements][-1][0][0]
    names = {}
    exec(code, names)
    orders = names["orders"]
    return orders.count_rows() if hasattr(orders, "count_rows") else orders.collect().height


json.dump([rows(language, code) for language, code in asked["blocks"]], sys.stdout)
