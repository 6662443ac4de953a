"""Blocks by the tables of FORMAT.md: rows as spans, tokens; the golden block against block-v1.json."""
from collections import defaultdict

from ledgers import check_stored, read_ledger, rows_of
from tables import (M64, Layout, crc32c, expected_of, fields, golden, magic_of, must, numbers, put_bytes, put_varint, same,
                    unzigzag, unzstd, varint, xxh3, xxh64)

HEADER = Layout("Block", "Block header")
SECTION = Layout("Block", "Section table entry")
SECTIONS = numbers("Block", "Section table entry", "type")
PATTERN = Layout("Block", "Patterns", 0)
EVENT_PATTERN = Layout("Block", "Patterns", 1)
CHUNK = Layout("Block", "Streams and chunks")
STREAMS = numbers("Block", "Streams and chunks", "stream")
COLUMN = Layout("Block", "Columns", 0)
FIXED = numbers("Block", "Columns", "column")
TYPES = numbers("Block", "Columns", "type")
PIECE = Layout("Block", "Columns", 1)
PAGE = Layout("Block", "Columns", 2)
PAGE_ROWS = 8192
NONE, CONST, PLANES, BYTES = range(4)
NO_SECTION = 0xFFFFFFFF
RESOURCE, SCOPE, SPAN, EVENT, LINK, INTRINSIC = 0, 1, 2, 3, 4, 16  # the last one of tokens only
LEVELS = {"NAME": SPAN, "TRACE_STATE": SPAN, "STATUS_MESSAGE": SPAN, "EVENT_NAME": EVENT, "LINK_STATE": LINK,
          "RAW_SPAN": SPAN, "RAW_EVENT": EVENT, "RAW_LINK": LINK}
TOKEN_BYTES_MAX = 256
SCALARS = (TYPES["BOOL"], TYPES["INT"], TYPES["DOUBLE"])


