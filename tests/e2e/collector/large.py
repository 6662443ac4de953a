"""A Collector between clients and three Spanmill instances. See README.md; run by tests/e2e/collector/run.

    large.py BUILD_FOLDER [ROW...]

Rows: balanced   telemetrygen -> batch -> load balancing by trace id -> three instances, with each compression of gRPC; queues and
                 retries as the exporter has them by itself, one for each instance
      kill       the same, with gzip, while one instance is killed with -9 and started again, and an SDK's traces, field by field;
                 with one queue before the balancer, because only of that the Collector tells what it sent and gave up
      http       telemetrygen -> OTLP/HTTP exporter, protobuf and JSON, with each compression
      jaeger     hand-made spans of Jaeger, thrift and gRPC, through the Collector
      zipkin     hand-made spans of Zipkin through the Collector and straight to Spanmill's own door: the same comes of them
"""
import json
import os
import re
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import otlp
from collector import RETRY, SETTLE_SECONDS, Collector, judge, rows_differ, sdk_spans, spans_stored, wait
from harness import SPANMILL, Count, Server, free_port, new_span_id, new_trace_id, require_programs, scratch_directory

BUILD, ROWS = sys.argv[1], sys.argv[2:] or ["balanced", "kill", "http", "jaeger", "zipkin"]
COLLECTOR, TELEMETRYGEN = os.path.join(BUILD, "collector/large/otelcol"), os.path.join(BUILD, "collector/large/telemetrygen")
GRPC = ("gzip", "zstd", "none", "snappy")
HTTP = [("proto", compression) for compression in ("gzip", "zstd", "none", "snappy", "deflate", "zlib", "x-snappy-framed")] + \
       [("json", compression) for compression in ("gzip", "zstd", "none")]
CHILDREN = 4           # spans of a trace beside its root
# Newer Collectors name what comes from Zipkin's endpoints by conventions that are not stable yet; we keep to the stable names.
ZIPKIN_NAMES = ["--feature-gates=-pkg.translator.zipkin.EmitV1NetworkConventions,-pkg.translator.zipkin.DontEmitV0NetworkConventions"]
count = Count()


