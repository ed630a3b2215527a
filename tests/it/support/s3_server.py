"""Serves S3 by moto on a loopback port, with the bucket `lake`, prints the port as JSON, and ends with its standard input.

Of an upload that is gone moto answers 500 where S3 says NoSuchUpload: here it says so too. It looks at a condition and then
writes, in as many threads as there are requests: here objects are put one by one.
"""

import json
import logging
import sys
import threading
import urllib.request

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer


def known(method):
    def checked(backend, bucket_name, multipart_id, *more, **named):
        if multipart_id not in backend.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return method(backend, bucket_name, multipart_id, *more, **named)

    return checked


def one_by_one(method):
    alone = threading.Lock()

    def locked(response):
        with alone:
            return method(response)

    return locked


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in ("complete_multipart_upload", "upload_part"):
        setattr(S3Backend, name, known(getattr(S3Backend, name)))
    S3Response.put_object = one_by_one(S3Response.put_object)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/lake", method="PUT", headers={"Host": "s3.amazonaws.com"})
    urllib.request.urlopen(request).close()
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.read()
    server.stop()


main()
