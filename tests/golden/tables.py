"""What every reader of golden files needs: the tables of FORMAT.md, checksums and hashes, protobuf's wire format.

A table with the columns offset, size, name, meaning becomes a Layout: it reads a record by these offsets and sizes and by
nothing else. A table whose first column is something else (stream, type, column, word) becomes a dict. So the text and the
bytes cannot disagree without a reader failing.
"""
import ctypes
import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
FORMAT = os.environ.get("SPANMILL_FORMAT", os.path.join(os.path.dirname(os.path.dirname(HERE)), "src/store/FORMAT.md"))
M64 = (1 << 64) - 1


class Wrong(Exception):
    """The bytes are not what the text says."""


def must(condition, what):
    if not condition:
        raise Wrong(what)


# ---- tables of FORMAT.md ------------------------------------------------------------------------------------------
def tables():
    """Every table as (section, heading below it, column names, rows of cells)."""
    found, headings, rows = [], ["", "", ""], []
    with open(FORMAT, encoding="utf-8") as file:
        lines = file.read().split("\n") + [""]
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            continue
        if rows:
            found.append((headings[1], headings[2], rows[0], rows[2:]))
            rows = []
        match = re.match(r"(#+) (.*)", line)
        if match:
            level = len(match.group(1)) - 1
            headings[level:] = [match.group(2)] + [""] * (2 - level)
    return found


TABLES = tables()


def table(section, heading, first, number=0):
    """Rows of the number-th table below this heading of a section whose first column has this name."""
    here = [rows for at, below, columns, rows in TABLES if (at, below, columns[0]) == (section, heading, first)]
    must(number < len(here), f"FORMAT.md: {section}, {heading!r}: no table {number} of {first}")
    return here[number]


def numbers(section, heading, first, number=0):
    """A table of numbers and names as a dict from name to number; the numbers count up without a gap."""
    names = {}
    for row in table(section, heading, first, number):
        must(not names or int(row[0]) == max(names.values()) + 1, f"FORMAT.md: {first} {row[0]} is out of order")
        names[row[1]] = int(row[0])
    return names


class Layout:
    """Fields of a record, without gaps: numbers of 1, 2, 4 or 8 bytes, all else bytes; unnamed and reserved ones are zero."""

    def __init__(self, section, heading, number=0):
        self.where, self.fields, self.zeros, self.size = f"{section}, {heading}", {}, [], 0
        for offset, size, name, *_ in table(section, heading, "offset", number):
            offset, size = int(offset), int(size)
            must(offset == self.size, f"FORMAT.md: {self.where}: {name} is at {offset}, what is before it ends at {self.size}")
            if name == "–" or name.startswith("reserved"):
                self.zeros.append((offset, size))
            else:
                must(name not in self.fields, f"FORMAT.md: {self.where}: {name} stands twice")
                self.fields[name] = (offset, size)
            self.size += size

    def read(self, data, at=0):
        must(0 <= at <= len(data) - self.size, f"{self.where}: {self.size} bytes at {at} reach beyond {len(data)}")
        for offset, size in self.zeros:
            must(not any(data[at + offset:at + offset + size]), f"{self.where}: reserved bytes at {offset} are not zero")
        return {name: self.value(name, data[at + offset:at + offset + size]) for name, (offset, size) in self.fields.items()}

    @staticmethod
    def value(name, raw):
        return int.from_bytes(raw, "little") if len(raw) in (1, 2, 4, 8) and name != "magic" else bytes(raw)

    def without(self, name, data, at=0):
        """The record's bytes with this field zero, as checksums that lie inside want it."""
        offset, size = self.fields[name]
        record = bytearray(data[at:at + self.size])
        record[offset:offset + size] = bytes(size)
        return bytes(record)


def same(record, expected, what):
    """All fields of a record are as the program saw them."""
    must(set(record) == set(expected), f"{what}: fields {sorted(set(record) ^ set(expected))} are known to one side only")
    for name, value in record.items():
        value = value.hex() if isinstance(value, bytes) else value
        must(value == expected[name], f"{what}: {name} is {value}, expected {expected[name]}")


def magic_of(section, heading, number=0):
    """The magic that a table names in its meaning."""
    meaning = next(row[3] for row in table(section, heading, "offset", number) if row[2] == "magic")
    return re.match(r"`([^`]+)`", meaning).group(1).encode()


# ---- checksums, hashes, compression: the distribution's libraries -----------------------------------------------------
def crc_table():
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        yield crc


CRC_TABLE = list(crc_table())


def crc32c(data, begun=0):
    crc = begun ^ 0xFFFFFFFF
    for value in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ value) & 0xFF]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283
XXHASH = ctypes.CDLL("libxxhash.so.0")
ZSTD = ctypes.CDLL("libzstd.so.1")
XXHASH.XXH64.argtypes = XXHASH.XXH3_64bits_withSeed.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
XXHASH.XXH64.restype = XXHASH.XXH3_64bits_withSeed.restype = ctypes.c_uint64
ZSTD.ZSTD_decompress.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
ZSTD.ZSTD_decompress.restype = ctypes.c_size_t


def xxh64(data):
    return XXHASH.XXH64(data, len(data), 0)


def xxh3(data, seed):
    return XXHASH.XXH3_64bits_withSeed(data, len(data), seed)


def unzstd(data, plain):
    room = ctypes.create_string_buffer(plain or 1)
    must(ZSTD.ZSTD_decompress(room, plain, data, len(data)) == plain, f"a zstd frame does not give {plain} bytes")
    return room.raw[:plain]


# ---- protobuf ------------------------------------------------------------------------------------------------------
def varint(data, at):
    value = shift = 0
    while True:
        must(at < len(data) and shift < 70, "a varint is cut")
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def put_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_bytes(number, data):
    return put_varint(number << 3 | 2) + put_varint(len(data)) + data


def fields(message):
    """Fields of a message: (number, value) with value a number or bytes."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        if tag & 7 == 0:
            value, at = varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if size is None:
                must(tag & 7 == 2, "an unknown wire type")
                size, at = varint(message, at)
            value, at = message[at:at + size], at + size
        yield tag >> 3, value


def unzigzag(value):
    return (value >> 1 ^ -(value & 1)) & M64


# ---- files ---------------------------------------------------------------------------------------------------------
def golden(name):
    with open(os.path.join(HERE, name), "rb") as file:
        return file.read()


def expected_of(name):
    return json.loads(golden(f"{name}-v1.json"))
