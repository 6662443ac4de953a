"""Runs each SDK client over each protocol (http: protobuf, json: JSON over HTTP) with each compression and compares what it sent with what the query API gives back.

Three times: right after the answer (live), after sealing, and after a restart of the server. Each time as protobuf,
decoded by our own reader and by the published messages, and as OTLP JSON. One row per client, protocol, compression and stage;
each trace in each form is one case. Then again over TLS with a token.
"""
import json
import os
import re
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import otlp
from front_door import CTL, new_token, self_signed
from harness import SPANMILL, Count, Server, require_programs, scratch_directory

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

WORK = sys.argv[1]
CLIENTS = [(client, protocol, compression) for client, protocol, compressions in (
    ("python", "http", ("none", "gzip", "deflate")), ("python", "grpc", ("none", "gzip", "deflate")),
    ("js", "http", ("none", "gzip")), ("js", "json", ("none", "gzip")), ("js", "grpc", ("none", "gzip"))) for compression in compressions]
# One export; the exporter logs why it fails.
WITHOUT_TOKEN = """
import logging, sys
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
logging.basicConfig()
print({"grpc": Grpc, "http": Http}[sys.argv[1]](endpoint=sys.argv[2]).export([]).name)
"""
TLS_CLIENTS = [("python", "http"), ("python", "grpc"), ("js", "http"), ("js", "json"), ("js", "grpc")]
COMMANDS = {"python": [sys.executable, os.path.join(HERE, "python/client.py")], "js": ["node", os.path.join(WORK, "js/client.js")],
            "go": [os.path.join(WORK, "go/client")]}
if os.access(COMMANDS["go"][0], os.X_OK):  # else it was skipped, and tests/e2e/sdk/run has said why
    CLIENTS += [("go", protocol, compression) for protocol in ("http", "grpc") for compression in ("none", "gzip")]
    TLS_CLIENTS += [("go", "http"), ("go", "grpc")]
count = Count()


def captured(path):
    with open(path, "rb") as file:
        data = file.read()
    messages, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        messages.append(data[at + 4:at + 4 + length])
        at += 4 + length
    return messages


def as_protobuf(message):
    """What a request in JSON says, by our own reader of it."""
    return otlp.json_to_protobuf("TracesData", json.loads(message))


def published(messages, trace_id):
    """The trace's spans with their envelopes as the published messages see them, in a comparable order."""
    rows = []
    for message in messages:
        for resource_spans in TracesData.FromString(message).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    if span.trace_id == trace_id:
                        if not span.status.ByteSize():
                            span.ClearField("status")
                        rows.append((resource_spans.resource.SerializeToString(deterministic=True), resource_spans.schema_url,
                                     scope_spans.scope.SerializeToString(deterministic=True), scope_spans.schema_url,
                                     span.SerializeToString(deterministic=True)))
    return sorted(rows)


class Sent:
    def __init__(self, messages):
        self.by_trace = {}
        self.spans = 0
        for message in messages:
            for row in otlp.flat(otlp.from_protobuf("TracesData", message)):
                trace = self.by_trace.setdefault(bytes.fromhex(row["span"]["traceId"]), [])
                self.spans += 1
                if not trace or trace[-1] is not message:
                    trace.append(message)

    def compare(self, server):
        """(cases passed, cases failed)"""
        before = count.passed, count.failed
        for trace_id, messages in self.by_trace.items():
            name = f"trace {trace_id.hex()}"
            status, _, body = server.trace(trace_id)
            problem = f"status {status}" if status != 200 else otlp.same(messages, body, trace_id=trace_id)
            count.case(f"{name} as protobuf", problem)
            if not problem:
                count.case(f"{name} by the published messages", "" if published(messages, trace_id) == published([body], trace_id) else "differs")
            status, _, body = server.trace(trace_id, "application/json")
            count.case(f"{name} as JSON", f"status {status}" if status != 200 else otlp.same(messages, body, json=True, trace_id=trace_id))
        return count.passed - before[0], count.failed - before[1]


def sent_by(protocol, capture):
    return Sent([as_protobuf(message) for message in captured(capture)] if protocol == "json" else captured(capture))


