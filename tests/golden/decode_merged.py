"""The golden merged segment by the tables of FORMAT.md: what it holds and what it stands for, against merged-v1.json."""
from decode_block import tokens
from decode_segment import (PAGE, check_block, check_directory, check_filters, check_header, check_lineage,
                            check_trailer)
from tables import expected_of, golden, must, same


def check():
    expected = expected_of("merged")
    data = golden("merged-v1.bin")
    trailer = check_trailer(data)
    directory, entries = check_directory(data, trailer)
    header = check_header(data, directory, entries)
    same(header, expected["header"], "header page")
    same(trailer, expected["trailer"], "trailer")
    same(directory, expected["directory"], "directory")
    must(header["shard"] == 1024 and directory["level"] > 0 and directory["replaces"] > 0, "it is a merged one")
    check_lineage(data, trailer, directory, expected)
    end, blocks = PAGE, []
    for number, entry in enumerate(entries):
        same(entry, expected["entries"][number], f"entry {number}")
        must(entry["offset"] == end and entry["shard"] == 1024 and entry["lsn_end"] == 0, f"entry {number}")
        blocks.append(check_block(data, entry, number))
        must(number == 0 or entries[number - 1]["trace_max"] <= entry["trace_min"], f"block {number} is in order")
        must(len(tokens(blocks[-1])) > 0, f"tokens of block {number}")
        end += entry["bytes"]
    check_filters(data, directory, blocks, end + trailer["directory_length"])
