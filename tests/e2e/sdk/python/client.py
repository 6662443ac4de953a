"""Sends traces with the OpenTelemetry SDK for Python and keeps what went out.

    client.py PROTOCOL ENDPOINT COMPRESSION CAPTURE_FILE      protocol: http or grpc; compression: none, gzip or deflate

The exporter is the released one; only its last call before the network is wrapped, to append the protobuf bytes
to CAPTURE_FILE as [u32 big-endian length][ExportTraceServiceRequest]. What the SDK's own API cannot say (nested
attributes, dropped counts, entity references, odd enums) is built with the published messages and sent through the
same exporter client. Exit 0 when every export reported success.
"""
import math
import struct
import sys
import time

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

protocol, endpoint, compression, capture_file = sys.argv[1:]
capture = open(capture_file, "wb")
failures = []
ids = RandomIdGenerator()



def keep(data):
    capture.write(struct.pack(">I", len(data)) + data)


def over_http():
    """(exporter, function that sends one request as it is)"""
    exporter = HttpExporter(
        endpoint=endpoint, compression={"none": Compression.NoCompression, "gzip": Compression.Gzip, "deflate": Compression.Deflate}[compression])
    send = exporter._client.export

    def send_and_keep(data, *arguments, **options):
        keep(data)
        result = send(data, *arguments, **options)
        if not result.success:
            failures.append(f"{result.status_code} {result.error}")
        return result

    exporter._client.export = send_and_keep
    return exporter, lambda request: send_and_keep(request.SerializeToString())


class KeepingStub:
    """The stub of the trace service, as far as the exporter uses it."""

    def __init__(self, stub):
        self.stub = stub

    def Export(self, request, **options):
        keep(request.SerializeToString())
        try:
            return self.stub.Export(request, **options)
        except grpc.RpcError as error:
            failures.append(f"{error.code()} {error.details()}")
            raise


def over_grpc():
    exporter = GrpcExporter(
        endpoint=endpoint, compression={"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}[compression])
    exporter._client = KeepingStub(exporter._client)
    return exporter, lambda request: exporter._client.Export(request, timeout=10, metadata=exporter._headers)


exporter, send_request = {"http": over_http, "grpc": over_grpc}[protocol]()

ATTRIBUTES = {
    "string": "value", "empty": "", "unicode": "Grüße, 世界 🌍 \u0000 \u200f", "long": "x" * 4000, "markup": "</script><b>&amp;\"'\\",
    "true": True, "false": False, "zero": 0, "negative": -42, "int64.max": 2**63 - 1, "int64.min": -2**63,
    "double": 0.1, "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0": -0.0, "denormal": 5e-324, "max": sys.float_info.max,
    "strings": ["a", "", "ü"], "ints": [1, -1, 2**62], "doubles": [1.5, math.inf, -0.0], "bools": [True, False], "none": [],
}


def provider(processor, **limits):
    one = TracerProvider(resource=Resource.create({"service.name": "python-shop", "service.version": "1.2.3", "host.cpu": 8, "ratio": 0.5, "on": True,
                                                   "list": ["x", "y"], "unicode": "€"}), span_limits=SpanLimits(**limits))
    one.add_span_processor(processor)
    return one


def ordinary_traces(one):
    tracer = one.get_tracer("shop.checkout", "0.9", schema_url="https://opentelemetry.io/schemas/1.21.0", attributes={"scope.attr": "s", "n": 1})
    other = one.get_tracer("shop.db")
    remote = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=True, trace_flags=TraceFlags(1),
                         trace_state=TraceState([("vendor", "a=b"), ("other", "x")]))
    for number in range(10):
        parent = trace.set_span_in_context(NonRecordingSpan(remote)) if number % 3 == 0 else None
        links = [Link(remote, {"why": "batch", "n": number, "list": [1, 2]}), Link(SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False))]
        with tracer.start_as_current_span(f"POST /checkout/{number}", context=parent, kind=SpanKind.SERVER, links=links, attributes=ATTRIBUTES) as root:
            root.add_event("cart loaded", {"items": number, "unicode": "☂", "bools": [True]})
            root.add_event("at a given time", timestamp=time.time_ns() - 12345)
            for kind in (SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL):
                with other.start_as_current_span(f"call {kind.name}", kind=kind) as child:
                    child.set_attribute("depth", 2)
            try:
                with other.start_as_current_span("SELECT 1", kind=SpanKind.CLIENT):
                    raise ValueError("no such table: \"orders\"\nüber")
            except ValueError as error:
                root.record_exception(error, {"extra": 1})
                root.set_status(Status(StatusCode.ERROR, "checkout failed ✗"))
        with tracer.start_as_current_span("all is well") as root:
            root.set_status(StatusCode.OK)
    one.shutdown()