class Block:
    def __init__(self, data):
        self.data = data
        self.header = HEADER.read(data)
        must(HEADER.size == 4096, "the header page has 4096 bytes")
        must(self.header["magic"] == magic_of("Block", "Block header") and self.header["major"] == 1, "magic or version")
        must(crc32c(HEADER.without("header_crc", data)) == self.header["header_crc"], "header_crc")
        must(self.header["bytes"] == len(data), "bytes is not the length of the block")
        table = self.header["table_offset"]
        table_bytes = data[table:table + self.header["sections"] * SECTION.size]
        must(crc32c(table_bytes) == self.header["table_crc"], "table_crc")
        must(not any(data[table + len(table_bytes):]), "zeros behind the section table")
        self.sections = [SECTION.read(table_bytes, i * SECTION.size) for i in range(self.header["sections"])]
        self.plain = {}
        self.cover(table)
        self.meta = {}
        for number, section in enumerate(self.sections):
            if section["type"] >= SECTIONS["TRACES"]:
                must(section["type"] not in self.meta, "a meta section occurs twice")
                self.meta[section["type"]] = self.section(number)
        first = min(section["offset"] for section in self.sections if section["type"] >= SECTIONS["TRACES"])
        must(first == self.header["meta_offset"], "meta_offset is not that of the first meta section")
        self.read_tables()

    def cover(self, table):
        """Sections lie between header and table at multiples of 64, in order, with zeros between them."""
        end = HEADER.size
        for section in self.sections:
            must(section["offset"] % 64 == 0 and 0 <= section["offset"] - end < 64, "sections are not in their places")
            must(not any(self.data[end:section["offset"]]), "zeros between sections")
            must(section["flags"] == (section["type"] != SECTIONS["LEDGER"]), "all types but LEDGER are critical")
            end = section["offset"] + section["stored"]
        must(0 <= table - end < 64 and not any(self.data[end:table]), "the table follows the last section")

    def section(self, number, *types):
        """Its plain bytes; it is of one of these types."""
        section = self.sections[number]
        must(not types or section["type"] in [SECTIONS[name] for name in types], f"section {number} is not a {types}")
        if number not in self.plain:
            stored = self.data[section["offset"]:section["offset"] + section["stored"]]
            must(crc32c(stored) == section["crc"], f"crc of section {number}")
            must(section["codec"] in (0, 1), f"codec of section {number}")
            plain = stored if section["codec"] == 0 else unzstd(stored, section["plain"])
            must(len(plain) == section["plain"], f"plain size of section {number}")
            self.plain[number] = plain
        return self.plain[number]

    # ---- tables ----
    def read_tables(self):
        header, meta = self.header, self.meta
        traces = meta[SECTIONS["TRACES"]]
        self.traces = [traces[i:i + 16] for i in range(0, len(traces), 16)]
        must(len(self.traces) == header["traces"] and self.traces == sorted(self.traces), "trace ids ascend")
        must(self.traces[0] == header["trace_min"] and self.traces[-1] == header["trace_max"], "trace_min, trace_max")
        self.trace_rows = self.varints(meta[SECTIONS["TRACE_ROWS"]], header["traces"])
        must(sum(self.trace_rows) == header["spans"], "trace rows add up to spans")
        self.resources = self.envelopes("RESOURCES", header["resources"])
        self.scopes = self.envelopes("SCOPES", header["scopes"])
        self.columns, at, data = [], 0, meta[SECTIONS["COLUMNS"]]
        for _ in range(header["columns"]):
            column = COLUMN.read(data, at)
            at += COLUMN.size
            column["key"] = data[at:at + column["key_len"]]
            at += column["key_len"]
            self.columns.append(column)
        must(at == len(data), "columns")
        for name, level in LEVELS.items():
            must(self.columns[FIXED[name]]["level"] == level, f"level of {name}")
        self.pages = self.records("PAGES", PAGE, header["pages"])
        self.streams = len(STREAMS) + 2 * header["columns"]
        self.chunks = self.records("CHUNKS", CHUNK, header["pages"] * self.streams)
        self.met = set()  # (encoding, something raw) of the chunks that were read
        for number, column in enumerate(self.columns):
            counts = [self.count_of(page, len(STREAMS) + 2 * number) for page in range(header["pages"])]
            must(sum(counts) <= column["values"], f"column {number} has {sum(counts)} of {column['values']} values")
            if number in (FIXED["NAME"], FIXED["EVENT_NAME"]):
                must(sum(counts) == 0, "names lie in patterns")
        must(sum(page["events"] for page in self.pages) == header["events"], "events of all pages")
        must(sum(page["links"] for page in self.pages) == header["links"], "links of all pages")
        self.read_dictionaries(self.records("PIECES", PIECE, header["dictionary_pieces"]))
        self.read_shapes(meta[SECTIONS["SHAPES"]], header["shapes"])
        self.patterns = self.planes("PATTERNS", PATTERN, header["patterns"])
        self.event_patterns = self.planes("EVENT_PATTERNS", EVENT_PATTERN, header["event_patterns"])

    def read_shapes(self, data, count):
        """Each a list of (column, its constant as a tuple of one, or an empty tuple)."""
        sizes, at = [], 0
        for _ in range(count):
            size, at = varint(data, at)
            sizes.append(size)
        rest = self.varints(data[at:], 2 * sum(sizes))
        items = [(column, (self.dictionaries[column][constant - 1],) if constant else ())
                 for column, constant in zip(rest[:sum(sizes)], rest[sum(sizes):])]
        self.shapes, at = [], 0
        for size in sizes:
            self.shapes.append(items[at:at + size])
            at += size
        must(self.shapes[0] == [], "the first shape is empty")

    def planes(self, name, layout, count):
        data = self.meta[SECTIONS[name]]
        must(len(data) == count * layout.size, f"{name}: {len(data)} bytes for {count} records of {layout.size}")
        return [layout.read(data[i::count]) for i in range(count)]

    def records(self, name, layout, count):
        data = self.meta[SECTIONS[name]]
        must(len(data) == count * layout.size, f"{name}: {len(data)} bytes for {count} entries of {layout.size}")
        return [layout.read(data, i * layout.size) for i in range(count)]

    @staticmethod
    def varints(data, count):
        values, at = [], 0
        for _ in range(count):
            value, at = varint(data, at)
            values.append(value)
        must(at == len(data), "varints left over")
        return values

    def envelopes(self, name, count):
        data, at, found = self.meta[SECTIONS[name]], 0, []
        for _ in range(count):
            present, at = varint(data, at)
            size, at = varint(data, at)
            message, at = data[at:at + size], at + size
            size, at = varint(data, at)
            found.append([present, message.hex(), data[at:at + size].hex()])
            at += size
        must(at == len(data), name)
        return found

    def read_dictionaries(self, pieces):
        self.dictionaries = [[] for _ in self.columns]
        must(pieces == sorted(pieces, key=lambda piece: (piece["column"], piece["first"])), "pieces ascend")
        for piece in pieces:
            column = self.columns[piece["column"]]
            entries = self.dictionaries[piece["column"]]
            must(piece["first"] == len(entries), "pieces leave no gap")
            data = self.section(piece["section"], "DICTIONARY")[piece["offset"]:piece["offset"] + piece["len"]]
            if column["type"] in SCALARS:
                must(len(data) == 8 * piece["count"], "a piece of integers")
                entries += [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 8)]
                continue
            sizes, at = [], 0
            for _ in range(piece["count"]):
                size, at = varint(data, at)
                sizes.append(size)
            for size in sizes:
                entries.append(data[at:at + size])
                at += size
            must(at == len(data), "a piece of bytes")
        for column, entries in zip(self.columns, self.dictionaries):
            must(column["distinct"] == len(entries), "distinct")
        for name in ("NAME", "TRACE_STATE", "STATUS_MESSAGE", "EVENT_NAME", "LINK_STATE"):
            must(self.dictionaries[FIXED[name]][0] == b"", "entry 0 is the empty string")

    # ---- chunks ----
    def chunk(self, page, stream):
        chunk = self.chunks[page * self.streams + stream]
        self.met.add((chunk["encoding"], chunk["raw_mask"] != 0))
        return chunk

    def integers(self, page, stream, count):
        chunk = self.chunk(page, stream)
        if count == 0:
            must(chunk["encoding"] == NONE, f"stream {stream} should be empty")
            return []
        must(chunk["count"] == count, f"stream {stream} has {chunk['count']} values, not {count}")
        if chunk["encoding"] == CONST:
            must(chunk["max"] == chunk["base"], f"zone map of stream {stream}")
            return [chunk["base"]] * count
        must(chunk["encoding"] == PLANES, f"stream {stream} has no integers")
        packed = raw = b""
        if bin(chunk["raw_mask"]).count("1") < chunk["width"]:
            packed = self.section(chunk["section"], "GROUP", "CHUNK")[chunk["offset"]:]
        else:
            must(chunk["section"] == NO_SECTION, f"stream {stream} names a section and has nothing there")
        if chunk["raw_mask"]:
            raw = self.section(chunk["raw_section"], "CHUNK")
        else:
            must(chunk["raw_section"] == NO_SECTION, f"stream {stream} names a raw section and has nothing there")
        values = [chunk["base"]] * count
        for plane in range(chunk["width"]):
            if chunk["raw_mask"] >> plane & 1:
                data, raw = raw[:count], raw[count:]
            else:
                data, packed = packed[:count], packed[count:]
            must(len(data) == count, f"stream {stream}: plane {plane} is cut")
            values = [value + (byte << 8 * plane) for value, byte in zip(values, data)]
        must(min(values) == chunk["base"] and max(values) == chunk["max"], f"zone map of stream {stream}")
        return values

    def count_of(self, page, stream):
        return self.chunks[page * self.streams + stream]["count"]

    def bytes(self, page, stream, size):
        chunk = self.chunk(page, stream)
        if size == 0:
            must(chunk["encoding"] == NONE, f"stream {stream} should be empty")
            return b""
        must(chunk["encoding"] == BYTES and chunk["count"] == size, f"stream {stream} has no {size} bytes")
        if chunk["raw_mask"]:
            return self.section(chunk["raw_section"], "CHUNK")[:size]
        return self.section(chunk["section"], "GROUP", "CHUNK")[chunk["offset"]:chunk["offset"] + size]

    def values(self, page, number, count):
        """All values of a column in a page."""
        column = self.columns[number]
        stream = len(STREAMS) + 2 * number
        if column["mode"] == 1:
            return [self.dictionaries[number][i] for i in self.integers(page, stream, count)]
        must(column["mode"] == 0, f"mode of column {number}")
        if column["type"] in SCALARS:
            flip = 1 << 63 if column["type"] == TYPES["INT"] else 0
            return [value ^ flip for value in self.integers(page, stream, count)]
        sizes = self.integers(page, stream, count)
        data, at, found = self.bytes(page, stream + 1, sum(sizes)), 0, []
        for size in sizes:
            found.append(data[at:at + size])
            at += size
        return found


