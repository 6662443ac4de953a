"""Ledgers by the tables of FORMAT.md, and what the rows of blocks say themselves."""
from collections import Counter

from tables import fields, must, numbers, table, varint

COUNTS = numbers("Ledger", "", "bit")
STEPS = {int(step): int(minutes) for step, minutes in table("Ledger", "", "step")}
NAME_BYTES_MAX = 256


def read_ledger(data):
    """(service, minute, count) -> spans, and the step."""
    step, at = data[0], 2
    must(step in STEPS and data[1] == 0, "step and flags")
    count, at = varint(data, at)
    names = []
    for _ in range(count):
        size, at = varint(data, at)
        names.append(data[at:at + size])
        at += size
    must(names == sorted(set(names)), "services ascend")
    rows, at = varint(data, at)
    found, service, minute, before = {}, 0, 0, (-1, 0)
    for _ in range(rows):
        more, at = varint(data, at)
        minute = minute if more == 0 else 0
        service += more
        more, at = varint(data, at)
        minute += more
        must((service, minute) > before, "rows ascend")
        must(minute % STEPS[step] == 0 if STEPS[step] else minute == 0, "the minute is one of the step")
        before = (service, minute)
        mask, at = varint(data, at)
        for name, bit in COUNTS.items():
            if mask >> bit & 1:
                found[names[service], minute, name], at = varint(data, at)
        row = {name: found.get((names[service], minute, name), 0) for name in COUNTS}
        must(row["received"] == sum(row.values()) - row["received"], "received is the sum of all others")
    must(at == len(data), "bytes behind the last row")
    return found, step


def rows_of(spans, service_of):
    """(service, minute) -> rows, of (Span message, resource, scope)."""
    found = Counter()
    for message, resource, _ in spans:
        start = [int.from_bytes(value, "little") for number, value in fields(message) if number == 7]
        found[service_of(resource)[:NAME_BYTES_MAX], (start[-1] if start else 0) // 60_000_000_000] += 1
    return found


def check_stored(ledger, rows):
    stored = {key[:2]: spans for key, spans in ledger.items() if key[2] == "stored"}
    must(stored == dict(rows), f"stored: {len(stored)} rows of the ledger are not the {len(rows)} of the spans")