def traces_over_the_limits(one):
    tracer = one.get_tracer("limits")
    with tracer.start_as_current_span("drops", links=[Link(SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False), {"a": 1, "b": 2, "c": 3})
                                                       for _ in range(5)]) as span:
        for number in range(20):
            span.set_attribute(f"k{number}", "a value cut by the SDK")
            span.add_event(f"e{number}", {"a": 1, "b": 2, "c": 3})
    one.shutdown()


def hand_built():
    """Every field of every message, with what the API does not let through."""
    request = ExportTraceServiceRequest()
    now = time.time_ns()
    for number in range(3):
        resource_spans = request.resource_spans.add(schema_url=f"https://example.com/resource/{number}")
        resource_spans.resource.attributes.add(key="service.name").value.string_value = f"hand-{number}"
        resource_spans.resource.attributes.add(key="raw").value.bytes_value = bytes(range(256))
        resource_spans.resource.attributes.add(key="nothing").value.SetInParent()
        resource_spans.resource.dropped_attributes_count = number
        entity = resource_spans.resource.entity_refs.add(schema_url="https://example.com/entity", type="service")
        entity.id_keys.extend(["service.name", "raw"])
        entity.description_keys.extend(["nothing"])
        scope_spans = resource_spans.scope_spans.add(schema_url="https://example.com/scope")
        scope_spans.scope.name, scope_spans.scope.version, scope_spans.scope.dropped_attributes_count = "hand", "2", 7
        scope_spans.scope.attributes.add(key="deep").value.kvlist_value.values.add(key="k").value.array_value.values.add().double_value = -0.0
        resource_spans.scope_spans.add().spans.add(  # no scope at all
            trace_id=ids.generate_trace_id().to_bytes(16, "big"), span_id=ids.generate_span_id().to_bytes(8, "big"), name="bare")
        span = scope_spans.spans.add(
            trace_id=ids.generate_trace_id().to_bytes(16, "big"), span_id=ids.generate_span_id().to_bytes(8, "big"),
            parent_span_id=ids.generate_span_id().to_bytes(8, "big"), trace_state="a=1,b=2", name="every field", kind=number * 2 + 1,
            start_time_unix_nano=now, end_time_unix_nano=now - 1, dropped_attributes_count=1, dropped_events_count=2, dropped_links_count=2**32 - 1,
            flags=0xFFFFFF01)
        span.status.code, span.status.message = 2, "m"
        values = span.attributes.add(key="mixed").value.array_value.values
        values.add().string_value = ""
        values.add().bool_value = False
        values.add().int_value = -2**63
        values.add().double_value = math.nan
        values.add().bytes_value = b""
        values.add()
        values.add().array_value.values.add().kvlist_value.values.add(key="k").value.int_value = 1
        values.add().array_value.SetInParent()
        nest = span.attributes.add(key="map").value.kvlist_value.values
        nest.add(key="a").value.string_value = "1"
        nest.add(key="a").value.string_value = "2"
        nest.add(key="").value.kvlist_value.SetInParent()
        deep = span.attributes.add(key="twenty levels").value
        for _ in range(20):
            deep = deep.array_value.values.add()
        deep.int_value = 20
        for _ in range(2):  # duplicate keys, in order
            span.attributes.add(key="twice").value.int_value = len(span.attributes)
        event = span.events.add(time_unix_nano=0, name="", dropped_attributes_count=9)
        event.attributes.add(key="bytes").value.bytes_value = b"\x00\xff"
        span.events.add()
        link = span.links.add(trace_id=ids.generate_trace_id().to_bytes(16, "big"), span_id=ids.generate_span_id().to_bytes(8, "big"),
                              trace_state="c=3", dropped_attributes_count=4, flags=0x301)
        link.attributes.add(key="map").value.kvlist_value.values.add(key="x").value.bool_value = True
    send_request(request)


class Keep:
    """The exporter for processors that shut down theirs: ours is used several times."""

    def export(self, spans):
        result = exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            failures.append("the exporter reported a failure")
        return result

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


ordinary_traces(provider(BatchSpanProcessor(Keep())))
ordinary_traces(provider(SimpleSpanProcessor(Keep())))  # one request per span: traces arrive in pieces
traces_over_the_limits(provider(SimpleSpanProcessor(Keep()), max_span_attributes=5, max_events=3, max_links=2, max_event_attributes=1,
                                max_link_attributes=1, max_span_attribute_length=4))
hand_built()
exporter.shutdown()
capture.close()
if failures:
    sys.exit(f"python client: {len(failures)} failures, first: {failures[0]}")
