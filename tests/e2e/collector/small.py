"""SDKs -> a small Collector -> Spanmill. See README.md; run by tests/e2e/collector/run.

    small.py BUILD_FOLDER [ROW...]

Rows: sent       the SDK for Python by gRPC and HTTP -> batch -> Spanmill, a pipeline for each protocol, encoding and compression that the
                 Collector's exporters offer; what they sent comes back field by field
      tls        the same over TLS with a token, gRPC and HTTP; with a wrong token nothing is held and the Collector counts it as given up
      kill       the SDK sends while Spanmill is killed with -9 and started again, twice: what the Collector was acknowledged is held, from
                 a Collector that tries again all of it and each trace whole
"""
import logging
import os
import runpy
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import otlp
from collector import RETRY, SETTLE_SECONDS, Collector, judge, rows_differ, sdk_spans, traces_of, wait
from front_door import CTL, new_token, self_signed
from harness import SPANMILL, Count, Server, require_programs, scratch_directory

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

BUILD, ROWS = sys.argv[1], sys.argv[2:] or ["sent", "tls", "kill"]
COLLECTOR = os.path.join(BUILD, "collector/small/otelcol")
CLIENT = os.path.join(HERE, "../sdk/python/client.py")
GRPC = [("grpc", compression) for compression in ("none", "gzip", "zstd", "snappy")]
HTTP = [(encoding, compression) for encoding in ("proto", "json")
        for compression in ("none", "gzip", "zstd", "snappy", "x-snappy-framed", "deflate", "zlib")]
CHILDREN = 4  # spans of a trace beside its root
LOAD_PAUSE_SECONDS = 0.004
count = Count()
logging.disable(logging.WARNING)  # the client goes beyond the SDK's limits on purpose


# ---- clients --------------------------------------------------------------------------------------------------------
def send(name, number):
    """The traces of the SDK's client into the pipeline, by one of the client's ways in turn; trace id -> rows as they were sent.

    The client runs in this process: to start another one and load gRPC again takes longer than all it does."""
    protocol, compression = [("grpc", "gzip"), ("http", "none"), ("grpc", "none"), ("http", "gzip")][number % 4]
    grpc_port, http_port = collector.ports[name]
    endpoint = f"http://127.0.0.1:{grpc_port}" if protocol == "grpc" else f"http://127.0.0.1:{http_port}/v1/traces"
    capture, problem, words = os.path.join(directory, f"capture-{name}"), "", sys.argv
    sys.argv = [CLIENT, protocol, endpoint, compression, capture]
    try:
        runpy.run_path(CLIENT)
    except SystemExit as end:
        problem = str(end)
    finally:
        sys.argv = words
    count.case(f"{name}: the SDK's exports succeed", problem)
    return sdk_spans(capture)


def spans_of(traces):
    return sum(map(len, traces.values()))


def compare(name, server, traces):
    """Each trace as it was sent, once the pipeline is empty; and what the Collector says of it."""
    counts = collector.settled(name)
    before = count.passed, count.failed
    for trace_id, rows in traces.items():
        status, _, body = server.trace(trace_id)
        count.case(f"{name}: trace {trace_id.hex()}", f"status {status}" if status != 200 else rows_differ(rows, otlp.flat(otlp.from_protobuf("TracesData", body))))
    print(f"{name:<22} sent {spans_of(traces):6d}  given up {counts['failed'] + counts['not queued']:4d}  "
          f"{count.passed - before[0]:4d} equal {count.failed - before[1]:4d} different", flush=True)
    problem = "" if counts["accepted"] == counts["sent"] == spans_of(traces) and counts["failed"] + counts["not queued"] == 0 else f"{counts}"
    count.case(f"{name}: the Collector sent all and gave none up", problem)


