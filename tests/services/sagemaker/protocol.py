"""Speaks AWS's JSON protocol for SageMaker, and as much of STS as says who calls."""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.services.process import QuietHandler
from tests.services.sagemaker import refusal, rules
from tests.services.sagemaker.account import Account
from tests.services.sagemaker.faults import ENDS, LATE_S
from tests.services.sagemaker.job import ACCOUNT
from tests.services.sagemaker.refusal import Refusal
from tests.services.sagemaker.shapes import Shapes

TARGET = "SageMaker."

QUERY_CODES = {"ExpiredTokenException": "ExpiredToken", "UnrecognizedClientException": "InvalidClientTokenId"}
"""Names of errors that STS calls otherwise."""

QUERY = "https://sts.amazonaws.com/doc/2011-06-15/"


class Handler(QuietHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    account: Account
    shapes: Shapes

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/_/"):
            self.control(self.path.removeprefix("/_/"), json.loads(body))
        elif "X-Amz-Target" in self.headers:
            self.sagemaker(self.headers["X-Amz-Target"].removeprefix(TARGET), body)
        else:
            self.sts(parse_qs(body.decode()).get("Action", [""])[0])

    def do_GET(self) -> None:
        self.say(200, b"", "text/plain")

    @property
    def region(self) -> str:
        """That the caller signed for."""
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        return scope[1] if scope else "us-east-1"

    def control(self, what: str, body: dict[str, Any]) -> None:
        """What only the rehearsal asks for."""
        if what == "faults":
            self.account.faults.plan(body)
        elif what == "release":
            self.account.faults.released.set()
        elif what == "options":
            with self.account.lock:
                self.account.configure()
        self.say(200, b"{}", "application/json")

    def sagemaker(self, name: str, body: bytes) -> None:
        """An operation, with a mistake where one is planned."""
        try:
            if "Authorization" not in self.headers:
                raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
            self.shapes.operation(name)
            asked = json.loads(body or b"{}")
            self.shapes.check_request(name, asked)
            work = self.account.operation(name)
            if work is None:
                raise refusal.unknown_operation()
            stages, running = self.account.asked_of(name, asked)
            fault = self.account.fault(name, asked, stages, running=running and name == "DescribeTrainingJob")
            self.before(fault, name, asked)
            if fault == "hang":
                return self.hang_up()
            idle = {"idle": True} if fault == "idle" and name == "DescribeTrainingJob" else {}
            answer = work(asked, self.region, **idle)
            self.shapes.check_answer(name, answer)
        except Refusal as error:
            said = json.dumps({"__type": error.code, "message": error.message})
            return self.say(error.status, said.encode(), "application/x-amz-json-1.1")
        except json.JSONDecodeError:
            said = json.dumps({"__type": "SerializationException"})
            return self.say(400, said.encode(), "application/x-amz-json-1.1")
        self.after(fault, json.dumps(answer).encode(), "application/x-amz-json-1.1")

    def sts(self, action: str) -> None:
        """Who calls, in STS's protocol."""
        fault = None
        try:
            if action != "GetCallerIdentity":
                raise Refusal("InvalidAction", f"Could not find operation {action} for version 2011-06-15")
            fault = self.account.fault(action, {})
            self.before(fault, action, {})
            if fault == "hang":
                return self.hang_up()
        except Refusal as error:
            code = QUERY_CODES.get(error.code, error.code)
            said = (
                f'<ErrorResponse xmlns="{QUERY}"><Error><Type>Sender</Type><Code>{code}</Code>'
                f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
            )
            return self.say(403 if error.status == 400 else error.status, said.encode(), "text/xml")
        said = (
            f'<GetCallerIdentityResponse xmlns="{QUERY}"><GetCallerIdentityResult><Arn>{rules.CALLER}</Arn>'
            f"<UserId>AROAEXAMPLE:session</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
            "</GetCallerIdentityResponse>"
        )
        self.after(fault, said.encode(), "text/xml")

    def before(self, fault: str | None, name: str, asked: dict[str, Any]) -> None:
        """The part of a mistake that comes before the work.

        Raises:
            Refusal: the mistake is one.
        """
        raised = {
            "throttle": refusal.THROTTLED,
            "busy": refusal.BUSY,
            "broken": refusal.BROKEN,
            "expired": refusal.EXPIRED,
            "unrecognized": refusal.UNRECOGNIZED,
            "limit": refusal.over_quota(4, 4),
            "role": refusal.unassumable(asked.get("RoleArn", "")),
            "refuse": refusal.invalid("The request is refused, as planned."),
            "forbidden": refusal.denied(rules.CALLER, *self.action(name, asked)),
        }
        if fault in raised:
            raise raised[fault]
        if fault == "wait":
            self.account.faults.released.wait()
        if fault in ENDS:
            self.account.end(asked["TrainingJobName"], fault)

    def action(self, name: str, asked: dict[str, Any]) -> tuple[str, str]:
        """What a permission is missing for, and of what, in AWS's words."""
        if name == "GetCallerIdentity":
            return "sts:GetCallerIdentity", "*"
        if "TrainingJobName" in asked:
            what = f"training-job/{asked['TrainingJobName']}"
        else:
            what = asked.get("ModelPackageName") or asked.get("HubName") or "*"
        return (
            f"sagemaker:{name}",
            what if ":" in what or what == "*" else f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{what}",
        )

    def after(self, fault: str | None, content: bytes, kind: str) -> None:
        """Answers, with the part of a mistake that comes after the work."""
        if fault == "late":
            time.sleep(LATE_S)
        if fault == "silent":
            self.close_connection = True
            return
        self.say(200, content, kind)

    def hang_up(self) -> None:
        time.sleep(LATE_S)
        self.close_connection = True

    def say(self, status: int, content: bytes, kind: str) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            self.end_headers()
            self.wfile.write(content)
