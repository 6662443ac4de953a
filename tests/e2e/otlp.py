"""OTLP trace data as plain Python values, read from protobuf or from OTLP JSON, for comparing field by field.

    same(sent_protobuf, got_protobuf)           -> None or the first difference as text
    same(sent_protobuf, got_json, json=True)

Both forms become the same dictionaries: JSON field names, absent and default values left out (a receiver cannot tell
them apart), ids and bytes as hex, doubles as their bits. Attributes, events and links keep their order; duplicates are
kept. Spans are compared as (resource, its schema URL, scope, its schema URL, span), so a store may group them anew but
may not lose, double or change anything. JSON cannot carry which NaN it was; there all are one.

Only what is needed to judge: the tables below are the published field numbers. Nothing here is shared with the
program under test.
"""
import base64
import json as json_module
import struct

from harness import f_bytes, f_double, f_fixed32, f_fixed64, f_varint, fields

# message -> field number -> (name, kind); kind: a scalar, a message name, or either in a list
SCHEMA = {
    "TracesData": {1: ("resourceSpans", ["ResourceSpans"])},
    "ResourceSpans": {1: ("resource", "Resource"), 2: ("scopeSpans", ["ScopeSpans"]), 3: ("schemaUrl", "string")},
    "ScopeSpans": {1: ("scope", "Scope"), 2: ("spans", ["Span"]), 3: ("schemaUrl", "string")},
    "Resource": {1: ("attributes", ["KeyValue"]), 2: ("droppedAttributesCount", "uint32"), 3: ("entityRefs", ["EntityRef"])},
    "EntityRef": {1: ("schemaUrl", "string"), 2: ("type", "string"), 3: ("idKeys", ["string"]), 4: ("descriptionKeys", ["string"])},
    "Scope": {1: ("name", "string"), 2: ("version", "string"), 3: ("attributes", ["KeyValue"]), 4: ("droppedAttributesCount", "uint32")},
    "Span": {
        1: ("traceId", "id"), 2: ("spanId", "id"), 3: ("traceState", "string"), 4: ("parentSpanId", "id"), 5: ("name", "string"),
        6: ("kind", "enum"), 7: ("startTimeUnixNano", "fixed64"), 8: ("endTimeUnixNano", "fixed64"),
        9: ("attributes", ["KeyValue"]), 10: ("droppedAttributesCount", "uint32"),
        11: ("events", ["Event"]), 12: ("droppedEventsCount", "uint32"),
        13: ("links", ["Link"]), 14: ("droppedLinksCount", "uint32"), 15: ("status", "Status"), 16: ("flags", "fixed32")},
    "Event": {1: ("timeUnixNano", "fixed64"), 2: ("name", "string"), 3: ("attributes", ["KeyValue"]), 4: ("droppedAttributesCount", "uint32")},
    "Link": {1: ("traceId", "id"), 2: ("spanId", "id"), 3: ("traceState", "string"), 4: ("attributes", ["KeyValue"]),
             5: ("droppedAttributesCount", "uint32"), 6: ("flags", "fixed32")},
    "Status": {2: ("message", "string"), 3: ("code", "enum")},
    "KeyValue": {1: ("key", "string"), 2: ("value", "AnyValue")},
    "ArrayValue": {1: ("values", ["AnyValue"])},
    "KeyValueList": {1: ("values", ["KeyValue"])},
    "AnyValue": {1: ("stringValue", "string"), 2: ("boolValue", "bool"), 3: ("intValue", "int64"), 4: ("doubleValue", "double"),
                 5: ("arrayValue", "ArrayValue"), 6: ("kvlistValue", "KeyValueList"), 7: ("bytesValue", "bytes")},
}
ENUMS = {"kind": {"SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3,
                  "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5},
         "code": {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}}


def signed(value, bits):
    value &= (1 << 64) - 1
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def double_text(bits, one_nan):
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    if value != value:
        return "NaN" if one_nan else f"NaN/{bits:016x}"
    return value.hex()  # exact, and tells -0 from 0


# ---- from protobuf --------------------------------------------------------------------------------------------------
def scalar(kind, value, one_nan):
    if kind == "string":
        return value.decode("utf-8", "surrogateescape")
    if kind in ("id", "bytes"):
        return bytes(value).hex()
    if kind == "bool":
        return bool(value)
    if kind == "int64":
        return signed(value, 64)
    if kind == "enum":
        return signed(value, 32)
    if kind == "uint32":
        return value & 0xFFFFFFFF
    if kind == "double":
        return double_text(value, one_nan)
    return value


def keep(out, name, kind, value, oneof):
    """A scalar that equals its default is left out, except inside a oneof, where presence means something."""
    if oneof or value not in (0, "", False) or isinstance(value, str) and value:
        out[name] = value
    else:
        out.pop(name, None)


def from_protobuf(message, data, one_nan=False):
    out = {}
    parts = {}  # of single messages: one that comes in pieces is the sum of its pieces
    for number, _, value in fields(data):
        if number not in SCHEMA[message]:
            continue
        name, kind = SCHEMA[message][number]
        if isinstance(kind, list):
            one = from_protobuf(kind[0], value, one_nan) if kind[0] in SCHEMA else scalar(kind[0], value, one_nan)
            out.setdefault(name, []).append(one)
        elif kind in SCHEMA:
            if message == "AnyValue" and name not in out:
                out.clear()
                parts.clear()
            parts[name] = parts.get(name, b"") + value
            out[name] = from_protobuf(kind, parts[name], one_nan)
        else:
            if message == "AnyValue":
                out.clear()
                parts.clear()
            keep(out, name, kind, scalar(kind, value, one_nan), message == "AnyValue")
    return out


# ---- from OTLP JSON ---------------------------------------------------------------------------------------------------
def json_scalar(name, kind, value):
    if kind in ("string", "bool"):
        return value
    if kind == "id":
        return value.lower()
    if kind == "bytes":
        return base64.b64decode(value, validate=True).hex()
    if kind == "enum":
        return ENUMS[name][value] if isinstance(value, str) else int(value)
    if kind == "double":
        number = float({"Infinity": "inf", "-Infinity": "-inf"}.get(value, value)) if isinstance(value, str) else float(value)
        return double_text(struct.unpack("<Q", struct.pack("<d", number))[0], True)
    return int(value)


def from_json(message, value):
    out = {}
    known = {name: kind for name, kind in SCHEMA[message].values()}
    for name, inner in value.items():
        if message == "TracesData" and name == "coverage":
            continue  # what the answer is based on, beside the data
        if name not in known:
            raise ValueError(f"{message} has no field {name}")
        kind = known[name]
        if isinstance(kind, list):
            if inner:
                out[name] = [from_json(kind[0], one) if kind[0] in SCHEMA else one for one in inner]
        elif kind in SCHEMA:
            out[name] = from_json(kind, inner)
        else:
            keep(out, name, kind, json_scalar(name, kind, inner), message == "AnyValue")
    return out


# ---- from OTLP JSON to protobuf: what a request in JSON says ------------------------------------------------------------
def whole(value, low, high):
    """An integer as JSON has it: a number or text of one; out of range is the nearest."""
    return min(max(int(value) if not isinstance(value, str) else int(value, 10), low), high)


def json_field(number, kind, name, value):
    if kind in SCHEMA:
        return f_bytes(number, json_to_protobuf(kind, value))
    if kind == "string":
        return f_bytes(number, value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if kind == "id":
        return f_bytes(number, bytes.fromhex(value)) if value else b""
    if kind == "bytes":
        return f_bytes(number, base64.b64decode(value, validate=True))
    if kind == "double":
        return f_double(number, float({"Infinity": "inf", "-Infinity": "-inf"}.get(value, value)))
    if kind == "fixed64":
        return f_fixed64(number, whole(value, 0, (1 << 64) - 1))
    if kind in ("fixed32", "uint32"):
        return (f_fixed32 if kind == "fixed32" else f_varint)(number, whole(value, 0, (1 << 32) - 1))
    if kind == "enum":
        value = ENUMS[name].get(value, value)
    return f_varint(number, int(value) if kind == "bool" else whole(value, -(1 << 63), (1 << 63) - 1) & ((1 << 64) - 1))


class Members(list):
    """An object with members that are given twice: json.loads(text, object_pairs_hook=Members)"""

    def items(self):
        return self


def json_to_protobuf(message, value):
    known = {name: (number, kind) for number, (name, kind) in SCHEMA[message].items()}
    out = b""
    for name, inner in value.items():
        if name not in known or inner is None:
            continue
        number, kind = known[name]
        for one in inner if isinstance(kind, list) else [inner]:
            element = kind[0] if isinstance(kind, list) else kind
            out += json_field(number, element, name, {} if one is None and element in SCHEMA else one)
    return out


# ---- comparing --------------------------------------------------------------------------------------------------------
def without_empty(value):
    """Drops empty sub-messages that say nothing (status {}, resource {}), but never an empty AnyValue."""
    return {name: inner for name, inner in value.items() if not (name in ("status", "resource", "scope") and inner == {})}


def flat(traces_data):
    """[(resource, schema URL, scope, schema URL, span)], ordered so that equal data gives equal lists."""
    rows = []
    for resource_spans in traces_data.get("resourceSpans", []):
        for scope_spans in resource_spans.get("scopeSpans", []):
            for span in scope_spans.get("spans", []):
                rows.append({"resource": resource_spans.get("resource", {}), "resource schema": resource_spans.get("schemaUrl", ""),
                             "scope": scope_spans.get("scope", {}), "scope schema": scope_spans.get("schemaUrl", ""),
                             "span": without_empty(span)})
    return sorted(rows, key=lambda row: (row["span"].get("traceId", ""), row["span"].get("spanId", ""), repr(row)))


def difference(a, b, path=""):
    if type(a) is not type(b):
        return f"{path}: sent {a!r}, got {b!r}"
    if isinstance(a, dict):
        for name in sorted(set(a) | set(b)):
            if name not in b:
                return f"{path}.{name}: sent {a[name]!r}, got nothing"
            if name not in a:
                return f"{path}.{name}: sent nothing, got {b[name]!r}"
            found = difference(a[name], b[name], f"{path}.{name}")
            if found:
                return found
        return None
    if isinstance(a, list):
        for index, (left, right) in enumerate(zip(a, b)):
            found = difference(left, right, f"{path}[{index}]")
            if found:
                return found
        return None if len(a) == len(b) else f"{path}: sent {len(a)} elements, got {len(b)}"
    return None if a == b else f"{path}: sent {a!r}, got {b!r}"


def only_trace(rows, trace_id):
    return [row for row in rows if row["span"].get("traceId") == trace_id.hex()]


def same(sent, got, json=False, trace_id=None):
    """sent: one protobuf message or several; trace_id: only that trace of what was sent"""
    messages = [sent] if isinstance(sent, (bytes, bytearray)) else sent
    rows = [row for message in messages for row in flat(from_protobuf("TracesData", message, one_nan=json))]
    rows.sort(key=lambda row: (row["span"].get("traceId", ""), row["span"].get("spanId", ""), repr(row)))
    if trace_id is not None:
        rows = only_trace(rows, trace_id)
    try:
        answer = from_json("TracesData", json_module.loads(got)) if json else from_protobuf("TracesData", got)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the answer does not parse: {error}"
    return difference(rows, flat(answer), "spans")
