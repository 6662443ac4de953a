"""The golden merged segment by the tables of FORMAT.md: what it holds and what it stands for, against merged-v1.json."""
from collections import Counter

from decode_block import check_ledger, tokens
from decode_segment import (PAGE, check_block, check_directory, check_filters, check_header, check_lineage,
                            check_trailer)
from ledgers import check_stored, read_ledger
from tables import crc32c, expected_of, golden, must, same


def check_whole_ledger(data, directory, blocks, end):
    """Behind the blocks; it has their rows, and what was left out. Returns where the directory begins."""
    must(directory["ledger_offset"] == end, "the ledger follows the blocks")
    at = data[end:end + directory["ledger_bytes"]]
    must(crc32c(at) == directory["ledger_crc"], "ledger_crc")
    ledger, step = read_ledger(at)
    must(step == 0, "by the minute")
    check_stored(ledger, sum((check_ledger(block)[1] for block in blocks), Counter()))
    minutes = [minute for _, minute, _ in ledger]
    must((directory["minute_first"], directory["minute_last"]) == (min(minutes), max(minutes)), "minutes of the ledger")
    must({count for _, _, count in ledger} == {"received", "stored"}, "nothing was left out of the golden one")
    end += len(at)
    must(not any(data[end:end + -end % PAGE]), "zeros behind the ledger")
    return end + -end % PAGE


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
    end = check_whole_ledger(data, directory, blocks, end)
    must(end == trailer["directory_offset"], "the directory follows the ledger")
    check_filters(data, directory, blocks, end + trailer["directory_length"])