# ---- rows ------------------------------------------------------------------------------------------------------------
def any_value(kind, value):
    number = {"STRING": 1, "BOOL": 2, "INT": 3, "DOUBLE": 4, "ARRAY": 5, "KVLIST": 6, "BYTES": 7}
    for name, field in number.items():
        if kind == TYPES[name]:
            if name in ("BOOL", "INT"):
                return put_varint(field << 3) + put_varint(value)
            if name == "DOUBLE":
                return put_varint(field << 3 | 1) + value.to_bytes(8, "little")
            return put_bytes(field, value)
    return b""


class Values:
    """The values of all columns in a page, taken one by one."""

    def __init__(self, block, page, counts):
        self.block = block
        self.values = {number: iter(block.values(page, number, count)) for number, count in counts.items()}

    def take(self, column):
        return next(self.values[column])

    def attributes(self, shape, field):
        out = b""
        for number, constant in self.block.shapes[shape]:
            column, value = self.block.columns[number], constant[0] if constant else self.take(number)
            self.block.uses[number] += 1
            if column["type"] == TYPES["RAW"]:
                out += put_bytes(field, value)
                continue
            pair = put_bytes(1, column["key"]) if column["key"] else b""
            if column["type"] != TYPES["ABSENT"]:
                pair += put_bytes(2, any_value(column["type"], value))
            out += put_bytes(field, pair)
        return out

    def check_end(self):
        must(all(next(left, None) is None for left in self.values.values()), "values are left over")