def generate(port, service, traces, rate=0, workers=2):
    """telemetrygen at work: workers x traces, 1 + CHILDREN spans each; rate: spans a second and worker, 0: as fast as it goes."""
    return subprocess.Popen([TELEMETRYGEN, "traces", "--otlp-insecure", "--otlp-endpoint", f"127.0.0.1:{port}", "--service", service, "--workers", str(workers),
                             "--traces", str(traces), "--child-spans", str(CHILDREN), "--rate", str(rate)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(generator):
    errors = generator.communicate(timeout=120)[1]
    return "" if generator.returncode == 0 else f"telemetrygen ended with {generator.returncode}: {errors[-300:]!r}"


# ---- rows -----------------------------------------------------------------------------------------------------------
def row_balanced():
    running = [(name, generate(collector.ports[name][0], name, 200)) for name in GRPC]
    for name, generator in running:
        count.case(f"{name}: telemetrygen", finish(generator))
    accepted = sum(collector.counts(name)["accepted"] for name in GRPC)
    stored = lambda: sum(map(spans_stored, servers))
    wait("all spans are stored or given up", lambda: stored() + collector.dropped() >= accepted, SETTLE_SECONDS)
    for name in GRPC:
        counts = collector.counts(name)
        counts["sent"], counts["failed"] = counts["accepted"], collector.dropped()  # the queues of the instances are not told of
        spans = judge(count, name, servers, counts, 400, 1 + CHILDREN)
        total = sum(spans)
        count.case(f"{name}: all instances have their share", "" if min(spans) > total / 3 / 3 else f"{spans}")


def row_kill():
    """The victim is killed twice, at a third and at two thirds of the load."""
    generator = generate(collector.ports["kill"][0], "kill", 400, rate=500)  # 4 s
    client = subprocess.Popen([sys.executable, os.path.join(HERE, "../sdk/python/client.py"), "grpc", f"http://127.0.0.1:{collector.ports['kill'][0]}", "gzip",
                               os.path.join(directory, "capture")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    victim, kills = servers[1], 0
    for _ in range(2):
        stored = spans_stored(victim)
        wait("the victim stores spans", lambda: spans_stored(victim) > stored, 30)
        victim.kill()
        kills += generator.poll() is None
        time.sleep(0.5)  # the Collector meets a dead address
        victim.start()
    count.case("kill: an instance died under load", "" if kills > 0 else "the load was over before")
    count.case("kill: telemetrygen", finish(generator))
    text = client.communicate(timeout=120)[0].decode(errors="replace")
    count.case("kill: the SDK's exports succeed", "" if client.returncode == 0 else text[-400:])
    counts = collector.settled("kill")
    sent = sdk_spans(os.path.join(directory, "capture"))
    counts["accepted"] -= sum(len(spans) for spans in sent.values())  # telemetrygen's alone
    counts["sent"] -= sum(len(spans) for spans in sent.values())
    judge(count, "kill", servers, counts, 800, 1 + CHILDREN)
    for trace_id, spans in sent.items():
        answers = [server.trace(trace_id) for server in servers]
        bodies = [body for status, _, body in answers if status == 200]
        problem = f"on {len(bodies)} instances" if len(bodies) != 1 else rows_differ(spans, otlp.flat(otlp.from_protobuf("TracesData", bodies[0])))
        count.case(f"kill: SDK trace {trace_id.hex()}", problem)


def row_http():
    running = [(f"{encoding}-{compression}", generate(collector.ports[f"{encoding}-{compression}"][0], f"{encoding}-{compression}", 20)) for encoding, compression in HTTP]
    for name, generator in running:
        count.case(f"{name}: telemetrygen", finish(generator))
        judge(count, name, servers[:1], collector.settled(name), 40, 1 + CHILDREN)


# ---- Jaeger ---------------------------------------------------------------------------------------------------------
class Thrift:
    """The binary protocol, as far as spans need it: structs are lists of (field id, type, value)."""
    BOOL, DOUBLE, I32, I64, STRING, STRUCT, LIST = 2, 4, 8, 10, 11, 12, 15

    @classmethod
    def value(cls, kind, value):
        if kind == cls.BOOL:
            return bytes([value])
        if kind in (cls.DOUBLE, cls.I32, cls.I64):
            return struct.pack({cls.DOUBLE: ">d", cls.I32: ">i", cls.I64: ">q"}[kind], value)
        if kind == cls.STRING:
            return struct.pack(">i", len(value.encode())) + value.encode()
        if kind == cls.STRUCT:
            return b"".join(struct.pack(">bh", inner, number) + cls.value(inner, one) for number, inner, one in value) + b"\x00"
        inner, items = value
        return struct.pack(">bi", inner, len(items)) + b"".join(cls.value(inner, one) for one in items)

    @classmethod
    def tag(cls, key, value):
        number, kind, field = {str: (0, cls.STRING, 3), float: (1, cls.DOUBLE, 4), bool: (2, cls.BOOL, 5), int: (3, cls.I64, 6)}[type(value)]
        return [(1, cls.STRING, key), (2, cls.I32, number), (field, kind, value)]


JAEGER_TAGS = {"span.kind": "server", "error": True, "http.method": "GET", "n": 7, "ratio": 0.5}
JAEGER_START, JAEGER_DURATION = 1472470996199000, 207000


def signed64(data):
    return int.from_bytes(data, "big", signed=True)


def jaeger_thrift(trace_id, span_id, parent, other):
    tags = (Thrift.STRUCT, [Thrift.tag(key, value) for key, value in JAEGER_TAGS.items()])
    log = [(1, Thrift.I64, JAEGER_START + 1000), (2, Thrift.LIST, (Thrift.STRUCT, [Thrift.tag("event", "looked up"), Thrift.tag("hits", 3)]))]
    reference = [(1, Thrift.I32, 1), (2, Thrift.I64, signed64(other[8:])), (3, Thrift.I64, signed64(other[:8])), (4, Thrift.I64, 99)]
    span = [(1, Thrift.I64, signed64(trace_id[8:])), (2, Thrift.I64, signed64(trace_id[:8])), (3, Thrift.I64, signed64(span_id)), (4, Thrift.I64, signed64(parent)),
            (5, Thrift.STRING, "GET /thrift"), (6, Thrift.LIST, (Thrift.STRUCT, [reference])), (7, Thrift.I32, 1), (8, Thrift.I64, JAEGER_START),
            (9, Thrift.I64, JAEGER_DURATION), (10, Thrift.LIST, tags), (11, Thrift.LIST, (Thrift.STRUCT, [log]))]
    process = [(1, Thrift.STRING, "jaeger-thrift"), (2, Thrift.LIST, (Thrift.STRUCT, [Thrift.tag("host.zone", "a")]))]
    return Thrift.value(Thrift.STRUCT, [(1, Thrift.STRUCT, process), (2, Thrift.LIST, (Thrift.STRUCT, [span]))])


def jaeger_proto(trace_id, span_id, parent, other):
    """PostSpansRequest of jaeger.api_v2."""
    from harness import f_bytes, f_double, f_varint

    def tag(key, value):
        kind, field = {str: (0, f_bytes(3, value) if isinstance(value, str) else b""), bool: (1, f_varint(4, int(value)) if isinstance(value, bool) else b""),
                       int: (2, f_varint(5, int(value)) if isinstance(value, int) else b""), float: (3, f_double(6, value) if isinstance(value, float) else b"")}[type(value)]
        return f_bytes(1, key) + f_varint(2, kind) + field

    def when(micros):
        return f_varint(1, micros // 10**6) + f_varint(2, micros % 10**6 * 1000)

    log = f_bytes(1, when(JAEGER_START + 1000)) + f_bytes(2, tag("event", "looked up")) + f_bytes(2, tag("hits", 3))
    span = (f_bytes(1, trace_id) + f_bytes(2, span_id) + f_bytes(3, "GET /grpc") + f_bytes(4, f_bytes(1, trace_id) + f_bytes(2, parent)) +
            f_bytes(4, f_bytes(1, other) + f_bytes(2, (99).to_bytes(8, "big")) + f_varint(3, 1)) + f_varint(5, 1) + f_bytes(6, when(JAEGER_START)) +
            f_bytes(7, when(JAEGER_DURATION)) + b"".join(f_bytes(8, tag(key, value)) for key, value in JAEGER_TAGS.items()) + f_bytes(9, log))
    process = f_bytes(1, "jaeger-grpc") + f_bytes(2, tag("host.zone", "a"))
    return f_bytes(1, f_bytes(1, span) + f_bytes(2, process))


def plain(attributes):
    return {one["key"]: next(iter(one.get("value", {}).values()), None) for one in attributes}


def find(trace_id):
    """Rows of the trace, asked of all instances until one has it."""
    def look():
        for server in servers:
            status, _, body = server.trace(trace_id)
            if status == 200:
                return otlp.flat(otlp.from_protobuf("TracesData", body))
        return None
    return wait(f"trace {trace_id.hex()} is stored", look, SETTLE_SECONDS)


def row_jaeger():
    import grpc
    for way in ("thrift", "grpc"):
        trace_id, span_id, parent, other = new_trace_id(), new_span_id(), new_span_id(), new_trace_id()
        if way == "thrift":
            status = Server.ask(jaeger_http, "/api/traces", "POST", jaeger_thrift(trace_id, span_id, parent, other), {"Content-Type": "application/x-thrift"})[0]
            count.case("jaeger thrift: taken", "" if status == 202 else f"status {status}")
        else:
            with grpc.insecure_channel(f"127.0.0.1:{jaeger_grpc}") as channel:
                channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans")(jaeger_proto(trace_id, span_id, parent, other), timeout=10)
        row = find(trace_id)[0]
        span = row["span"]
        attributes, resource = plain(span["attributes"]), plain(row["resource"]["attributes"])
        expected = {"service": (resource.get("service.name"), f"jaeger-{way}"), "process tag": (resource.get("host.zone"), "a"),
                    "id": (span["spanId"], span_id.hex()), "parent": (span.get("parentSpanId"), parent.hex()), "name": (span["name"], f"GET /{way}"),
                    "kind": (span["kind"], 2), "start": (int(span["startTimeUnixNano"]), JAEGER_START * 1000),
                    "end": (int(span["endTimeUnixNano"]), (JAEGER_START + JAEGER_DURATION) * 1000), "status": (span.get("status", {}).get("code"), 2),
                    "string tag": (attributes.get("http.method"), "GET"), "integer tag": (int(attributes.get("n", 0)), 7),
                    "log": (span["events"][0].get("name"), "looked up"), "log field": (int(plain(span["events"][0]["attributes"]).get("hits", 0)), 3),
                    "reference": ([(link["traceId"], int(link["spanId"], 16)) for link in span.get("links", [])], [(other.hex(), 99)])}
        for what, (got, wanted) in expected.items():
            count.case(f"jaeger {way}: {what}", "" if got == wanted else f"{got!r}, not {wanted!r}")


# ---- Zipkin ---------------------------------------------------------------------------------------------------------
def zipkin_spans(trace_id):
    """Spans of which the Collector and we must make the same."""
    other = new_trace_id().hex()
    base = {"traceId": trace_id.hex(), "timestamp": JAEGER_START, "duration": 207000}
    return [
        dict(base, id="0000000000000001", kind="SERVER", name="get /api", localEndpoint={"serviceName": "backend", "ipv4": "192.168.99.1", "port": 3306},
             remoteEndpoint={"serviceName": "frontend", "ipv4": "172.19.0.2", "port": 58648}, annotations=[{"timestamp": JAEGER_START + 5, "value": "ws"}],
             tags={"http.method": "GET", "http.path": "/api"}),
        dict(base, id="0000000000000002", parentId="0000000000000001", kind="CLIENT", name="call", localEndpoint={"serviceName": "backend"}, tags={"error": "true"}),
        dict(base, id="0000000000000003", parentId="0000000000000001", name="local", localEndpoint={"serviceName": "backend"},
             tags={"span.kind": "internal", "w3c.tracestate": "k=v"}),
        dict(base, id="0000000000000004", parentId="0000000000000003", kind="PRODUCER", localEndpoint={"serviceName": "queue", "ipv6": "::1"},
             tags={"otel.status_code": "STATUS_CODE_OK", "otel.library.name": "lib", "otel.library.version": "1"}),
        dict(base, id="0000000000000005", kind="CONSUMER", localEndpoint={"serviceName": "queue"}, tags={"otlp.link.0": f"{other}|000000000000000a|s=t|{{\"n\":1,\"s\":\"x\"}}|2"},
             annotations=[{"timestamp": JAEGER_START + 7, "value": 'e|{"d":1.5,"b":true}|3'}]),
    ]


def comparable(rows):
    """Attributes in any order: the Collector takes them through a map."""
    def text(attribute):
        return json.dumps(attribute, sort_keys=True)

    def order(message):
        return {name: sorted(map(text, value)) if name == "attributes" else [order(one) if isinstance(one, dict) else one for one in value]
                if isinstance(value, list) else order(value) if isinstance(value, dict) else value for name, value in message.items()}
    return {row["span"]["spanId"]: order(row) for row in rows}


def row_zipkin():
    through, straight = new_trace_id(), new_trace_id()
    for trace_id, port in ((through, zipkin_receiver), (straight, zipkin_door)):
        status = Server.ask(port, "/api/v2/spans", "POST", json.dumps(zipkin_spans(trace_id)), {"Content-Type": "application/json"})[0]
        count.case("zipkin: taken", "" if status == 202 else f"status {status}")
    other = re.compile(r"[0-9a-f]{32}")
    wait("all of them came through", lambda: len(find(through)) == 5, SETTLE_SECONDS)
    theirs, ours = comparable(find(through)), comparable(find(straight))
    for span_id in sorted(set(theirs) | set(ours)):
        left, right = (other.sub("ID", json.dumps(rows.get(span_id), sort_keys=True)) for rows in (theirs, ours))
        count.case(f"zipkin: span {int(span_id, 16)} is what the Collector makes of it", "" if left == right else f"\n  Collector {left}\n  Spanmill  {right}")


# ---- all ------------------------------------------------------------------------------------------------------------
require_programs(SPANMILL, COLLECTOR, TELEMETRYGEN)
directory = scratch_directory("collector")
zipkin_door = free_port()
servers = [Server(os.path.join(directory, f"data{number}"), *(["--zipkin", f"127.0.0.1:{zipkin_door}"] if number == 0 else []),
                  log=os.path.join(directory, f"server{number}.log")) for number in range(3)]
for server in servers:
    server.start()
collector = Collector(COLLECTOR, directory, ["memory_limiter", "batch"], *ZIPKIN_NAMES)
zipkin_receiver, jaeger_http, jaeger_grpc = free_port(), free_port(), free_port()
collector.receivers["zipkin"] = {"endpoint": f"127.0.0.1:{zipkin_receiver}"}
collector.receivers["jaeger"] = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{jaeger_grpc}"}, "thrift_http": {"endpoint": f"127.0.0.1:{jaeger_http}"}}}

def balancer(compression, one_queue):
    queue = {"sending_queue": {"enabled": one_queue}, "retry_on_failure": RETRY if one_queue else {"enabled": False}}
    otlp_exporter = {"timeout": "5s", "tls": {"insecure": True}, "compression": compression,
                     "sending_queue": {"enabled": not one_queue}, "retry_on_failure": {"enabled": False} if one_queue else RETRY}
    return {"routing_key": "traceID", "resolver": {"static": {"hostnames": [f"127.0.0.1:{server.grpc}" for server in servers]}},
            "protocol": {"otlp": otlp_exporter}, **queue}


for compression in GRPC:
    collector.pipeline(compression, "load_balancing", balancer(compression, False), *(["jaeger", "zipkin"] if compression == "gzip" else []))
collector.pipeline("kill", "load_balancing", balancer("gzip", True))
for encoding, compression in HTTP:
    collector.pipeline(f"{encoding}-{compression}", "otlp_http", {
        "endpoint": f"http://127.0.0.1:{servers[0].otlp}", "encoding": encoding, "compression": compression, "retry_on_failure": RETRY})
try:
    collector.start()
    for row in ROWS:
        globals()[f"row_{row}"]()
    collector.stop()
    for server in servers:
        server.stop()
finally:
    collector.stop()
if count.failed:
    print("".join(line for line in collector.log().splitlines(True) if "\terror\t" in line or "\twarn\t" in line)[:2000])
count.finish()
