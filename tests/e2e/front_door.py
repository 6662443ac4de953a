"""What the tests of the front door share: credentials, requests and calls with them, from a source address of choice, plain or
over TLS; a client that goes on while something is reloaded.
"""
import http.client
import os
import re
import signal
import subprocess
import threading
import time

from harness import PROTOBUF, ROOT, new_span_id, new_trace_id, request, span

CTL = os.path.abspath(os.environ.get("TEST_CTL", os.path.join(ROOT, "build/release/spanmillctl")))
answers = []  # every byte that came back, to be searched for secrets


def ctl(*words):
    run = subprocess.run([CTL, "token", *words], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.strip(), run.stderr


def order(server, *words):
    """A command of spanmillctl that asks the server: (code, output, errors)."""
    run = subprocess.run([CTL, *words, "--server", f"127.0.0.1:{server.query}"], capture_output=True, text=True, check=False)
    answers.append((run.stdout + run.stderr).encode())
    return run.returncode, run.stdout, run.stderr


def new_token(path, name, roles, *words):
    code, token, err = ctl("new", path, "--name", name, "--roles", roles, *words)
    if code != 0:
        raise RuntimeError(f"token new: {code} {err}")
    return token


def self_signed(directory):
    """(certificate, its key); it is its own authority."""
    files = os.path.join(directory, "server.pem"), os.path.join(directory, "server.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    os.chmod(files[1], 0o600)
    return files


_source = 0


def next_source():
    """An address of this host that has not failed yet."""
    global _source
    _source += 1
    return f"127.1.{_source // 250}.{1 + _source % 250}"


def open_connection(port, source=None, tls=None):
    where = (source or next_source(), 0)
    if tls is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=where)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=20, source_address=where, context=tls)


def ask(port, path, method="GET", token=None, source=None, body=None, headers=None, tls=None):
    """(status, headers, body)"""
    connection = open_connection(port, source, tls)
    fields = dict(headers or {})
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, body=body, headers=fields)
        answer = connection.getresponse()
        text = answer.read()
        answers.append(str(answer.headers).encode() + text)
        return answer.status, answer.headers, text
    finally:
        connection.close()


def call(port, path, token=None, message=None, url="http", options=()):
    """grpc-status, as text, of one call, without a message if that is None; or what went wrong."""
    command = ["curl", "-sS", "-m", "20", "--interface", next_source(), "-D", "-", "-o", "-", "-X", "POST",
               "-H", "content-type: application/grpc", "-H", "te: trailers", *options]
    command += ["--http2-prior-knowledge"] if url == "http" else ["--http2"]
    if token is not None:
        command += ["-H", f"authorization: Bearer {token}"]
    framed = None
    if message is not None:
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        command += ["--data-binary", "@-"]
    run = subprocess.run([*command, f"{url}://127.0.0.1:{port}{path}"], input=framed, capture_output=True, check=False)
    answers.append(run.stdout)
    found = re.search(rb"grpc-status: (\d+)", run.stdout)
    return found.group(1).decode() if found else f"{run.returncode} {run.stderr.decode()} {run.stdout[:200]!r}"


def ask_h2(port, path, method="POST", token=None, headers=None, body=b"", url="http", options=()):
    """(status, head) of one plain request over HTTP/2: with prior knowledge, or over TLS by ALPN."""
    command = ["curl", "-sS", "-m", "20", "--interface", next_source(), "-D", "-", "-o", "/dev/null", "-X", method, *options,
               "--http2-prior-knowledge" if url == "http" else "--http2"]
    for name, value in {"Content-Type": PROTOBUF, **(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}.items():
        command += ["-H", f"{name}: {value}"]
    if body:
        command += ["--data-binary", "@-"]
    run = subprocess.run([*command, f"{url}://127.0.0.1:{port}{path}"], input=body, capture_output=True, check=False)
    answers.append(run.stdout)
    found = re.match(rb"HTTP/2 (\d+)", run.stdout)
    return (int(found.group(1)) if found else f"{run.returncode} {run.stderr.decode()} {run.stdout[:100]!r}"), run.stdout.decode().lower()


def differs(is_now, should):
    return "" if is_now == should else f"{is_now!r} instead of {should!r}"


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def hangup(server):
    before = reloads(server)
    server.process.send_signal(signal.SIGHUP)
    return wait_until(lambda: reloads(server) != before)


def reloads(server):
    with open(server.log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return text.count('msg="reloaded"') + text.count('msg="reload failed')


class Traffic(threading.Thread):
    """One connection that posts spans again and again: what it is told, in order."""

    def __init__(self, port, token, tls=None):
        super().__init__(daemon=True)
        self.port, self.token, self.tls, self.statuses, self.stopping = port, token, tls, [], threading.Event()
        self.problem = ""

    def run(self):
        connection = None
        while not self.stopping.is_set():
            try:
                connection = connection or open_connection(self.port, None, self.tls)
                connection.request("POST", "/v1/traces", body=request(span(new_trace_id(), new_span_id())),
                                   headers={"Content-Type": PROTOBUF, "Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                answer.read()
                self.statuses.append((time.monotonic(), answer.status))
                if answer.will_close:
                    connection.close()
                    connection = None
            except OSError as error:
                self.problem = f"{type(error).__name__}: {error}"
                return
            time.sleep(0.002)

    def stop(self):
        self.stopping.set()
        self.join()
