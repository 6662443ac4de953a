"""HTTP/2 for tests, from its RFCs: frames as bytes, HPACK both ways, and a client that does one request at a time.

    frame(HEADERS, END_HEADERS, 1, block(request_fields("/v1/traces")))     bytes, right or wrong as the test wants them
    with Peer(port) as peer: peer.send(...); peer.until(GOAWAY)             raw frames to a server, and those that come back
    Client(port).call(fields, body) -> Reply                                what a request came to

A Client reads answers that are smaller than the window of a stream; it sends bodies of any size, within the server's windows.
Python's standard library only. Nothing here is shared with the program under test.
"""
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NAMES = "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)


# ---- frames (RFC 9113 4.1) --------------------------------------------------------------------------------------------
def frame(kind, flags, stream, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs, flags=0, stream=0):
    return frame(SETTINGS, flags, stream, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def padded(payload, padding):
    return bytes([padding]) + payload + bytes(padding)


def priority(dependency, weight=15, exclusive=False):
    return struct.pack(">IB", dependency | exclusive << 31, weight)


# ---- HPACK (RFC 7541) -------------------------------------------------------------------------------------------------
# Appendix B: the code is canonical, so the lengths of the codes of 0..255 and of the end of string say it all.
_LENGTHS = [int(number) for number in """
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 6 10 10 12 13 6 8 11 10 10 8 11 8
6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6 6 6 5
7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22
23 22 23 23 24 22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 26 26 20 19 22 23
22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26
27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 30""".split()]
# Appendix A
_STATIC = [(name, value) for name, _, value in (line.partition(" ") for line in """:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate""".split("\n"))]


def _codes():
    codes, code, last = {}, 0, 0
    for symbol in sorted(range(257), key=lambda symbol: (_LENGTHS[symbol], symbol)):
        code <<= _LENGTHS[symbol] - last
        last = _LENGTHS[symbol]
        codes[symbol] = (code, last)
        code += 1
    return codes


_CODES = _codes()
_SYMBOLS = {(length, code): symbol for symbol, (code, length) in _CODES.items()}


def huffman(text):
    bits = length = 0
    for byte in text:
        code, size = _CODES[byte]
        bits, length = bits << size | code, length + size
    pad = -length % 8
    return ((bits << pad | (1 << pad) - 1).to_bytes((length + pad) // 8, "big"))


def unhuffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for at in range(7, -1, -1):
            code, length = code << 1 | byte >> at & 1, length + 1
            symbol = _SYMBOLS.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise ValueError("Huffman padding")
    return bytes(out)


def integer(value, prefix_bits, first=0):
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytearray([first | limit]), value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def text(value, huffman_coded=False):
    value = value.encode("latin-1") if isinstance(value, str) else value
    packed = huffman(value) if huffman_coded else value
    return integer(len(packed), 7, 0x80 if huffman_coded else 0) + packed


def literal(name, value, huffman_coded=False, indexed=False):
    """With a new name; indexed: it goes to the dynamic table (6.2.1), else not (6.2.2)."""
    return (b"\x40" if indexed else b"\x00") + text(name, huffman_coded) + text(value, huffman_coded)


def block(pairs, **options):
    return b"".join(literal(name, value, **options) for name, value in pairs)


class Decoder:
    """Of header blocks, with the dynamic table that the peer fills."""

    def __init__(self):
        self.table, self.size_max = [], 4096

    def entry(self, index):
        return _STATIC[index - 1] if index <= len(_STATIC) else self.table[index - len(_STATIC) - 1]

    def evict(self):
        while sum(len(name) + len(value) + 32 for name, value in self.table) > self.size_max:
            self.table.pop()

    def add(self, pair):
        self.table.insert(0, pair)
        self.evict()

    def decode(self, data):
        at, out = 0, []

        def number(bits):
            nonlocal at
            value = data[at] & (1 << bits) - 1
            at += 1
            shift = 0
            if value < (1 << bits) - 1:
                return value
            while True:
                byte = data[at]
                at += 1
                value += (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        def string():
            nonlocal at
            coded = data[at] & 128
            length = number(7)
            raw = data[at:at + length]
            at += length
            return (unhuffman(raw) if coded else raw).decode("latin-1")

        while at < len(data):
            byte = data[at]
            if byte & 0x80:
                out.append(self.entry(number(7)))
            elif byte & 0xE0 == 0x20:
                self.size_max = number(5)
                self.evict()
            else:
                indexed = byte & 0xC0 == 0x40
                index = number(6 if indexed else 4)
                name = self.entry(index)[0] if index else string()
                out.append((name, string()))
                if indexed:
                    self.add(out[-1])
        return out


# ---- a peer that says what it is told ---------------------------------------------------------------------------------
class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = []  # of HEADERS, decoded

    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]

    def __repr__(self):
        name = NAMES[self.kind] if self.kind < len(NAMES) else str(self.kind)
        code = f" {self.code()}" if self.kind in (RST_STREAM, GOAWAY) else ""
        return f"{name}({self.stream}, {self.flags:#x}{code})"


class Peer:
    """One connection. begin=False: not even the preface is sent."""

    def __init__(self, port, begin=True, own_settings=(), timeout=5.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout, self.pending, self.closed, self.decoder = timeout, b"", False, Decoder()
        if begin:
            self.send(PREFACE + settings(*own_settings))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        """False when the server has closed already."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def next(self, timeout=None):
        """The next frame; None: none came in time, or the server has closed (then .closed is set)."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if len(self.pending) >= 9:
                length = int.from_bytes(self.pending[:3], "big")
                if len(self.pending) >= 9 + length:
                    stream = struct.unpack(">I", self.pending[5:9])[0] & 0x7FFFFFFF
                    found = Frame(self.pending[3], self.pending[4], stream, self.pending[9:9 + length])
                    self.pending = self.pending[9 + length:]
                    if found.kind == HEADERS:
                        found.fields = self.decoder.decode(found.payload)
                    return found
            left = deadline - time.monotonic()
            if left <= 0 or self.closed:
                return None
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(1 << 18)
            except socket.timeout:
                return None
            except OSError:
                piece = b""
            if not piece:
                self.closed = True
            self.pending += piece

    def until(self, *kinds, stream=None, timeout=None, ack=None):
        """Frames up to the first of one of these kinds (None at the end: it did not come), as a list."""
        seen, deadline = [], time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            seen.append(self.next(max(0.0, deadline - time.monotonic())))
            last = seen[-1]
            if last is None or last.kind in kinds and (stream is None or last.stream == stream) and (ack is None or bool(last.flags & ACK) == ack):
                return seen

    def until_closed(self, timeout=None):
        seen, deadline = [], time.monotonic() + (self.timeout if timeout is None else timeout)
        while (one := self.next(max(0.0, deadline - time.monotonic()))) is not None:
            seen.append(one)
        return seen


# ---- a client that keeps the rules ------------------------------------------------------------------------------------
class Reply:
    def __init__(self):
        self.head, self.body, self.trailers, self.reset, self.goaway = {}, b"", {}, None, None

    def field(self, name, default=""):
        return self.trailers.get(name, self.head.get(name, default))

    @property
    def status(self):
        return int(self.head.get(":status", 0))

    @property
    def grpc_status(self):
        return int(self.field("grpc-status", "-1"))

    def __repr__(self):
        return f"Reply({self.head} {self.body[:60]!r} {self.trailers} reset={self.reset} goaway={self.goaway})"


class Client:
    def __init__(self, port, timeout=30.0, own_settings=()):
        self.peer = Peer(port, own_settings=own_settings, timeout=timeout)
        self.stream = -1
        self.window, self.windows, self.initial_window = 65535, {}, 65535

    def close(self):
        self.peer.socket.close()

    def take_settings(self, one):
        if one.flags & ACK:
            return
        for at in range(0, len(one.payload), 6):
            key, value = struct.unpack_from(">HI", one.payload, at)
            if key == INITIAL_WINDOW_SIZE:
                for stream in self.windows:
                    self.windows[stream] += value - self.initial_window
                self.initial_window = value
        self.peer.send(settings(flags=ACK))

    def take(self, one, stream, reply):
        """One frame of the server. True: the reply is whole."""
        if one is None:
            raise ConnectionError("closed" if self.peer.closed else "no answer in time")
        if one.kind == SETTINGS:
            self.take_settings(one)
        elif one.kind == PING and not one.flags & ACK:
            self.peer.send(frame(PING, ACK, 0, one.payload))
        elif one.kind == WINDOW_UPDATE:
            increment = struct.unpack(">I", one.payload)[0]
            if one.stream == 0:
                self.window += increment
            elif one.stream in self.windows:
                self.windows[one.stream] += increment
        elif one.kind == GOAWAY:
            reply.goaway = one.code()
        elif one.kind == DATA and one.payload:
            self.peer.send(window_update(0, len(one.payload)))
            reply.body += one.payload if one.stream == stream else b""
        elif one.kind == HEADERS:
            if one.stream == stream:
                (reply.trailers if reply.head else reply.head).update(one.fields)
        elif one.stream == stream and one.kind == RST_STREAM:
            reply.reset = one.code()
            return True
        return one.stream == stream and one.kind in (DATA, HEADERS) and bool(one.flags & END_STREAM)

    def call(self, pairs, body=b"", piece=16384, end_apart=False):
        """Sends a request and waits for its reply; end_apart: END_STREAM comes on an empty DATA frame."""
        self.stream += 2
        stream, reply = self.stream, Reply()
        self.windows = {stream: self.initial_window}
        self.peer.send(frame(HEADERS, END_HEADERS | (0 if body or end_apart else END_STREAM), stream, block(pairs)))
        at = 0
        while at < len(body):
            room = min(self.window, self.windows[stream], piece, len(body) - at)
            if room <= 0:
                if self.take(self.peer.next(), stream, reply):
                    return reply
                continue
            last = at + room == len(body) and not end_apart
            if not self.peer.send(frame(DATA, END_STREAM if last else 0, stream, body[at:at + room])):
                break
            at, self.window, self.windows[stream] = at + room, self.window - room, self.windows[stream] - room
        if end_apart:
            self.peer.send(frame(DATA, END_STREAM, stream))
        while not self.take(self.peer.next(), stream, reply):
            pass
        return reply


EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def request_fields(path="/v1/traces", method="POST", content_type="application/x-protobuf", **more):
    """Of a plain HTTP request; further names with _ for -."""
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "spanmill"),
            *([("content-type", content_type)] if content_type is not None else []), *((name.replace("_", "-"), value) for name, value in more.items())]


def call_fields(path=EXPORT, **more):
    """Of a gRPC call."""
    return request_fields(path, content_type="application/grpc", te="trailers", **more)


def message(data, compressed=False):
    return struct.pack(">BI", compressed, len(data)) + data