def refused(name, server, number):
    """What Spanmill refuses the Collector gives up, with a count of it, and none is held."""
    traces = send(name, number)
    counts = collector.settled(name)
    print(f"{name:<22} sent {spans_of(traces):6d}  given up {counts['failed'] + counts['not queued']:4d}", flush=True)
    count.case(f"{name}: the Collector gave all up", "" if counts["accepted"] == counts["failed"] == spans_of(traces) and counts["sent"] == 0 else f"{counts}")
    held = [trace_id.hex() for trace_id in traces if server.trace(trace_id)[0] != 404]
    count.case(f"{name}: nothing of it is held", "" if not held else f"{len(held)} traces are, the first is {held[0]}")


class Load:
    """Traces of two services in turn, in a thread, until stop(); what the Collector acknowledged to the SDK, by service."""

    def __init__(self, names):
        self.acked = {name: {} for name in names}  # trace id in hex -> spans
        self.made = {name: 0 for name in names}
        self.refused, self.over = [], threading.Event()
        self.providers = {name: self.provider(name) for name in names}
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def provider(self, name):
        exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{collector.ports[name][0]}", insecure=True)
        export = exporter.export

        def export_and_keep(spans):
            result = export(spans)
            if result is not SpanExportResult.SUCCESS:
                self.refused.append(f"{name}: {result}")
                return result
            for span in spans:
                trace_id = f"{span.context.trace_id:032x}"
                self.acked[name][trace_id] = self.acked[name].get(trace_id, 0) + 1
            return result

        exporter.export = export_and_keep
        provider = TracerProvider(resource=Resource.create({"service.name": name}))
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=50, max_queue_size=65536))
        return provider

    def run(self):
        tracers = {name: provider.get_tracer("load") for name, provider in self.providers.items()}
        while not self.over.wait(LOAD_PAUSE_SECONDS):
            for name, tracer in tracers.items():
                with tracer.start_as_current_span("root"):
                    for child in range(CHILDREN):
                        with tracer.start_as_current_span(f"child {child}"):
                            pass
                self.made[name] += 1

    def stop(self):
        self.over.set()
        self.thread.join()
        for provider in self.providers.values():
            provider.shutdown()


# ---- rows -----------------------------------------------------------------------------------------------------------
def row_sent():
    for number, (encoding, compression) in enumerate(GRPC + HTTP):
        name = f"{encoding}-{compression}"
        compare(name, server, send(name, number))
    refused("proto-lz4", server, 0)  # the one compression that we do not know


def row_tls():
    for number, protocol in enumerate(("grpc", "http")):
        compare(f"tls-{protocol}", guarded, send(f"tls-{protocol}", number))
        refused(f"stranger-{protocol}", guarded, number)


def row_kill():
    """Between kills the Collector must have had spans acknowledged and, without a second try, given some up: so they fall into the load."""
    load = Load(("patient", "hasty"))
    try:
        for _ in range(2):
            sent = collector.counts("patient")["sent"]
            wait("Spanmill acknowledges spans", lambda: collector.counts("patient")["sent"] > sent, SETTLE_SECONDS)
            given_up = collector.counts("hasty")["failed"]
            server.kill()
            wait("the Collector gives spans up", lambda: collector.counts("hasty")["failed"] > given_up, SETTLE_SECONDS)
            server.start()
        sent = collector.counts("hasty")["sent"]
        wait("the Collector reaches Spanmill again", lambda: collector.counts("hasty")["sent"] > sent, SETTLE_SECONDS)
    finally:
        load.stop()
    count.case("kill: the SDK's exports succeed", "" if not load.refused else f"{len(load.refused)} did not, the first: {load.refused[0]}")
    for name, acked in load.acked.items():
        whole = all(spans == 1 + CHILDREN for spans in acked.values()) and len(acked) == load.made[name]
        count.case(f"{name}: the Collector acknowledged every span of the SDK", "" if whole else f"{len(acked)} of {load.made[name]} traces, or not whole")
    judge(count, "patient", [server], collector.settled("patient"), len(load.acked["patient"]), 1 + CHILDREN)
    lost = set(load.acked["patient"]) - set(traces_of(server, "patient"))
    count.case("patient: no trace that the SDK was acknowledged is lost", "" if not lost else f"{len(lost)} are, the first is {min(lost)}")
    judge_hasty(collector.settled("hasty"), load.acked["hasty"])