HAS_PARENT, HAS_STATUS, HAS_STATE, HAS_MESSAGE = 1, 2, 4, 8


def check_zones(page, patterns):
    for name in ("resource", "scope", "name", "kind", "status_code"):
        values = [pattern[name] for pattern in patterns]
        must((page[f"{name}_min"], page[f"{name}_max"]) == (min(values), max(values)), f"zone of {name}")


def page_rows(block, page):
    header = block.header
    rows = min(PAGE_ROWS, header["spans"] - page * PAGE_ROWS)
    entry = block.pages[page]
    column = lambda name, count=rows: block.integers(page, STREAMS[name], count)
    fields = {name: column(name) for name in ("DURATION", "PARENT", "PATTERN", "EVENTS", "LINKS")}
    fields["PATTERN"] = [block.patterns[number] for number in fields["PATTERN"]]
    check_zones(entry, fields["PATTERN"])
    events, links = entry["events"], entry["links"]
    must(sum(fields["EVENTS"]) == events and sum(fields["LINKS"]) == links, "events and links of the page")
    fields["EVENT_TIME"] = column("EVENT_TIME", events)
    fields["EVENT_PATTERN"] = [block.event_patterns[number] for number in column("EVENT_PATTERN", events)]
    for name in ("LINK_FLAGS", "LINK_DROPPED", "LINK_BITS", "LINK_SHAPE"):
        fields[name] = column(name, links)
    fields["SPAN_ID"] = block.bytes(page, STREAMS["SPAN_ID"], rows * 8)
    fields["PARENT_RAW"] = block.bytes(page, STREAMS["PARENT_RAW"], fields["PARENT"].count(1) * 8)
    fields["LINK_TRACE"] = block.bytes(page, STREAMS["LINK_TRACE"], links * 16)
    fields["LINK_SPAN"] = block.bytes(page, STREAMS["LINK_SPAN"], links * 8)
    counts = defaultdict(int)
    shapes = [pattern["shape"] for pattern in fields["PATTERN"] + fields["EVENT_PATTERN"]] + fields["LINK_SHAPE"]
    for shape in shapes:
        for number, constant in block.shapes[shape]:
            counts[number] += not constant
    counts[FIXED["TRACE_STATE"]] = sum(pattern["bits"] & HAS_STATE != 0 for pattern in fields["PATTERN"])
    counts[FIXED["STATUS_MESSAGE"]] = sum(pattern["bits"] & HAS_MESSAGE != 0 for pattern in fields["PATTERN"])
    counts[FIXED["LINK_STATE"]] = links
    return rows, fields, Values(block, page, counts)


