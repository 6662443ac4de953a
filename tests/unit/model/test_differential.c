/*
 * Our decoder against protobuf-c (row B9): the same bytes, mutated in every way, must get the same verdict and mean the
 * same spans. reference.h says what the two are known to see differently.
 */
#include "maker.h"
#include "message.h"
#include "often.h"
#include "reference.h"

#include <criterion/criterion.h>

/* A message in a form that `xxd -r -p | protoc --decode_raw` reads. */
static const char *hex(struct slice bytes)
{
    static char text[2 * REFERENCE_BYTES_MAX + 1];

    for (size_t i = 0; i < bytes.len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    return text;
}

static void judge(struct otlp_decoder *decoder, struct slice body, struct reference_tally *tally)
{
    struct rebuilt ours = {0};
    struct otlp_result result;
    enum err err;

    const char *const wrong = reference_judge(decoder, body, &ours, &result, &err, tally);
    often_assert_msg(wrong == NULL, "%s: %s; fault: %s at %lu", wrong, hex(body),
                     result.fault.reason == NULL ? "none" : result.fault.reason, result.fault.offset);
    rebuilt_free(&ours);
}

enum { MUTANT_BYTES_MAX = 4096 };

/* ---- mutations --------------------------------------------------------------------------------------- */

static size_t mutate(struct maker *maker, uint8_t *bytes, size_t len)
{
    const size_t at = maker_below(maker, (uint32_t)len);

    switch (maker_below(maker, 9)) {
    case 0: bytes[at] ^= (uint8_t)(1u << maker_below(maker, 8)); return len;
    case 1: bytes[at] = (uint8_t)maker_next(maker); return len;
    case 2: bytes[at] += (uint8_t)(maker_below(maker, 2) * 2 - 1); return len;
    case 3: /* take a piece out */ {
        const size_t piece = 1 + maker_below(maker, 4);
        if (at + piece >= len) return len;
        memmove(bytes + at, bytes + at + piece, len - at - piece);
        return len - piece;
    }
    case 4: /* double a piece */ {
        const size_t piece = 1 + maker_below(maker, 16);
        if (at + piece > len || len + piece > MUTANT_BYTES_MAX) return len;
        memmove(bytes + at + piece, bytes + at, len - at);
        return len + piece;
    }
    case 5: /* a piece from elsewhere */ {
        const size_t piece = 1 + maker_below(maker, 12), from = maker_below(maker, (uint32_t)len);
        if (at + piece > len || from + piece > len) return len;
        memmove(bytes + at, bytes + from, piece);
        return len;
    }
    case 6: return maker_below(maker, 4) == 0 ? at + 1 : len; /* cut */
    case 7: bytes[at] = (uint8_t)(maker_below(maker, 17) << 3 | maker_below(maker, 6)); return len;
    default: bytes[at] |= 0x80; return len;
    }
}

static void report(const char *what, const struct reference_tally *tally)
{
    cr_log_info(
        "%s: %lu tried, %lu equal, %lu refused by both; by rule: %lu stricter, %lu looser, %lu rejected, "
        "%lu merging, %lu unjudged\n",
        what, tally->tried, tally->accepted, tally->refused, tally->stricter, tally->looser, tally->rejected,
        tally->merging, tally->unjudged);
}

static void run(uint64_t seed, unsigned wildness, unsigned mutations, uint32_t rounds, uint32_t mutants,
                struct reference_tally *tally)
{
    struct maker maker = {.state = seed, .wildness = wildness, .invalid_ids = 20, .traces = 5};
    struct otlp_decoder *decoder;

    cr_assert_eq(otlp_decoder_open(&decoder), OK);
    for (uint32_t i = 0; i < rounds; i++) {
        struct message body = maker_body(&maker, 1 + maker_below(&maker, 2));
        uint8_t *const mutant = malloc(MUTANT_BYTES_MAX);
        for (uint32_t k = 0; k < mutants && body.len > 0 && body.len < MUTANT_BYTES_MAX; k++) {
            size_t len = body.len;
            memcpy(mutant, body.bytes, len);
            for (unsigned m = 0; m < mutations && len > 0; m++)
                len = mutate(&maker, mutant, len);
            uint8_t *const tight = malloc(len > 0 ? len : 1); /* so that reading past it is seen */
            memcpy(tight, mutant, len);
            judge(decoder, slice_of(tight, len), tally);
            free(tight);
        }
        free(mutant);
        message_free(&body);
    }
    otlp_decoder_close(decoder);
}

/* What nobody has spoilt must be equal without exception. */
Test(differential, B9_plain_messages_mean_the_same)
{
    struct reference_tally tally = {0};

    run(1, 0, 0, 20000, 1, &tally);
    report("plain", &tally);
    cr_assert_eq(tally.accepted, tally.tried);
}

Test(differential, B9_wild_messages_mean_the_same)
{
    struct reference_tally tally = {0};

    run(2, 30, 0, 20000, 1, &tally);
    report("wild", &tally);
    cr_assert_gt(tally.accepted, tally.tried / 2);
    cr_assert_eq(tally.refused + tally.stricter, 0, "all of it is legal");
}

Test(differential, B9_lightly_spoilt_messages_get_the_same_verdict)
{
    struct reference_tally tally = {0};

    run(3, 5, 1, 3000, 50, &tally);
    report("one mutation", &tally);
    cr_assert_gt(tally.accepted + tally.refused, 130000);
    cr_assert_gt(tally.accepted, 20000);
    cr_assert_gt(tally.refused, 20000);
}

Test(differential, B9_heavily_spoilt_messages_get_the_same_verdict)
{
    struct reference_tally tally = {0};

    run(4, 20, 4, 2500, 50, &tally);
    report("four mutations", &tally);
    cr_assert_gt(tally.accepted + tally.refused, 90000);
}
