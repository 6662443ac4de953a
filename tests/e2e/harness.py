"""What the end-to-end tests share: a server of their own, the bytes of OTLP, questions, and counting.

A Server runs `spanmill serve` on free ports over a data directory, is ready when /readyz says so, and is stopped by
SIGTERM (which must end with exit code 0) or killed. The environment variable TEST_SPANMILL names the program,
build/release/spanmill if unset. Python's standard library only; nothing here sleeps for a fixed time in the hope
that something has happened.

The protobuf writer knows fields and wire types, not messages: tests spell out field numbers from the .proto files,
so that a wrong number is visible where it stands, and so that wrong bytes can be written as easily as right ones.
"""
import atexit
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPANMILL = os.path.abspath(os.environ.get("TEST_SPANMILL", os.path.join(ROOT, "build/release/spanmill")))
LOAD = os.path.abspath(os.environ.get("TEST_LOAD", os.path.join(ROOT, "build/release/spanmill-load")))
os.environ.setdefault("SPANMILL_IO_GATE", "true")  # first starts need not measure the disk; whoever wants that says --io-gate=auto
PORTS = int(os.environ.get("TEST_PORTS_COUNT", 5000))
STOP_SECONDS_MAX = 10
PROTOBUF = "application/x-protobuf"


def require_programs(*paths):
    for path in paths:
        if not os.access(path, os.X_OK):
            print(f"FAILED: {os.path.relpath(path, ROOT)} is not there; build it first")
            print("0 passed, 1 failed")
            sys.exit(1)


def scratch_directory(name):
    """A fresh directory, removed at exit unless KEEP is set in the environment."""
    path = tempfile.mkdtemp(prefix=f"spanmill-{name}-")
    if not os.environ.get("KEEP"):
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


# ---- the server -----------------------------------------------------------------------------------------------------
_ports = set()


def free_port():
    """A port below the range the kernel hands out to clients, so that no connection takes it before the server does.

    tools/test runs two of these programs at a time and gives each its own range by TEST_PORTS, the first of them."""
    first = int(os.environ.get("TEST_PORTS", 20000))
    while True:
        port = first + int.from_bytes(os.urandom(2), "little") % PORTS
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _ports:
            _ports.add(port)
            return port


