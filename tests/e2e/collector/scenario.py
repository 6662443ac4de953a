"""A Collector between clients and three Spanmill instances. See README.md; run by tests/e2e/collector/run.

    scenario.py BUILD_FOLDER [ROW...]

Rows: balanced   telemetrygen -> batch -> load balancing by trace id -> three instances, with each compression of gRPC; queues and
                 retries as the exporter has them by itself, one for each instance
      kill       the same, with gzip, while one instance is killed with -9 and started again, and an SDK's traces, field by field;
                 with one queue before the balancer, because only of that the Collector tells what it sent and gave up
      http       telemetrygen -> OTLP/HTTP exporter, protobuf and JSON, with each compression
      jaeger     hand-made spans of Jaeger, thrift and gRPC, through the Collector
      zipkin     hand-made spans of Zipkin through the Collector and straight to Spanmill's own door: the same comes of them
"""
import collections
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import otlp
from harness import SPANMILL, Count, Server, fields, first, free_port, new_span_id, new_trace_id, require_programs, scratch_directory, spans_in

BUILD, ROWS = sys.argv[1], sys.argv[2:] or ["balanced", "kill", "http", "jaeger", "zipkin"]
COLLECTOR, TELEMETRYGEN = os.path.join(BUILD, "collector/otelcol"), os.path.join(BUILD, "collector/telemetrygen")
GRPC = ("gzip", "zstd", "none", "snappy")
HTTP = [("proto", compression) for compression in ("gzip", "zstd", "none", "snappy", "deflate", "zlib", "x-snappy-framed")] + \
       [("json", compression) for compression in ("gzip", "zstd", "none")]
CHILDREN = 4           # spans of a trace beside its root
# Newer Collectors name what comes from Zipkin's endpoints by conventions that are not stable yet; we keep to the stable names.
ZIPKIN_NAMES = ["--feature-gates=-pkg.translator.zipkin.EmitV1NetworkConventions,-pkg.translator.zipkin.DontEmitV0NetworkConventions"]
SETTLE_SECONDS = 60    # for what the Collector holds to be sent; on a free machine it takes one
count = Count()


