"""Runs the command that stands on standard input, as a JSON list, in the folder that is the argument, and prints how it ended and the
most memory that it held at once."""

import json
import resource
import subprocess
import sys
import time

command = json.load(sys.stdin)
began = time.monotonic()
ended = subprocess.run(command, cwd=sys.argv[1], capture_output=True, text=True, stdin=subprocess.DEVNULL)
answer = {
    "code": ended.returncode,
    "stdout": ended.stdout,
    "stderr": ended.stderr,
    "seconds": round(time.monotonic() - began, 1),
    "peak_kib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
}
json.dump(answer, sys.stdout)
