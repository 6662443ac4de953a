"""A Collector as a process with pipelines of its own, what it says of itself, and how what arrived is judged.

    collector = Collector(program, directory, ["batch"])   processors of all pipelines
    collector.pipeline(name, exporter, config)             before start()
    collector.start()
    collector.counts(name)                                 accepted, sent, given up, by its own metrics
    judge(count, name, servers, counts, traces, per_trace)
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

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import otlp
from harness import first, free_port, spans_in

PROCESSORS = {"batch": {"timeout": "200ms"}, "memory_limiter": {"check_interval": "1s", "limit_mib": 512}}
RETRY = {"enabled": True, "initial_interval": "200ms", "max_interval": "1s", "max_elapsed_time": "5m"}  # of exporters
SETTLE_SECONDS = 60    # for what the Collector holds to be sent; on a free machine it takes one


class Collector:
    """Pipelines by name, each with a receiver for OTLP of its own; others may be put in front of them."""

    def __init__(self, program, directory, processors, *options):
        self.command, self.directory, self.processors = [program, *options], directory, processors
        self.ports, self.receivers, self.exporters, self.pipelines = {}, {}, {}, {}
        self.metrics_port = free_port()
        self.process = None

    def pipeline(self, name, exporter, config, *receivers):
        self.ports[name] = free_port(), free_port()
        self.receivers[f"otlp/{name}"] = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.ports[name][0]}"},
                                                        "http": {"endpoint": f"127.0.0.1:{self.ports[name][1]}"}}}
        self.exporters[f"{exporter}/{name}"] = config
        self.pipelines[f"traces/{name}"] = {"receivers": [f"otlp/{name}", *receivers], "processors": self.processors,
                                            "exporters": [f"{exporter}/{name}"]}

    def start(self):
        config = {
            "receivers": self.receivers, "exporters": self.exporters,
            "processors": {name: PROCESSORS[name] for name in self.processors},
            "service": {"pipelines": self.pipelines,
                        "telemetry": {"metrics": {"level": "detailed", "readers": [{"pull": {"exporter": {"prometheus": {
                            "host": "127.0.0.1", "port": self.metrics_port}}}}]}}}}
        path = os.path.join(self.directory, "collector.yaml")  # JSON is YAML
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=1)
        with open(os.path.join(self.directory, "collector.log"), "wb") as log:
            self.process = subprocess.Popen([*self.command, "--config", f"file:{path}"], stdout=log, stderr=log, env={**os.environ, "GOMEMLIMIT": "512MiB"})
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


def spans_stored(server):
    return sum(value for name, value in server.metrics().items() if name.startswith("spanmill_spans_stored_total"))


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


def judge(count, name, servers, counts, traces, per_trace):
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
