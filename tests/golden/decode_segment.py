"""The golden segment by the tables of FORMAT.md: its blocks, filters and footer, against segment-v1.json."""
from decode_block import Block, check_rows, tokens
from tables import Layout, crc32c, expected_of, golden, magic_of, must, same, table, xxh64

HEADER = Layout("Segment", "Header page")
DIRECTORY = Layout("Segment", "Directory", 0)
ENTRY = Layout("Segment", "Directory", 1)
REPLACED = Layout("Segment", "Directory", 2)
POSITION = Layout("Segment", "Directory", 3)
TRAILER = Layout("Segment", "Trailer")
PAGE = 4096
CELL_BYTES = 32
CELLS_MAX = 32768
SALTS = [int(salt, 16) for _, salt in table("Filters", "", "word")]
TRACE, TOKEN = range(2)
BITS_BUILT, BITS_KEPT = (16, 10), (12, 8)


def check_trailer(data):
    trailer = TRAILER.read(data, len(data) - TRAILER.size)
    offset, _ = TRAILER.fields["crc"]
    must(trailer["magic"] == magic_of("Segment", "Trailer"), "magic of the trailer")
    must(crc32c(data[-TRAILER.size:][:offset]) == trailer["crc"], "crc of the trailer")
    must(trailer["file_length"] == len(data), "file_length")
    return trailer


def read_all(layout, data, at, count):
    return [layout.read(data, at + i * layout.size) for i in range(count)]


def check_directory(data, trailer):
    at = trailer["directory_offset"]
    directory = DIRECTORY.read(data, at)
    must(at % PAGE == 0 and directory["magic"] == magic_of("Segment", "Directory"), "magic of the directory")
    must(crc32c(data[at:at + trailer["directory_length"]]) == trailer["directory_crc"], "directory_crc")
    size = (DIRECTORY.size + directory["blocks"] * ENTRY.size + directory["replaces"] * REPLACED.size +
            directory["positions"] * POSITION.size)
    must(trailer["directory_length"] == size, "directory_length")
    identity = (directory["instance"], directory["seq"], directory["created_ns"], directory["shard"])
    must(xxh64(b"".join(part.to_bytes(8, "little") for part in identity)) == trailer["file_id"], "file_id")
    return directory, read_all(ENTRY, data, at + DIRECTORY.size, directory["blocks"])


def check_lineage(data, trailer, directory, expected):
    at = trailer["directory_offset"] + DIRECTORY.size + directory["blocks"] * ENTRY.size
    for name, layout, count in (("replaced", REPLACED, "replaces"), ("positions", POSITION, "positions")):
        found = read_all(layout, data, at, directory[count])
        must(len(found) == len(expected[name]), name)
        for number, entry in enumerate(found):
            same(entry, expected[name][number], f"{name} {number}")
        at += len(found) * layout.size


def check_header(data, directory, entries):
    header = HEADER.read(data)
    must(HEADER.size == PAGE, "the header page has 4096 bytes")
    must(header["magic"] == magic_of("Segment", "Header page") and header["major"] == 1, "magic or version")
    must(crc32c(HEADER.without("crc", data)) == header["crc"], "crc of the header page")
    for name in ("major", "minor", "min_reader", "shard", "instance", "seq", "created_ns"):
        must(header[name] == directory[name], f"{name} of header and directory")
    must(header["block_seq"] == entries[0]["seq"] and header["lsn_first"] == entries[0]["lsn_first"], "the first block")
    return header


def check_block(data, entry, number):
    block = Block(data[entry["offset"]:entry["offset"] + entry["bytes"]])
    for name in set(entry) - {"offset", "flags"}:
        must(entry[name] == block.header[name], f"{name} of block {number} and of its entry")
    return block


# ---- filters ---------------------------------------------------------------------------------------------------------
def cells_for(keys, bits):
    cells = 1
    while cells < CELLS_MAX and cells * CELL_BYTES * 8 < keys * bits:
        cells *= 2
    return cells


def build(hashes, cells):
    """The cells of a filter as numbers of 256 bits."""
    found = [0] * cells
    for one in hashes:
        for word, salt in enumerate(SALTS):
            found[(one >> 32) * cells >> 32] |= 1 << 32 * word + (((one & 0xFFFFFFFF) * salt & 0xFFFFFFFF) >> 27)
    return found


def resized(cells, count):
    while len(cells) > count:
        cells = [cells[i] | cells[i + 1] for i in range(0, len(cells), 2)]
    while len(cells) < count:
        cells = [cell for cell in cells for _ in range(2)]
    return cells


def check_rows_of(data, at, kind, hashes, cells):
    """Filters of all blocks, interleaved: cell by cell what the hashes of each block make. Returns the end."""
    must(cells == max(cells_for(len(own), BITS_KEPT[kind]) for own in hashes), f"cells of kind {kind}")
    columns = [resized(build(own, cells_for(len(own), BITS_BUILT[kind])), cells) for own in hashes]
    size = len(hashes) * CELL_BYTES
    for row in range(cells):
        stored = data[at:at + size]
        made = b"".join(column[row].to_bytes(CELL_BYTES, "little") for column in columns)
        must(stored == made, f"row {row} of kind {kind}")
        crc = int.from_bytes(data[at + size:at + size + 4], "little")
        must(crc32c(stored, row | kind << 31) == crc, f"crc of row {row} of kind {kind}")
        at += size + 4
    return at


def check_filters(data, directory, blocks, end):
    traces = [{xxh64(trace) for trace in block.traces} for block in blocks]
    must(directory["trace_rows_offset"] == end, "rows of traces begin behind the directory")
    end = check_rows_of(data, end, TRACE, traces, directory["trace_cells"])
    must(directory["token_rows_offset"] == end, "rows of tokens begin behind those of traces")
    end = check_rows_of(data, end, TOKEN, [tokens(block) for block in blocks], directory["token_cells"])
    must(len(data) % PAGE == 0 and not any(data[end:-TRAILER.size]), "zeros before the trailer")


def check():
    expected = expected_of("segment")
    data = golden("segment-v1.bin")
    trailer = check_trailer(data)
    directory, entries = check_directory(data, trailer)
    same(check_header(data, directory, entries), expected["header"], "header page")
    same(trailer, expected["trailer"], "trailer")
    same(directory, expected["directory"], "directory")
    must(len(entries) == len(expected["entries"]) > 1, "entries")
    end, blocks = PAGE, []
    for number, entry in enumerate(entries):
        same(entry, expected["entries"][number], f"entry {number}")
        must(entry["offset"] == end, f"block {number} follows the one before")
        blocks.append(check_block(data, entry, number))
        check_rows(blocks[-1], expected["rows"], number)
        end += entry["bytes"]
    must(trailer["directory_offset"] == end, "the directory follows the last block")
    check_lineage(data, trailer, directory, expected)
    must(len({entry["flags"] for entry in entries}) == 1 and entries[0]["flags"] == 0, "flags")
    check_filters(data, directory, blocks, end + trailer["directory_length"])
