"""The golden superblock by the table of FORMAT.md, against superblock-v1.json."""
from tables import Layout, crc32c, expected_of, golden, magic_of, must, same

PAGE = Layout("Superblock", "")


def check():
    expected = expected_of("superblock")
    data = golden("superblock-v1.bin")
    must(PAGE.size == 4096 and data == data[:PAGE.size] * 2, "one record of 4096 bytes, twice")
    page = PAGE.read(data)
    must(page["magic"] == magic_of("Superblock", "") and page["major"] == page["min_reader"] == 1, "magic or version")
    must(crc32c(PAGE.without("crc", data)) == page["crc"], "crc")
    instance = int.from_bytes(page["uuid"][:8], "little")
    same({"instance": instance, "uuid": page["uuid"], "created_ns": page["created_ns"]}, expected, "superblock")
