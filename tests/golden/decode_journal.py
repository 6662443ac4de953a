"""The golden journal by the tables of FORMAT.md: the walk over its frames, against journal-v1.json."""
from tables import Layout, crc32c, expected_of, golden, magic_of, must, same, table

HEADER = Layout("Journal", "Files")
FRAME = Layout("Journal", "Frames", 0)
CONTROL = Layout("Journal", "Frames", 1)
BATCH, NOTE, GENERATION, FILE = range(1, 5)
PAGE_END = 1
PAGE = 4096
must("1 BATCH, 2 NOTE, 3 GENERATION, 4 FILE" in [row[3] for row in table("Journal", "Frames", "offset") if row[2] == "type"],
     "FORMAT.md: types of frames")


def up(value, unit):
    return -(-value // unit) * unit


class Journal:
    """All files of one journal, in the order of their stretches."""

    def __init__(self, files, expected):
        self.headers = [self.file_header(data) for data in files]
        for number, (header, wanted) in enumerate(zip(self.headers, expected)):
            same(header, wanted, f"header of file {number}")
        first = self.headers[0]
        must(len({(header["salt"], header["shard"], header["file_bytes"]) for header in self.headers}) == 1, "one journal")
        self.low, self.high = first["salt"] & 0xFFFFFFFF, first["salt"] >> 32
        self.stretch = first["file_bytes"] - PAGE
        self.files = [data + bytes(first["file_bytes"] - len(data)) for data in files]

    @staticmethod
    def file_header(data):
        must(HEADER.size == PAGE, "the header page has 4096 bytes")
        header = HEADER.read(data + bytes(PAGE))
        offset, _ = HEADER.fields["crc"]
        must(header["magic"] == magic_of("Journal", "Files") and header["major"] == 1, "magic or version of a file")
        must(crc32c(data[:offset]) == header["crc"], "crc of a file's header")
        return header

    def frame(self, lsn):
        """The sound frame at this position, with its body; None: no frame."""
        number, offset = lsn // self.stretch, lsn % self.stretch + PAGE
        if number >= len(self.files) or offset + FRAME.size > len(self.files[number]):
            return None
        data = self.files[number]
        frame = FRAME.read(data, offset)
        if frame["magic"] != magic_of("Journal", "Frames"):
            return None
        body = data[offset + FRAME.size:offset + FRAME.size + frame["body_len"]]
        must(crc32c(FRAME.without("header_crc", data, offset), self.low) == frame["header_crc"], f"header_crc at {lsn}")
        must(crc32c(body, self.high) == frame["body_crc"], f"body_crc at {lsn}")
        must(len(body) == frame["body_len"], f"the frame at {lsn} does not lie in one file")
        must(frame["lsn"] == lsn and frame["shard"] == self.headers[0]["shard"], f"lsn or shard at {lsn}")
        must(frame["not_yet_durable"] <= lsn, f"not_yet_durable at {lsn}")
        end = offset + FRAME.size + len(body)
        must(not any(data[end:up(end, 8)]), f"padding of the frame at {lsn}")
        return frame, body

    def next(self, last, end):
        """What follows at X = end, by the rules of the walk, with the rule's number."""
        chain, generation = last["header_crc"], last["generation"]
        at = up(end, PAGE) if last["flags"] & PAGE_END else end
        for rule, lsn in ((1, at), (2, up(end, PAGE)), (3, up(end, self.stretch))):
            found = self.frame(lsn)
            if found is None or found[0]["prev_crc"] != chain:
                continue
            frame, body = found
            later = frame["generation"] > generation if frame["type"] == GENERATION else frame["generation"] == generation
            named = rule == 1 or frame["type"] in (GENERATION, FILE) and CONTROL.read(body)["continues_lsn"] == end
            if later and named and (rule != 2 or frame["type"] == GENERATION):
                return frame, body, rule
        return None

    def walk(self):
        frame, body = self.frame(0)
        must(frame["type"] in (GENERATION, FILE) and frame["prev_crc"] == 0, "the first frame")
        yield frame, body, 0
        while True:
            end = frame["lsn"] + up(FRAME.size + len(body), 8)
            found = self.next(frame, end)
            if found is None:
                return
            frame, body, rule = found
            yield frame, body, rule


def check_frame(frame, body, expected):
    record = dict(frame)
    del record["magic"]
    if frame["type"] == BATCH:
        record["body"] = body
    else:
        must(len(body) == CONTROL.size, f"a control body has {CONTROL.size} bytes")
        record.update(CONTROL.read(body))
    same(record, expected, f"frame at {frame['lsn']}")


def check():
    expected = expected_of("journal")
    journal = Journal([golden("journal-v1-0.bin"), golden("journal-v1-1.bin")], expected["files"])
    found, rules = [], set()
    for frame, body, rule in journal.walk():
        must(len(found) < len(expected["frames"]), "more frames than were written")
        check_frame(frame, body, expected["frames"][len(found)])
        found.append(frame)
        rules.add(rule)
    must(len(found) == len(expected["frames"]), f"the walk ends after {len(found)} of {len(expected['frames'])} frames")
    must({frame["type"] for frame in found} == {BATCH, NOTE, GENERATION, FILE}, "there are not frames of all types")
    must({frame["flags"] for frame in found} == {0, PAGE_END}, "there are not frames with and without PAGE_END")
    must(any(frame["not_yet_durable"] for frame in found), "no frame was built while another was in flight")
    must(found[-1]["generation"] == 2, "there are not two lives")