def report(client, protocol, compression, stage, sent, result):
    print(f"{client:<8} {protocol:<5} {compression:<8} {stage:<14} {len(sent.by_trace):4d} traces {sent.spans:5d} spans  {result[0]:4d} equal {result[1]:4d} different", flush=True)


def over_tls(directory):
    """The same traces over TLS with a token, as the SDKs are told by their environment; and without the token, in vain."""
    pem, key = self_signed(directory)
    tokens_file = os.path.join(directory, "tokens")
    token = new_token(tokens_file, "sdk", "ingest")
    server = Server(os.path.join(directory, "tls"), "--tls-cert-file", pem, "--tls-key-file", key, "--tls-listeners", "otlp-http,otlp-grpc",
                    "--auth-tokens-file", tokens_file, log=os.path.join(directory, "tls.log"))
    server.headers = {"Authorization": f"Bearer {new_token(tokens_file, 'asker', 'query')}"}
    server.start()
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("CA_BUNDLE")}  # they outdo the SDK's own
    environment = {**inherited, "OTEL_EXPORTER_OTLP_CERTIFICATE": pem}
    endpoints = {"http": f"https://localhost:{server.otlp}/v1/traces", "json": f"https://localhost:{server.otlp}/v1/traces", "grpc": f"https://localhost:{server.grpc}"}
    for client, protocol in TLS_CLIENTS:
        capture = os.path.join(directory, f"{client}-{protocol}-tls")
        environment["OTEL_EXPORTER_OTLP_TIMEOUT"] = "10" if client == "python" else "10000"  # seconds; for others milliseconds, as specified
        run = subprocess.run([*COMMANDS[client], protocol, endpoints[protocol], "gzip", capture], capture_output=True, text=True, timeout=120, env={**environment, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}"})
        count.case(f"{client} {protocol} over TLS: every export succeeds", "" if run.returncode == 0 else (run.stderr or run.stdout)[-400:])
        sent = sent_by(protocol, capture)
        report(client, protocol, "gzip", "over TLS", sent, sent.compare(server))
        once = [sys.executable, "-c", WITHOUT_TOKEN, protocol, endpoints[protocol]] if client == "python" else [*COMMANDS[client], protocol, endpoints[protocol], "none", "-"]
        run = subprocess.run(once, capture_output=True, text=True, timeout=60, env=environment)
        told = (run.stdout == "FAILURE\n" or run.returncode == 1) and re.search("401|unauthorized|unauthenticated", run.stderr, re.IGNORECASE)
        count.case(f"{client} {protocol} over TLS without a token: told so", "" if told else run.stdout + run.stderr[-400:])
    server.stop()


def main():
    require_programs(SPANMILL, CTL)
    directory = scratch_directory("sdk")
    server = Server(os.path.join(directory, "data"), "--debug-endpoints")
    server.start()
    everything = {}
    endpoints = {"http": f"http://127.0.0.1:{server.otlp}/v1/traces", "json": f"http://127.0.0.1:{server.otlp}/v1/traces", "grpc": f"http://127.0.0.1:{server.grpc}"}
    for client, protocol, compression in CLIENTS:
        capture = os.path.join(directory, f"{client}-{protocol}-{compression}")
        run = subprocess.run([*COMMANDS[client], protocol, endpoints[protocol], compression, capture], capture_output=True, text=True, timeout=120)
        count.case(f"{client} {protocol} {compression}: every export succeeds", "" if run.returncode == 0 else (run.stderr or run.stdout)[-400:])
        sent = everything[client, protocol, compression] = sent_by(protocol, capture)
        report(client, protocol, compression, "live", sent, sent.compare(server))
    server.seal()
    for (client, protocol, compression), sent in everything.items():
        report(client, protocol, compression, "sealed", sent, sent.compare(server))
    server.stop()
    server.start()
    for (client, protocol, compression), sent in everything.items():
        report(client, protocol, compression, "after restart", sent, sent.compare(server))
    server.stop()
    over_tls(directory)
    count.finish()


if __name__ == "__main__":
    main()