def starts(block, page, rows):
    """Start times, from the first row of each trace and the differences behind it."""
    first, firsts = 0, set()
    for count in block.trace_rows:
        firsts.add(first)
        first += count
    begins = [i == 0 or page * PAGE_ROWS + i in firsts for i in range(rows)]
    bases = iter(block.integers(page, STREAMS["START_BASE"], sum(begins)))
    deltas = iter(block.integers(page, STREAMS["START_DELTA"], rows - sum(begins)))
    found = []
    for begin in begins:
        found.append((block.header["start_min_ns"] + next(bases) if begin else found[-1] + next(deltas)) & M64)
    must(min(found) == block.pages[page]["start_min_ns"] and max(found) == block.pages[page]["start_max_ns"],
         "start times of the page")
    return found


def put_int(number, value):
    return put_varint(number << 3) + put_varint(value) if value else b""


def put_enum(number, value):
    return put_int(number, value if value < 1 << 31 else value | 0xFFFFFFFF00000000)


def put_text(number, value):
    return put_bytes(number, value) if value else b""


def put_time(number, value):
    return put_varint(number << 3 | 1) + value.to_bytes(8, "little") if value else b""


def put_fixed32(number, value):
    return put_varint(number << 3 | 5) + value.to_bytes(4, "little") if value else b""


