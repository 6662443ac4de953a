"""What spanmill-load was acknowledged, as traces: which ids must be there, with how many spans.

    templates = Templates(dump, seed)             bodies by spanmill-load --dump, see dump_words()
    acked = Acked("acked", templates, seed)       the file of --acked-log
    acked.read()                                  what was appended since, of however many runs
    acked.draw(dice, 200)                         [(trace id in hex, spans, spans acknowledged before it)]

The log has a line for each acknowledged request: round and number of the body. The generator makes ids from them without
state (src/load/stamp.c), so a dump of one round tells all others: which trace has how many spans in which body.
"""
from harness import first, spans_in

GIANT_SPANS = 20_000  # the generator's default; round 4 of every 16 has a trace of so many, in bodies of its own
GIANT_ROUND = 4
DUMP_RUN = 1
MASK = (1 << 64) - 1


# ---- ids ------------------------------------------------------------------------------------------------------------
def mix(x):
    """dice_mix() of src/load/dice.h"""
    x &= MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def id_keys(seed, run):
    """Of trace ids: number i of round r is mix(key + (r << 28 | i)), for either half."""
    base = mix(mix(seed) ^ run * 0x9E3779B97F4A7C15 & MASK)
    return mix(base + 1), mix(base + 2)


def trace_id(keys, round_number, index):
    at = (round_number << 28) + index
    return b"".join(mix(key + at).to_bytes(8, "little") for key in keys)


# ---- templates --------------------------------------------------------------------------------------------------------
def bodies_of(path):
    """[u32 big-endian length][body]..."""
    with open(path, "rb") as file:
        while head := file.read(4):
            yield file.read(int.from_bytes(head, "big"))


def count_traces(body):
    """Trace id -> spans. The id comes first in a span, as the generator writes it."""
    counts = {}
    for span in spans_in(body):
        found = span[2:18] if span[:2] == b"\x0a\x10" else first(span, 1)
        counts[found] = counts.get(found, 0) + 1
    return counts


class Templates:
    """Trace -> body -> spans; traces are numbered as the generator does, the large one last."""

    def __init__(self, dump, path, seed):
        """dump(*words) runs spanmill-load with the words and what it takes to make the bodies; path: where they may lie."""
        dump("--dump", path, "--run", DUMP_RUN, "--giant", 0)
        counts = [count_traces(body) for body in bodies_of(path)]
        self.main, round_spans = len(counts), sum(sum(count.values()) for count in counts)
        dump("--dump", path, "--run", DUMP_RUN, "--giant", GIANT_SPANS, "--spans", (GIANT_ROUND + 1) * round_spans + GIANT_SPANS)
        counts += [count_traces(body) for number, body in enumerate(bodies_of(path)) if number >= (GIANT_ROUND + 1) * self.main]
        number = {}
        for count in counts:
            for found in count:
                number.setdefault(found, len(number))
        self.giant = len(number) - 1
        keys = id_keys(seed, DUMP_RUN)
        for found, index in number.items():
            if found != trace_id(keys, GIANT_ROUND if index == self.giant else 0, index):
                raise RuntimeError("the generator makes ids otherwise than tests/e2e/acked.py believes")
        self.of_body = [[number[found] for found in count] for count in counts]
        self.body_spans = [sum(count.values()) for count in counts]
        self.spans = [{} for _ in number]
        for body, count in enumerate(counts):
            for found, spans in count.items():
                self.spans[number[found]][body] = spans


# ---- the log --------------------------------------------------------------------------------------------------------
class Acked:
    def __init__(self, path, templates, seed):
        self.path, self.templates, self.seed, self.offset = path, templates, seed, 0
        self.rows = []     # (run, round, body, spans that came before)
        self.bodies = {}   # (run, round) -> set of bodies
        self.torn = set()  # (run, round): some spans were rejected, nobody knows which
        self.keys, self.run, self.spans = {}, None, 0

    def read(self):
        with open(self.path, encoding="ascii") as file:
            file.seek(self.offset)
            while line := file.readline():
                self.take(line.split())
            self.offset = file.tell()

    def take(self, words):
        if words[0] == "run":
            self.run = int(dict(word.split("=", 1) for word in words[1:])["run"])
            self.keys[self.run] = id_keys(self.seed, self.run)
            return
        number, body = int(words[1]), int(words[2])
        if words[0] != "a":
            self.torn.add((self.run, number))
        self.rows.append((self.run, number, body, self.spans))
        self.bodies.setdefault((self.run, number), set()).add(body)
        self.spans += self.templates.body_spans[body]

    def expect(self, row, index):
        """(id, spans, spans acknowledged before it)"""
        run, number, _, position = row
        there = self.bodies[run, number]
        spans = sum(count for body, count in self.templates.spans[index].items() if body in there)
        return trace_id(self.keys[run], number, index).hex(), spans, position

    def is_sure(self, row):
        return row[:2] not in self.torn

    def draw(self, dice, count):
        """Traces of ordinary size, over all ages: one from each of count equal stretches of the log."""
        drawn = []
        while len(drawn) < count:
            row = self.rows[int(len(self.rows) * (len(drawn) + dice.random()) / count)]
            while row[2] >= self.templates.main or not self.is_sure(row):
                row = dice.choice(self.rows)
            drawn.append(self.expect(row, dice.choice(self.templates.of_body[row[2]])))
        return drawn

    def latest_giant(self):
        """None when no part of a large trace was acknowledged."""
        row = next((row for row in reversed(self.rows) if row[2] >= self.templates.main and self.is_sure(row)), None)
        return self.expect(row, self.templates.giant) if row else None
