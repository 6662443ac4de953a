/*
 * A body's memory comes from the shard's budget as bytes arrive: 64 KiB to begin with, then at most sixteen
 * times what has arrived, so that announcing a large body and sending nothing holds little. Nothing waits
 * while holding memory: no room for the next step is a refusal.
 *
 * Its deadline is one number: begin + grace + bytes received / minimum rate, and never beyond the absolute
 * limit.
 */
#include "intake.h"

#include "base/clock.h"

enum { FIRST_BYTES = 64 * 1024, TRUST = 16 };

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool intake_begin(struct shard *shard, uint64_t bytes_max, struct shard_body *out)
{
    if (!shard_body_acquire(shard, at_most(bytes_max, FIRST_BYTES), out)) {
        out->ptr = NULL;
        return false;
    }
    out->len = 0;
    return true;
}

uint64_t intake_trusted(const struct shard_body *body, uint64_t bytes_max)
{
    return at_most(body->len * TRUST, bytes_max);
}

bool intake_make_room(struct shard *shard, struct shard_body *body, uint64_t more, uint64_t bytes_max)
{
    const uint64_t need = body->len + more, trusted = intake_trusted(body, bytes_max);

    return need <= body->capacity || shard_body_grow(shard, body, need > trusted ? need : trusted);
}

uint64_t intake_deadline_ns(const struct server_limits *limits, uint64_t begin_ns, uint64_t bytes)
{
    const uint64_t earned_ns = at_most(bytes, UINT64_MAX / NS_PER_S) * NS_PER_S / limits->body_rate_bytes_min;

    return begin_ns + at_most(limits->body_grace_ns + earned_ns, limits->body_ns_max);
}