class Collector:
    """Pipelines by name, each with a receiver for OTLP of its own; in front of the ones for Jaeger and Zipkin."""

    def __init__(self, directory, servers):
        self.directory, self.servers = directory, servers
        self.ports, self.receivers, self.exporters, self.pipelines = {}, {}, {}, {}
        self.metrics_port = free_port()
        self.process = None

    def pipeline(self, name, exporter, config, *receivers):
        self.ports[name] = free_port(), free_port()
        self.receivers[f"otlp/{name}"] = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.ports[name][0]}"},
                                                        "http": {"endpoint": f"127.0.0.1:{self.ports[name][1]}"}}}
        self.exporters[f"{exporter}/{name}"] = config
        self.pipelines[f"traces/{name}"] = {"receivers": [f"otlp/{name}", *receivers], "processors": ["memory_limiter", "batch"],
                                            "exporters": [f"{exporter}/{name}"]}

    def start(self):
        config = {
            "receivers": self.receivers, "exporters": self.exporters,
            "processors": {"batch": {"timeout": "200ms"}, "memory_limiter": {"check_interval": "1s", "limit_mib": 512}},
            "service": {"pipelines": self.pipelines,
                        "telemetry": {"metrics": {"level": "detailed", "readers": [{"pull": {"exporter": {"prometheus": {
                            "host": "127.0.0.1", "port": self.metrics_port}}}}]}}}}
        path = os.path.join(self.directory, "collector.yaml")  # JSON is YAML
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=1)
        with open(os.path.join(self.directory, "collector.log"), "wb") as log:
            self.process = subprocess.Popen([COLLECTOR, "--config", f"file:{path}", *ZIPKIN_NAMES], stdout=log, stderr=log, env={**os.environ, "GOMEMLIMIT": "512MiB"})
        wait("the Collector answers", self.metrics, 60)
        wait("all receivers listen", lambda: self.metrics() and all(map(self.listens, self.listeners())), 60)

    def listeners(self):
        for receiver in self.receivers.values():
            for listener in receiver.get("protocols", {"": receiver}).values():
                yield int(listener["endpoint"].rpartition(":")[2])

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def log(self):
        with open(os.path.join(self.directory, "collector.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def metrics(self):
        """[(name, labels as text, value)]"""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            if self.process.poll() is not None:
                raise RuntimeError(f"the Collector ended with {self.process.returncode}:\n{self.log()[-3000:]}") from None
            return None
        return [(match[1], match[2] or "", float(match[3])) for match in re.finditer(r"^(\w+)(\{.*\})? (\S+)$", text, re.M)]

    def sum(self, name, label):
        """Of all series of that name (exporters of Prometheus add _total or a unit) with that text among their labels."""
        return int(sum(value for metric, labels, value in self.metrics() if re.fullmatch(rf"otelcol_{name}(__\w+)?(_total)?", metric) and label in labels))

    def counts(self, name):
        """What the Collector says of a pipeline: accepted from clients; sent; given up."""
        of_receiver, of_exporter = f'receiver="otlp/{name}"', f'/{name}'
        return {"accepted": self.sum("receiver_accepted_spans", of_receiver), "refused": self.sum("receiver_refused_spans", of_receiver),
                "sent": self.sum("exporter_sent_spans", of_exporter), "failed": self.sum("exporter_send_failed_spans", of_exporter),
                "not queued": self.sum("exporter_enqueue_failed_spans", of_exporter), "queued": self.sum("exporter_queue_size", of_exporter)}

    def dropped(self):
        """Spans that any queue has given up, as the log tells it."""
        return sum(int(number) for number in re.findall(r'"dropped_items": (\d+)', self.log()))

    def settled(self, name):
        """The counts, once everything that was accepted is sent or given up."""
        def done():
            counts = self.counts(name)
            return counts if counts["queued"] == 0 and counts["sent"] + counts["failed"] + counts["not queued"] >= counts["accepted"] else None
        try:
            return wait(f"pipeline {name} is empty", done, SETTLE_SECONDS)
        except RuntimeError:
            return self.counts(name)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def wait(what, condition, seconds):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def generate(port, service, traces, rate=0, workers=2):
    """telemetrygen at work: workers x traces, 1 + CHILDREN spans each; rate: spans a second and worker, 0: as fast as it goes."""
    return subprocess.Popen([TELEMETRYGEN, "traces", "--otlp-insecure", "--otlp-endpoint", f"127.0.0.1:{port}", "--service", service, "--workers", str(workers),
                             "--traces", str(traces), "--child-spans", str(CHILDREN), "--rate", str(rate)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(generator):
    errors = generator.communicate(timeout=120)[1]
    return "" if generator.returncode == 0 else f"telemetrygen ended with {generator.returncode}: {errors[-300:]!r}"


def traces_of(server, service):
    """Trace id in hex -> (different spans, spans as stored)."""
    found, cursor = {}, ""
    while True:
        page = server.search(f"service={service}&limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        for summary in page["traces"]:
            status, _, body = server.trace(bytes.fromhex(summary["traceId"]))
            if status != 200:
                raise RuntimeError(f"trace {summary['traceId']}: status {status}")
            ids = [first(span, 2) for span in spans_in(body)]
            found[summary["traceId"]] = len(set(ids)), len(ids)
        cursor = page.get("cursor")
        if not cursor:
            return found


def judge(name, servers, counts, traces, per_trace):
    """Every span is held, each trace whole on one instance; returns how many spans each holds. counts["sent"]: acknowledged."""
    stores = [traces_of(server, name) for server in servers]
    spans = [sum(different for different, _ in store.values()) for store in stores]
    on = collections.Counter(trace for store in stores for trace in store)
    given_up = counts["failed"] + counts["not queued"]
    print(f"{name:<22} accepted {counts['accepted']:6d}  sent {counts['sent']:6d}  given up {given_up:4d}  held {' + '.join(map(str, spans))}", flush=True)
    count.case(f"{name}: the Collector took every span of the clients", "" if counts["accepted"] == traces * per_trace else f"{counts}")
    count.case(f"{name}: no span that Spanmill acknowledged is lost", "" if sum(spans) >= counts["sent"] > 0 else f"{spans}, sent {counts['sent']}")
    count.case(f"{name}: the Collector gave none up", "" if given_up == 0 else f"{counts}")
    count.case(f"{name}: every trace is there", "" if len(on) == traces else f"{len(on)} of {traces}")
    count.case(f"{name}: each trace is on one instance", "" if all(places == 1 for places in on.values()) else f"{on.most_common(3)}")
    torn = [trace for store in stores for trace, (different, _) in store.items() if different != per_trace]
    count.case(f"{name}: each trace is whole", "" if not torn else f"{len(torn)} are not, the first is {torn[0]}")
    twice = sum(stored - different for store in stores for different, stored in store.values())
    count.case(f"{name}: no span is shown twice", "" if twice == 0 else f"{twice} are")
    return spans


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
        spans = judge(name, servers, counts, 400, 1 + CHILDREN)
        total = sum(spans)
        count.case(f"{name}: all instances have their share", "" if min(spans) > total / 3 / 3 else f"{spans}")


def row_kill():
    """The victim is killed twice, at a third and at two thirds of the load."""
    generator = generate(collector.ports["kill"][0], "kill", 400, rate=500)  # 4 s
    client = subprocess.Popen([sys.executable, os.path.join(HERE, "../sdk/python/client.py"), "grpc", f"http://127.0.0.1:{collector.ports['kill'][0]}", "gzip",
                               os.path.join(directory, "capture")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    victim, kills = servers[1], 0
    for _ in range(2):
        stored = victim.metrics_spans()
        wait("the victim stores spans", lambda: victim.metrics_spans() > stored, 30)
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
    judge("kill", servers, counts, 800, 1 + CHILDREN)
    for trace_id, spans in sent.items():
        answers = [server.trace(trace_id) for server in servers]
        bodies = [body for status, _, body in answers if status == 200]
        problem = f"on {len(bodies)} instances" if len(bodies) != 1 else rows_differ(spans, otlp.flat(otlp.from_protobuf("TracesData", bodies[0])))
        count.case(f"kill: SDK trace {trace_id.hex()}", problem)


def sdk_spans(path):
    """Trace id -> rows as they were sent, of the spans that a Collector hands on as they are."""
    with open(path, "rb") as file:
        data = file.read()
    at, traces = 0, {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        for row in otlp.flat(otlp.from_protobuf("TracesData", data[at + 4:at + 4 + length])):
            traces.setdefault(bytes.fromhex(row["span"]["traceId"]), []).append(row)
        at += 4 + length
    return traces


def rows_differ(sent, got):
    """By their text, in any order; the Collector knows no entity references of older protocols, all else must be the same."""
    def texts(rows):
        return sorted(json.dumps(row, sort_keys=True) for row in rows)
    left, right = texts(sent), texts(got)
    if left == right:
        return ""
    if len(left) != len(right):
        return f"{len(left)} spans were sent, {len(right)} are there"
    one, other = next((a, b) for a, b in zip(left, right) if a != b)
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), 0)
    return f"sent ...{one[max(0, at - 60):at + 60]}... got ...{other[max(0, at - 60):at + 60]}..."


def row_http():
    running = [(f"{encoding}-{compression}", generate(collector.ports[f"{encoding}-{compression}"][0], f"{encoding}-{compression}", 20)) for encoding, compression in HTTP]
    for name, generator in running:
        count.case(f"{name}: telemetrygen", finish(generator))
        judge(name, servers[:1], collector.settled(name), 40, 1 + CHILDREN)


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
def spans_stored(server):
    return sum(value for name, value in server.metrics().items() if name.startswith("spanmill_spans_stored_total"))


Server.metrics_spans = spans_stored
require_programs(SPANMILL, COLLECTOR, TELEMETRYGEN)
directory = scratch_directory("collector")
zipkin_door = free_port()
servers = [Server(os.path.join(directory, f"data{number}"), *(["--zipkin", f"127.0.0.1:{zipkin_door}"] if number == 0 else []),
                  log=os.path.join(directory, f"server{number}.log")) for number in range(3)]
for server in servers:
    server.start()
collector = Collector(directory, servers)
zipkin_receiver, jaeger_http, jaeger_grpc = free_port(), free_port(), free_port()
collector.receivers["zipkin"] = {"endpoint": f"127.0.0.1:{zipkin_receiver}"}
collector.receivers["jaeger"] = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{jaeger_grpc}"}, "thrift_http": {"endpoint": f"127.0.0.1:{jaeger_http}"}}}
RETRY = {"enabled": True, "initial_interval": "200ms", "max_interval": "1s", "max_elapsed_time": "5m"}


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