def spans(block, span_ids):
    """Every row as (Span message, resource, scope), fields in the order of their numbers."""
    trace_of = [trace for trace, count in zip(block.traces, block.trace_rows) for _ in range(count)]
    for page in range(block.header["pages"]):
        rows, fields, values = page_rows(block, page)
        begin = starts(block, page, rows)
        event = link = raw = 0
        for i in range(rows):
            row = page * PAGE_ROWS + i
            pattern = fields["PATTERN"][i]
            name = block.dictionaries[FIXED["NAME"]][pattern["name"]]
            state = values.take(FIXED["TRACE_STATE"]) if pattern["bits"] & HAS_STATE else b""
            text = values.take(FIXED["STATUS_MESSAGE"]) if pattern["bits"] & HAS_MESSAGE else b""
            must((state != b"") == (pattern["bits"] & HAS_STATE != 0), "a trace state without bytes")
            must((text != b"") == (pattern["bits"] & HAS_MESSAGE != 0), "a status message without bytes")
            code, parent = fields["PARENT"][i], b""
            if code == 1:
                parent = fields["PARENT_RAW"][raw * 8:raw * 8 + 8]
                raw += 1
            elif code > 1:
                distance = unzigzag(code - 2)
                parent = span_ids[(row + distance) & M64]
            must((pattern["bits"] & HAS_PARENT) == (parent != b""), "bits and PARENT disagree")
            out = put_bytes(1, trace_of[row]) + put_bytes(2, fields["SPAN_ID"][i * 8:i * 8 + 8])
            out += put_text(3, state) + put_text(4, parent) + put_text(5, name) + put_enum(6, pattern["kind"])
            out += put_time(7, begin[i]) + put_time(8, (begin[i] + fields["DURATION"][i]) & M64)
            out += values.attributes(pattern["shape"], 9) + put_int(10, pattern["dropped_attributes_count"])
            for _ in range(fields["EVENTS"][i]):
                kind = fields["EVENT_PATTERN"][event]
                message = put_time(1, (begin[i] + unzigzag(fields["EVENT_TIME"][event])) & M64)
                message += put_text(2, block.dictionaries[FIXED["EVENT_NAME"]][kind["name"]])
                message += values.attributes(kind["shape"], 3) + put_int(4, kind["dropped_attributes_count"])
                out += put_bytes(11, message)
                event += 1
            out += put_int(12, pattern["dropped_events_count"])
            for _ in range(fields["LINKS"][i]):
                bits = fields["LINK_BITS"][link]
                message = put_bytes(1, fields["LINK_TRACE"][link * 16:link * 16 + 16]) if bits & 1 else b""
                message += put_bytes(2, fields["LINK_SPAN"][link * 8:link * 8 + 8]) if bits & 2 else b""
                message += put_text(3, values.take(FIXED["LINK_STATE"]))
                message += values.attributes(fields["LINK_SHAPE"][link], 4) + put_int(5, fields["LINK_DROPPED"][link])
                message += put_fixed32(6, fields["LINK_FLAGS"][link])
                out += put_bytes(13, message)
                link += 1
            out += put_int(14, pattern["dropped_links_count"])
            if pattern["bits"] & HAS_STATUS:
                out += put_bytes(15, put_text(2, text) + put_enum(3, pattern["status_code"]))
            out += put_fixed32(16, pattern["flags"])
            yield out, block.resources[pattern["resource"]], block.scopes[pattern["scope"]]
        values.check_end()


def all_spans(block):
    pages = range(block.header["pages"])
    ids = b"".join(block.bytes(page, STREAMS["SPAN_ID"], 8 * min(PAGE_ROWS, block.header["spans"] - page * PAGE_ROWS))
                   for page in pages)
    return spans(block, [ids[i:i + 8] for i in range(0, len(ids), 8)])


def check_rows(block, expected, number):
    """Rows named in the expectations are so; returns the hash of all."""
    wanted = {row["row"]: row for row in expected if row["block"] == number}
    state = rows = 0
    block.uses = [0] * len(block.columns)
    for row, (span, resource, scope) in enumerate(all_spans(block)):
        if row in wanted:
            must(span.hex() == wanted[row]["span"], f"row {row}: {span.hex()}, expected {wanted[row]['span']}")
            must(resource == wanted[row]["resource"] and scope == wanted[row]["scope"], f"row {row}: resource or scope")
            del wanted[row]
        state = xxh64(state.to_bytes(8, "little") + xxh64(span).to_bytes(8, "little"))
        rows += 1
    must(rows == block.header["spans"] and not wanted, "rows are missing")
    for number, uses in enumerate(block.uses):
        must(number < len(FIXED) or uses == block.columns[number]["values"], f"values of column {number}")
    return state


def service_of(resource):
    service = b""
    for key, kind, value in attributes(bytes.fromhex(resource[1]), RESOURCE):
        if key == b"service.name" and kind == TYPES["STRING"]:
            service = value
    return service


def operations(block):
    """[service, name, kind] of each, kind modulo 2^64."""
    data, at, found = block.meta[SECTIONS["OPERATIONS"]], 0, []
    for _ in range(block.header["operations"]):
        resource, at = varint(data, at)
        name, at = varint(data, at)
        kind, at = varint(data, at)
        found.append([service_of(block.resources[resource]).hex(), block.dictionaries[FIXED["NAME"]][name].hex(), unzigzag(kind)])
    must(at == len(data), "operations")
    return found