class Server:
    def __init__(self, data, *options, log=None):
        self.data, self.options = data, list(options)
        self.log = log or os.path.join(os.path.dirname(os.path.abspath(data)), "server.log")
        self.otlp, self.grpc, self.query, self.ops = free_port(), free_port(), free_port(), free_port()
        self.process = None
        self.tls = None  # an ssl.SSLContext: the ops listener speaks TLS
        self.headers = {}  # of questions
        atexit.register(self.kill)

    def start(self, within_seconds=30):
        """Returns the seconds it took until /readyz answered 200."""
        command = [SPANMILL, "serve", "--data", self.data, "--otlp-http", f"127.0.0.1:{self.otlp}",
                   "--otlp-grpc", f"127.0.0.1:{self.grpc}", "--query", f"127.0.0.1:{self.query}", "--ops", f"127.0.0.1:{self.ops}", *self.options]
        begin = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while time.monotonic() - begin < within_seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                if self.ask(self.ops, "/readyz", tls=self.tls)[0] == 200:
                    return time.monotonic() - begin
            except OSError:
                pass
            time.sleep(0.005)
        raise RuntimeError(f"not ready after {within_seconds} s:\n{self.log_tail()}")

    def stop(self):
        """SIGTERM; the exit code must be 0 within STOP_SECONDS_MAX. Returns the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"did not stop within {STOP_SECONDS_MAX} s of SIGTERM:\n{self.log_tail()}") from None
        if code != 0:
            raise RuntimeError(f"SIGTERM ended with exit code {code}:\n{self.log_tail()}")
        return time.monotonic() - begin

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def log_tail(self, lines=15):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

    # -- requests, one connection each ------------------------------------------------------------------------------
    @staticmethod
    def ask(port, path, method="GET", body=None, headers=None, timeout=30, tls=None):
        """(status, headers, body bytes)"""
        if tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=tls)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, body, **headers):
        """Sends one OTLP request; header names with _ for -."""
        all_headers = {"Content-Type": PROTOBUF}
        all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.ask(self.otlp, "/v1/traces", "POST", body, all_headers)

    def trace(self, trace_id, accept=PROTOBUF):
        return self.ask(self.query, f"/query/v1/traces/{trace_id.hex()}", headers={"Accept": accept, **self.headers})

    def search(self, parameters):
        status, _, body = self.ask(self.query, f"/query/v1/traces?{parameters}")
        if status != 200:
            raise RuntimeError(f"search {parameters}: {status} {body[:200]!r}")
        return json.loads(body)

    def seal(self):
        """Forces live blocks to be closed and written; needs --debug-endpoints."""
        status, _, body = self.ask(self.ops, "/debug/seal", "POST", body=b"")
        if status not in (200, 202, 204):
            raise RuntimeError(f"/debug/seal: {status} {body[:200]!r}")

    def metrics(self):
        """Metric line without its value -> value."""
        values = {}
        for line in self.ask(self.ops, "/metrics")[2].decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values


# ---- protobuf bytes -------------------------------------------------------------------------------------------------
def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(field, wire):
    return varint(field << 3 | wire)


def f_varint(field, value):
    return tag(field, 0) + varint(value)


def f_fixed64(field, value):
    return tag(field, 1) + struct.pack("<Q", value & (1 << 64) - 1)


def f_double(field, value):
    return tag(field, 1) + struct.pack("<d", value)


def f_fixed32(field, value):
    return tag(field, 5) + struct.pack("<I", value)


def f_bytes(field, value):
    value = value.encode() if isinstance(value, str) else value
    return tag(field, 2) + varint(len(value)) + value


def fields(data):
    """[(field, wire type, value)] of one message; raises ValueError on anything malformed. Groups are left out."""
    out, at, groups = [], 0, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError(f"varint at byte {at}")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        wire = key & 7
        if wire in (3, 4):
            groups += 1 if wire == 3 else -1
            continue
        if wire == 0:
            value = number()
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = int.from_bytes(data[at:at + size], "little"), at + size
        elif wire == 2:
            size = number()
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at > len(data):
            raise ValueError("runs past the end")
        if groups == 0:
            out.append((key >> 3, wire, value))
    if groups != 0:
        raise ValueError("groups that do not end")
    return out


def first(message, field, default=None):
    return next((value for number, _, value in fields(message) if number == field), default)


# ---- OTLP messages --------------------------------------------------------------------------------------------------
def any_string(text):
    return f_bytes(1, text)


def any_int(number):
    return f_varint(3, number)


def key_value(key, value):
    """value: the bytes of an AnyValue"""
    return f_bytes(1, key) + f_bytes(2, value)


def span(trace_id, span_id, name="GET /", parent=b"", start=None, duration_ns=1_000_000, attributes=(), extra=b""):
    start = time.time_ns() if start is None else start
    return (f_bytes(1, trace_id) + f_bytes(2, span_id) + (f_bytes(4, parent) if parent else b"") + f_bytes(5, name) +
            f_varint(6, 2) + f_fixed64(7, start) + f_fixed64(8, start + duration_ns) +
            b"".join(f_bytes(9, attribute) for attribute in attributes) + extra)


def request(*spans, service="e2e", scope="e2e", resource_extra=b""):
    """ExportTraceServiceRequest with one resource and one scope."""
    resource = f_bytes(1, key_value("service.name", any_string(service))) + resource_extra
    return f_bytes(1, f_bytes(1, resource) + f_bytes(2, f_bytes(1, f_bytes(1, scope)) + b"".join(f_bytes(2, one) for one in spans)))


def new_trace_id():
    return os.urandom(16)


def new_span_id():
    return os.urandom(8)


def spans_in(traces_data):
    """The bytes of every Span in a TracesData message."""
    return [one for n1, _, resource_spans in fields(traces_data) if n1 == 1
            for n2, _, scope_spans in fields(resource_spans) if n2 == 2
            for n3, _, one in fields(scope_spans) if n3 == 2]


# ---- counting -------------------------------------------------------------------------------------------------------
class Count:
    """Cases passed and failed; a failed one is printed when it happens."""

    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, problem=None):
        """problem: None or '' when all is well"""
        if problem:
            self.failed += 1
            print(f"FAILED: {name}: {problem}", flush=True)
        else:
            self.passed += 1

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