def judge_hasty(counts, acked):
    """One try for each batch: by the Collector's own count everything is sent or given up, and what was sent is held."""
    held = traces_of(server, "hasty")
    spans, given_up = sum(different for different, _ in held.values()), counts["failed"] + counts["not queued"]
    print(f"{'hasty':<22} accepted {counts['accepted']:6d}  sent {counts['sent']:6d}  given up {given_up:4d}  held {spans}", flush=True)
    count.case("hasty: the Collector took every span", "" if counts["accepted"] == sum(acked.values()) else f"{counts}, {sum(acked.values())} sent")
    count.case("hasty: all is sent or given up, and some is given up", "" if counts["sent"] + given_up == counts["accepted"] and given_up > 0 else f"{counts}")
    count.case("hasty: no span that Spanmill acknowledged is lost", "" if spans >= counts["sent"] > 0 else f"{spans} held, {counts}")
    count.case("hasty: no more is held than was sent", "" if set(held) <= set(acked) and spans <= counts["accepted"] else f"{spans} held, {counts}")
    twice = sum(stored - different for different, stored in held.values())
    count.case("hasty: no span is shown twice", "" if twice == 0 else f"{twice} are")


# ---- all ------------------------------------------------------------------------------------------------------------
def exporter_of(encoding, compression, port, **more):
    """(type, configuration)"""
    if encoding == "grpc":
        return "otlp_grpc", {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}, "compression": compression, "retry_on_failure": RETRY, **more}
    return "otlp_http", {"endpoint": f"http://127.0.0.1:{port}", "encoding": encoding, "compression": compression, "retry_on_failure": RETRY, **more}


def add_guarded(name, token):
    secret = {"tls": {"ca_file": pem}, "headers": {"authorization": f"Bearer {token}"}}
    collector.pipeline(f"{name}-grpc", *exporter_of("grpc", "gzip", guarded.grpc, **secret))
    collector.pipeline(f"{name}-http", *exporter_of("proto", "gzip", guarded.otlp, **secret, endpoint=f"https://127.0.0.1:{guarded.otlp}"))


require_programs(SPANMILL, CTL, COLLECTOR)
directory = scratch_directory("collector")
pem, key = self_signed(directory)
tokens_file = os.path.join(directory, "tokens")
token, asker = new_token(tokens_file, "collector", "ingest"), new_token(tokens_file, "asker", "query")
server = Server(os.path.join(directory, "data"))
guarded = Server(os.path.join(directory, "guarded"), "--tls-cert-file", pem, "--tls-key-file", key, "--tls-listeners", "otlp-http,otlp-grpc",
                 "--auth-tokens-file", tokens_file, log=os.path.join(directory, "guarded.log"))
guarded.headers = {"Authorization": f"Bearer {asker}"}
collector = Collector(COLLECTOR, directory, ["batch"])
for encoding, compression in GRPC + HTTP:
    collector.pipeline(f"{encoding}-{compression}", *exporter_of(encoding, compression, server.grpc if encoding == "grpc" else server.otlp))
collector.pipeline("proto-lz4", *exporter_of("proto", "lz4", server.otlp))
add_guarded("tls", token)
add_guarded("stranger", "wrong")
collector.pipeline("patient", *exporter_of("grpc", "gzip", server.grpc, timeout="5s"))
collector.pipeline("hasty", *exporter_of("grpc", "gzip", server.grpc, timeout="5s", retry_on_failure={"enabled": False}))
try:
    server.start()
    guarded.start()
    collector.start()
    for row in ROWS:
        globals()[f"row_{row}"]()
    collector.stop()
    server.stop()
    guarded.stop()
finally:
    collector.stop()
if count.failed:
    print("".join(line for line in collector.log().splitlines(True) if "\terror\t" in line or "\twarn\t" in line)[:2000])
count.finish()