# ---- filters ---------------------------------------------------------------------------------------------------------
def attributes(message, level):
    """(key, type, value) of the attributes of a Resource or InstrumentationScope."""
    for number, pair in fields(message):
        if number == (1 if level == RESOURCE else 3):
            yield key_value(pair)


def key_value(pair):
    key, kind, value = b"", TYPES["ABSENT"], b""
    for number, part in fields(pair):
        if number == 1:
            key = part
        elif number == 2:
            kind, value = TYPES["EMPTY"], b""
            for field, inner in fields(part):
                kind, value = TYPES["STRING"] + field - 1, inner
    return key, kind, value


def token(level, key, kind, value):
    """None for a value without one."""
    if kind == TYPES["BOOL"]:
        value = bytes([value])
    elif kind == TYPES["INT"]:
        value = value.to_bytes(8, "little")
    elif kind != TYPES["STRING"] or len(value) > TOKEN_BYTES_MAX:
        return None
    return xxh3(value, xxh64(bytes([level]) + key + bytes([0, kind])))


def column_values(block, number):
    column = block.columns[number]
    if column["mode"] == 1:
        return block.dictionaries[number]
    stream = len(STREAMS) + 2 * number
    return block.dictionaries[number] + [value for page in range(block.header["pages"])
                                         for value in block.values(page, number, block.count_of(page, stream))]


def tokens(block):
    names = {block.dictionaries[FIXED["NAME"]][pattern["name"]] for pattern in block.patterns}
    found = {token(INTRINSIC, b"name", TYPES["STRING"], name) for name in names}
    for level, envelopes in ((RESOURCE, block.resources), (SCOPE, block.scopes)):
        for _, message, _ in envelopes:
            found |= {token(level, *attribute) for attribute in attributes(bytes.fromhex(message), level)}
    for number, column in enumerate(block.columns):
        if number >= len(FIXED):
            found |= {token(column["level"], column["key"], column["type"], value) for value in column_values(block, number)}
        elif column["type"] == TYPES["RAW"]:
            found |= {token(column["level"], *key_value(pair)) for pair in column_values(block, number)}
    return found - {None}


def check_ledger(block):
    """Returns it, and the rows by service and minute."""
    ledger, _ = read_ledger(block.meta[SECTIONS["LEDGER"]])
    block.uses = [0] * len(block.columns)
    rows = rows_of(all_spans(block), service_of)
    check_stored(ledger, rows)
    return ledger, rows


# ---- the golden block --------------------------------------------------------------------------------------------------
def check_coverage(block):
    """The golden block holds what the tables speak of, or it would prove less than it seems to."""
    used = {section["type"] for section in block.sections}
    must(used == set(SECTIONS.values()), f"there is no section of a type in {set(SECTIONS.values()) - used}")
    for met in ((NONE, False), (CONST, False), (PLANES, False), (PLANES, True), (BYTES, False), (BYTES, True)):
        must(met in block.met, f"there is no chunk with (encoding, raw) {met}")
    used = {column["type"] for column in block.columns}
    must(used == set(TYPES.values()), f"there is no column of a type in {set(TYPES.values()) - used}")
    must({column["mode"] for column in block.columns} == {0, 1}, "there are not both modes")
    must({column["level"] for column in block.columns[len(FIXED):]} == {SPAN, EVENT, LINK}, "there are not columns of all levels")
    must({section["codec"] for section in block.sections} == {0, 1}, "there are not both codecs")
    constants = {block.columns[column]["mode"] for shape in block.shapes for column, constant in shape if constant}
    must(constants == {0, 1}, "there are not constants of raw columns and of dictionaries")


def check():
    expected = expected_of("block")
    block = Block(golden("block-v1.bin"))
    same(block.header, expected["header"], "block header")
    must(f"{check_rows(block, expected['rows'], 0)}" == f"{expected['xxh64_of_rows']}", "some row that is not named")
    must(operations(block) == expected["operations"], "operations")
    check_ledger(block)
    check_coverage(block)
