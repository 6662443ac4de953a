"""The golden lists by the tables of FORMAT.md, against pins-v1.json and erasures-v1.json."""
from tables import Layout, crc32c, expected_of, golden, must, same, table

HEADER = Layout("Lists", "List header")
RECORD = Layout("Lists", "List record")
MAGICS = next(row[3] for row in table("Lists", "List header", "offset") if row[2] == "magic")


def check_records(data, expected, next_id):
    at, last_id = HEADER.size, 0
    for record_expected in expected:
        record = RECORD.read(data, at)
        must(record["bytes"] % 8 == 0 and last_id < record["id"] < next_id, "bytes or id")
        last_id, text = record["id"], at + RECORD.size
        for name in ("filter", "owner", "reason"):
            record[name] = data[text:text + record[f"{name}_bytes"]]
            text += record[f"{name}_bytes"]
        at += record["bytes"]
        must(text <= at < text + 8 and not any(data[text:at]), "padding")
        same(record, record_expected, f"record {record['id']}")
    must(at == len(data), "records fill the file")


def check():
    for kind, magic in (("pins", "SMPINS01"), ("erasures", "SMERASE1")):
        must(f"`{magic}` of {kind}" in MAGICS, f"magic of {kind}")
        expected, data = expected_of(kind), golden(f"{kind}-v1.bin")
        header = HEADER.read(data)
        must(header["magic"] == magic.encode() and header["bytes"] == len(data), "magic or bytes")
        must(crc32c(HEADER.without("crc", data) + data[HEADER.size:]) == header["crc"], "crc")
        same(header, expected["header"], f"header of {kind}")
        must(header["count"] == len(expected["records"]), "count")
        check_records(data, expected["records"], header["next_id"])
