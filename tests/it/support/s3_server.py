"""Serves S3 by moto on a loopback port, with the bucket `lake`, prints the port as JSON, and ends with its standard input."""

import json
import sys
import urllib.request

from moto.server import ThreadedMotoServer


def main():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/lake", method="PUT", headers={"Host": "s3.amazonaws.com"})
    urllib.request.urlopen(request).close()
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.read()
    server.stop()


main()
