"""What the gRPC library of the SDKs makes of the server's answers: refusals, overload, stop and restart.

Everything goes through grpcio, which the Python SDK exports with, and is judged by what the caller of a stub sees.
"""
import concurrent.futures
import os
import sys
import threading

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from harness import SPANMILL, Count, Server, any_string, key_value, new_span_id, new_trace_id, request, require_programs, scratch_directory, span, spans_in

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CHECK = "/grpc.health.v1.Health/Check"
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
count = Count()
directory = scratch_directory("grpc")


class Answer:
    """What a call came to; code OK or the error's."""

    def __init__(self, channel, body, path=EXPORT, timeout=10, **options):
        try:
            self.response, call = channel.unary_unary(path).with_call(body, timeout=timeout, **options)
            self.code, self.text = call.code(), ""
        except grpc.RpcError as error:
            call, self.response, self.code, self.text = error, b"", error.code(), error.details()
        self.trailers = {key: value for key, value in call.trailing_metadata() or ()}

    def expect(self, row, name, code, words=""):
        count.case(f"{row} {name}", "" if self.code == code and words in (self.text or "") else f"{self.code}: {self.text}")
        return self


def channel_to(server):
    return grpc.insecure_channel(f"127.0.0.1:{server.grpc}")


def one_span(trace_id=None, size=0):
    attributes = [key_value("payload", any_string("x" * 60000)) for _ in range(size // 60000)]
    return request(span(trace_id or new_trace_id(), new_span_id(), attributes=attributes))


def retry_problem(answer):
    """The two ways of telling when to try again: for Go and the Collector, and for Python."""
    status = status_pb2.Status.FromString(answer.trailers.get("grpc-status-details-bin", b""))
    info, bare = error_details_pb2.RetryInfo(), error_details_pb2.RetryInfo.FromString(answer.trailers.get("google.rpc.retryinfo-bin", b""))
    if status.code != answer.code.value[0]:
        return f"code {status.code} in details, {answer.code} in the call"
    if len(status.details) != 1 or not status.details[0].Unpack(info):
        return f"no RetryInfo in {status}"
    if not 1 <= info.retry_delay.seconds <= 10 or info != bare:
        return f"retry delays {info}, {bare}"
    return ""


def check_refusals():
    server = Server(os.path.join(directory, "refusals"), log=os.path.join(directory, "refusals.log"))
    server.start()
    channel, code = channel_to(server), grpc.StatusCode
    Answer(channel, b"").expect("G5", "an empty request", code.OK)
    bad = Answer(channel, one_span()[:-1]).expect("B7", "a request that is cut", code.INVALID_ARGUMENT, "at byte")
    count.case("B7 it is not to be sent again", "RetryInfo" if bad.trailers else "")
    large = Answer(channel, bytes(17 << 20)).expect("G5", "a message of 17 MiB", code.RESOURCE_EXHAUSTED, "larger than the limit")
    count.case("G5 it is not to be sent again", "RetryInfo" if "grpc-status-details-bin" in large.trailers else "")
    Answer(channel, request(*[b"" for _ in range(100001)])).expect("B4", "100,001 spans", code.RESOURCE_EXHAUSTED)
    Answer(channel, b"", "/opentelemetry.proto.collector.logs.v1.LogsService/Export").expect("G3", "logs", code.UNIMPLEMENTED)
    Answer(channel, b"", CHECK).expect("G3", "health", code.OK)
    Answer(channel, b"", "/grpc.health.v1.Health/Watch").expect("G3", "watching health", code.UNIMPLEMENTED)
    Answer(channel, one_span(), metadata=[(f"key-{i}", "value") for i in range(70)]).expect("G8", "70 metadata keys", code.RESOURCE_EXHAUSTED, "64 fields")
    partial = Answer(channel, request(span(b"\0" * 16, new_span_id()), span(new_trace_id(), new_span_id())))
    success = ExportTraceServiceResponse.FromString(partial.response).partial_success
    count.case("B3 one of two spans", "" if partial.code == code.OK and success.rejected_spans == 1 and "trace_id" in success.error_message else f"{partial.code} {success}")
    trace_id = new_trace_id()
    stored = Answer(channel, one_span(trace_id)).expect("G4", "a good one after all this", code.OK)
    count.case("G4 its position is told", "" if "-" in stored.trailers.get("spanmill-position", "") else f"{stored.trailers}")
    count.case("G4 it is found", "" if server.trace(trace_id)[0] == 200 else "not found")
    server.stop()


def check_overload():
    server = Server(os.path.join(directory, "overload"), "--memory-inflight", "4MiB", log=os.path.join(directory, "overload.log"))
    server.start()
    channel = channel_to(server)
    traces = [new_trace_id() for _ in range(100)]
    with concurrent.futures.ThreadPoolExecutor(len(traces)) as pool:
        answers = list(pool.map(lambda trace_id: Answer(channel, one_span(trace_id, 1_000_000), timeout=60), traces))
    refused = [answer for answer in answers if answer.code != grpc.StatusCode.OK]
    print(f"overload: {len(answers) - len(refused)} stored, {len(refused)} refused", flush=True)
    count.case("P15 an overload refuses some, and not all", "" if 0 < len(refused) < len(answers) else f"{len(refused)} refused")
    for answer in refused:
        count.case("P15 refused so that it comes again", f"{answer.code} {answer.text}" if answer.code != grpc.StatusCode.UNAVAILABLE else retry_problem(answer))
    for trace_id, answer in zip(traces, answers):
        status = server.trace(trace_id)[0]
        count.case("P15 stored is found, refused is not", "" if status == (404 if answer in refused else 200) else f"{answer.code}, found {status}")
    trace_id = new_trace_id()
    Answer(channel, one_span(trace_id, 1_000_000)).expect("O6", "after the overload", grpc.StatusCode.OK)
    server.stop()


class Exporters:
    """Threads that export over one channel until told to stop."""

    def __init__(self, server, threads=8):
        self.channel, self.stopping = channel_to(server), threading.Event()
        self.stored, self.failed = [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopping.is_set():
            trace_id = new_trace_id()
            answer = Answer(self.channel, one_span(trace_id), timeout=5)
            (self.stored if answer.code == grpc.StatusCode.OK else self.failed).append((trace_id, answer))
            if answer.code != grpc.StatusCode.OK:
                self.stopping.wait(0.05)

    def wait_for(self, more):
        """Until so many more are stored; False after 30 s."""
        target, patience = len(self.stored) + more, threading.Event()
        for _ in range(3000):
            if len(self.stored) >= target:
                return True
            patience.wait(0.01)
        return False

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def check_restart(row, name, end):
    """Under load the server ends, is started again on its ports, and the same channel goes on."""
    server = Server(os.path.join(directory, name), log=os.path.join(directory, f"{name}.log"))
    server.start()
    exporters = Exporters(server)
    count.case(f"{row} {name}: calls before", "" if exporters.wait_for(300) else "no answers")
    end(server)
    server.start()
    count.case(f"{row} {name}: the channel goes on after the restart", "" if exporters.wait_for(300) else "no answers")
    exporters.end()
    print(f"{name}: {len(exporters.stored)} stored, {len(exporters.failed)} failed", flush=True)
    for _, answer in exporters.failed:
        count.case(f"{row} {name}: a failure is one to try again", "" if answer.code in RETRYABLE else f"{answer.code} {answer.text}")
    lost = [trace_id for trace_id, _ in exporters.stored if len(spans_in(server.trace(trace_id)[2])) != 1]
    count.case(f"{row} {name}: nothing acknowledged is lost", f"{len(lost)} of {len(exporters.stored)}" if lost else "")
    server.stop()


require_programs(SPANMILL)
check_refusals()
check_overload()
check_restart("U1", "stop under load", lambda server: server.stop())
check_restart("K2", "kill under load", lambda server: server.kill())
count.finish()
