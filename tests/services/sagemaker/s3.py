"""moto's S3 in a process of its own, with mistakes: `python -m tests.services.sagemaker.s3 FOLDER [PORT]`.

It writes its port to `FOLDER/s3-port`. Mistakes are those of `faults`, as far as S3 can make them, planned for the
names of its operations, such as `UploadPart`. The service itself, which calls it as well, does not meet them.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from tests.services.sagemaker.faults import LATE_S, Faults
from tests.services.sagemaker.files import AGENT
from tests.services.sagemaker.rules import CALLER
from tests.services.sagemaker.s3_calls import OPERATIONS

ERRORS = {
    "throttle": (503, "SlowDown", "Please reduce your request rate."),
    "busy": (503, "ServiceUnavailable", "Service is unable to handle request."),
    "broken": (500, "InternalError", "We encountered an internal error. Please try again."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "unrecognized": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
}

BY_CHANCE = frozenset({"throttle", "busy", "broken", "late", "silent", "hang"})
"""What happens to S3 by chance."""


class Front:
    """Stands in front of moto and makes the mistakes."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.faults = Faults()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_/"):
            self._control(environ["PATH_INFO"].removeprefix("/_/"), json.loads(_body(environ)))
            return Response(b"{}")(environ, start)
        if AGENT in environ.get("HTTP_USER_AGENT", ""):
            return self._moto(environ, start)  # type: ignore[no-any-return]
        call = _operation(environ)
        fault = self.faults.next(call)
        if fault == "wait":
            self.faults.released.wait()
        if fault in ERRORS or fault == "forbidden":
            _body(environ)
            return _refused(fault, call, environ)(environ, start)
        if fault in ("hang", "late"):
            time.sleep(LATE_S)
        if fault == "hang":
            return _hung_up(environ, start)
        answer: Iterable[bytes] = self._moto(environ, start)
        return _hung_up(environ, start) if fault == "silent" else answer

    def _control(self, what: str, body: dict[str, Any]) -> None:
        if what == "faults":
            self.faults.plan(body)
        elif what == "release":
            self.faults.released.set()
        elif what == "options":
            chances = {name: chance for name, chance in body["chances"].items() if name in BY_CHANCE}
            self.faults.change(chances, body["chaos"])


def _operation(environ: dict[str, Any]) -> str:
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    about = "object" if re.fullmatch(r"/[^/]+/.+", environ["PATH_INFO"]) else "bucket"
    for (method, what, key), name in OPERATIONS.items():
        if (method, what) == (environ["REQUEST_METHOD"], about) and (key is None or key in query):
            return name
    return "Other"


def _body(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _refused(fault: str, call: str, environ: dict[str, Any]) -> Response:
    if fault == "forbidden":
        action = {"ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket", "HeadObject": "GetObject"}.get(call, call)
        status, code = 403, "AccessDenied"
        said = (
            f'User: {CALLER} is not authorized to perform: s3:{action} on resource: "arn:aws:s3:::'
            f'{environ["PATH_INFO"].lstrip("/")}" because no identity-based policy allows the s3:{action} action'
        )
    else:
        status, code, said = ERRORS[fault]
    quoted = said.replace('"', "&quot;")
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{quoted}</Message></Error>'
    return Response("" if environ["REQUEST_METHOD"] == "HEAD" else body, status=status, mimetype="application/xml")


def _hung_up(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response(b"")(environ, start)


def main(folder: str, port: str = "0") -> None:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = make_server("127.0.0.1", int(port), Front(), threaded=True)
    partial = Path(folder, "s3-port.partial")
    partial.write_text(str(server.port))
    partial.rename(Path(folder, "s3-port"))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
