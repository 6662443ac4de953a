/*
 * Foreign bytes as a request. The body is decoded by a plain rebuild, by protobuf-c where that is safe, and twice into a
 * live block, between requests that are known to be good. All must agree: on the verdict, on the spans, and on the bytes
 * of each span in canonical form; a refused request must leave nothing in the block, and one that is taken must come back
 * from the encoded block as well.
 *
 *   input   the body
 */
#include "../../src/store/block_format.h"

#include "base/log.h"
#include "model/maker.h"
#include "model/reference.h"
#include "store/block_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct block_case block;
static struct message good; /* some ordinary spans, so that templates and tables are not empty */

static void begin(void)
{
    struct maker maker = {.state = 1};

    log_set_level(LOG_ERROR + 1);
    block = block_case_open();
    good = maker_body(&maker, 4);
}

/* What a store writes is read again as the same span. */
static void check_canonical(const struct rebuilt *spans)
{
    for (uint32_t i = 0; i < spans->spans_count; i++) {
        struct message scope_spans = {0};
        struct rebuilt again = {0};
        struct otlp_result result;
        message_bytes(&scope_spans, 2, spans->spans[i].bytes);
        struct message body = message_body_of_scope_spans(&scope_spans);
        if (rebuild(block.live.decoder, message_slice(&body), &again, &result) != OK ||
            again.spans_count != 1)
            abort();
        if (!slice_equal(again.spans[0].bytes, spans->spans[i].bytes)) abort();
        rebuilt_free(&again);
        message_free(&body);
    }
}

static enum err check_reference(struct slice body)
{
    struct reference_tally tally = {0};
    struct rebuilt spans = {0};
    struct otlp_result result;
    enum err err;

    if (body.len <= REFERENCE_BYTES_MAX) {
        const char *const wrong = reference_judge(block.live.decoder, body, &spans, &result, &err, &tally);
        if (wrong != NULL) {
            fprintf(stderr, "%s; fault: %s at %lu\n", wrong,
                    result.fault.reason == NULL ? "none" : result.fault.reason, result.fault.offset);
            abort();
        }
    } else {
        err = rebuild(block.live.decoder, body, &spans, &result);
    }
    if (err == OK) check_canonical(&spans);
    rebuilt_free(&spans);
    return err;
}

/* The rows as a block, read back. */
static void check_block(void)
{
    if (block_case_encode(&block) != OK) abort();
    if (block_case_difference(&block, block.reader, 0, block.live.live->counts.rows) != UINT32_MAX) abort();
    block_case_drop(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice body = slice_of(data, size);

    if (block.encoder == NULL) begin();
    struct live_case *const c = &block.live;
    const enum err expected = check_reference(body);
    live_case_reset(c);
    if (live_case_append(c, message_slice(&good)) != OK) abort();
    for (unsigned turn = 0; turn < 2; turn++) /* the second time all of it is known */
        if (live_case_append(c, body) != expected) abort();
    if (live_case_append(c, message_slice(&good)) != OK) abort();
    if (live_case_difference(c) != UINT32_MAX) abort();
    live_case_check(c);
    if (expected == OK) check_block();
    return 0;
}
