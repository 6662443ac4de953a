/*
 * What each step of ingest costs a span, beside compressing the same bytes with zstd -1. One thread, no network,
 * no disk.
 *
 *   bench_steps FILE [--rounds N] [--only STEP] [--json]
 *
 * FILE is a sequence of [u32 big-endian length][ExportTraceServiceRequest], plain or zstd-compressed:
 * `spanmill-load --dump FILE`, or a capture.
 *
 *   decode   otlp_decode() into a sink that does nothing
 *   append   otlp_decode() into a live block, published: decode is in it
 *   encode   block_encode() of the live blocks that filled up
 *   filter   the two Bloom filters of such a block
 *   zstd     ZSTD_compressCCtx at level 1, one frame a body, one context for all
 *
 * A round goes from block to block and takes all steps of one before the next, in turns forwards and
 * backwards, so that a machine that slows down slows all of them. Each body is copied into one buffer before
 * its clock starts: a kernel has just written it when a server reads it. The clock is the CPU time of this
 * thread, less what reading it costs. Blocks that did not fill up do not count, unless there is no other.
 *
 * The first two passes are not measured: they find the blocks and touch the memory. During all later ones the
 * allocator counts what this thread takes while decoding and appending.
 *
 * Each step is a function run_STEP() that is not inlined, for tools/callgrind to count its instructions.
 */
#include "model/otlp.h"
#include "store/block.h"
#include "store/filter.h"
#include "store/live.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#define NOINLINE   static __attribute__((noinline))
#define WANTED_ALL ((1U << STEP_COUNT) - 1)

/* From jemalloc, when it is linked in. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

#define STEP_TABLE(X)                                                                                        \
    X(DECODE, "decode", "decoding alone")                                                                    \
    X(APPEND, "append", "decoding and appending")                                                            \
    X(ENCODE, "encode", "block from rows")                                                                   \
    X(FILTER, "filter", "filters of the block")                                                              \
    X(ZSTD, "zstd", "zstd -1 over the bodies")

enum step {
#define X(id, name, help) STEP_##id,
    STEP_TABLE(X)
#undef X
        STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {
#define X(id, name, help) [STEP_##id] = name,
    STEP_TABLE(X)
#undef X
};
static const char *const step_help[STEP_COUNT] = {
#define X(id, name, help) [STEP_##id] = help,
    STEP_TABLE(X)
#undef X
};

enum {
    ROUNDS_MAX = 1000,
    BLOCKS_MAX = 1024,
    LOOKUPS = 1 << 16,
    TRACE_BITS = 16, /* as segments build their filters */
    TOKEN_BITS = 10,
    CELLS_MAX = 1 << 20,
};

struct bodies {
    uint8_t *bytes;
    size_t len;
    struct slice *at;
    size_t count;
    size_t len_max;
};

/* Bodies first to end - 1 fill one live block. */
struct range {
    size_t first, end;
    uint64_t spans, bytes;
};

struct bench {
    unsigned wanted; /* 1 << step */
    struct bodies bodies;
    struct range blocks[BLOCKS_MAX];
    size_t blocks_count;
    uint64_t spans, body_bytes; /* of those blocks */

    struct otlp_decoder *decoder;
    struct live_block *live;
    struct block_encoder *encoder;
    struct block_encoded encoded; /* of the last block */
    ZSTD_CCtx *zstd;
    uint8_t *hot;    /* the body at work */
    uint8_t *packed; /* what zstd makes of it */
    size_t packed_room;
    uint8_t *cells;

    double clock_ns;                               /* one reading */
    double step_ns[STEP_COUNT];                    /* of this round */
    double rounds[STEP_COUNT][ROUNDS_MAX];         /* ns a span */
    uint64_t block_bytes, zstd_bytes, filter_keys; /* of the last round */
    uint64_t allocated_bytes;                      /* while decoding and appending */
    uint64_t bodies_allocating, bodies_appended;
    double present_ns, absent_ns; /* a lookup in the trace filter of the last block */
    uint64_t false_positives;
};

static inline bool wants(const struct bench *bench, enum step step)
{
    return (bench->wanted & 1U << step) != 0;
}

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "bench_steps: %s\n", what);
    exit(1);
}

/* ---- the file ------------------------------------------------------------------------------------------- */

static uint8_t *grow(uint8_t *bytes, size_t room)
{
    uint8_t *const larger = realloc(bytes, room);

    must(larger != NULL, "no memory");
    return larger;
}

static void read_file(const char *path, struct bodies *bodies)
{
    FILE *const file = fopen(path, "rb");
    size_t room = 0, got;

    must(file != NULL, "cannot open the file");
    do {
        if (room - bodies->len < 1 << 20) bodies->bytes = grow(bodies->bytes, room = 2 * room + (1 << 20));
        got = fread(bodies->bytes + bodies->len, 1, room - bodies->len, file);
        bodies->len += got;
    } while (got > 0);
    must(!ferror(file), "cannot read the file");
    fclose(file);
}

static void inflate(struct bodies *bodies)
{
    ZSTD_DCtx *const stream = ZSTD_createDCtx();
    ZSTD_inBuffer in = {bodies->bytes, bodies->len, 0};
    ZSTD_outBuffer out = {NULL, 0, 0};
    size_t left = 1;

    must(stream != NULL, "no memory");
    while (in.pos < in.size || left != 0) {
        if (out.size - out.pos < 1 << 20) out.dst = grow(out.dst, out.size = 2 * out.size + (1 << 20));
        const size_t before = in.pos + out.pos;
        left = ZSTD_decompressStream(stream, &out, &in);
        must(!ZSTD_isError(left), "damaged zstd frame");
        must(in.pos + out.pos > before || left == 0, "zstd frame cut short");
    }
    ZSTD_freeDCtx(stream);
    free(bodies->bytes);
    bodies->bytes = out.dst;
    bodies->len = out.pos;
}

static uint32_t length_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void find_bodies(struct bodies *bodies)
{
    size_t room = 0;

    for (size_t at = 0; at < bodies->len;) {
        must(bodies->len - at >= 4 && length_at(bodies->bytes + at) <= bodies->len - at - 4,
             "not a sequence of [u32 length][body]");
        const size_t len = length_at(bodies->bytes + at);
        if (bodies->count == room) {
            bodies->at = realloc(bodies->at, (room = 2 * room + 1024) * sizeof *bodies->at);
            must(bodies->at != NULL, "no memory");
        }
        bodies->at[bodies->count++] = slice_of(bodies->bytes + at + 4, len);
        if (len > bodies->len_max) bodies->len_max = len;
        at += 4 + len;
    }
    must(bodies->count > 0, "no bodies in the file");
}

static void bodies_load(const char *path, struct bodies *bodies)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

    read_file(path, bodies);
    if (bodies->len >= 4 && memcmp(bodies->bytes, magic, 4) == 0) inflate(bodies);
    find_bodies(bodies);
}

/* ---- the clock, and what is counted --------------------------------------------------------------------- */

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The smallest of many, so that little of what is measured is taken off with it. */
static double clock_cost_ns(void)
{
    double least = 1e9;

    for (int i = 0; i < 10000; i++) {
        const double start = now_ns();
        const double cost = now_ns() - start;
        if (cost < least) least = cost;
    }
    return least;
}

static void step_add(struct bench *bench, enum step step, double start_ns)
{
    bench->step_ns[step] += now_ns() - start_ns - bench->clock_ns;
}

/* Bytes that this thread has taken from the allocator since it began: every malloc, however small, adds to it. */
static uint64_t allocated_bytes(void)
{
    uint64_t bytes = 0;
    size_t len = sizeof bytes;

    if (mallctl != NULL) must(mallctl("thread.allocated", &bytes, &len, NULL, 0) == 0, "mallctl");
    return bytes;
}

/* ---- steps, as tools/callgrind knows them ---------------------------------------------------------------------------------------------- */

static enum err null_resource(void *context, const struct resource_view *view, struct otlp_fault *fault)
{
    (void)context, (void)view, (void)fault;
    return OK;
}

static enum err null_scope(void *context, const struct scope_view *view, struct otlp_fault *fault)
{
    (void)context, (void)view, (void)fault;
    return OK;
}

static enum err null_span(void *context, const struct span_view *view, struct otlp_fault *fault)
{
    (void)context, (void)view, (void)fault;
    return OK;
}

static const struct otlp_sink null_sink = {null_resource, null_scope, null_span, NULL};

static struct slice make_hot(struct bench *bench, size_t body)
{
    const struct slice bytes = bench->bodies.at[body];

    memcpy(bench->hot, bytes.ptr, bytes.len);
    return slice_of(bench->hot, bytes.len);
}

NOINLINE void run_decode(struct bench *bench, struct slice bytes)
{
    struct otlp_result result;

    must(otlp_decode(bench->decoder, bytes, &null_sink, NULL, &result) == OK, "a body was refused");
}

/* Returns the spans. */
static uint32_t append_body(struct bench *bench, size_t body, struct slice bytes)
{
    struct otlp_result result;

    live_append_begin(bench->live);
    const enum err err = otlp_decode(bench->decoder, bytes, live_sink(), bench->live, &result);
    must(err == OK, "a body was refused");
    const struct live_counts counts = live_append_end(bench->live, body + 1, 1);
    live_publish(bench->live, &counts);
    return result.spans;
}

NOINLINE void run_append(struct bench *bench, size_t body, struct slice bytes)
{
    append_body(bench, body, bytes);
}

NOINLINE void run_encode(struct bench *bench)
{
    must(block_encode(bench->encoder, bench->live, &bench->encoded) == OK, "a block could not be encoded");
}

static struct filter filter_of(struct bench *bench, const uint64_t *hashes, size_t count, unsigned bits)
{
    struct filter filter = {.cells = filter_cells_for(count, bits, CELLS_MAX), .bytes = bench->cells};

    filter_build(&filter, hashes, count);
    return filter;
}

NOINLINE void run_filter(struct bench *bench)
{
    const struct block_encoded *const encoded = &bench->encoded;

    filter_of(bench, encoded->token_hashes, encoded->token_hashes_count, TOKEN_BITS);
    filter_of(bench, encoded->trace_hashes, encoded->trace_hashes_count, TRACE_BITS);
}

NOINLINE size_t run_zstd(struct bench *bench, struct slice bytes)
{
    const size_t len = ZSTD_compressCCtx(bench->zstd, bench->packed, bench->packed_room, bytes.ptr, bytes.len,
                                         1);

    must(!ZSTD_isError(len), "zstd failed");
    return len;
}

/* ---- each over one block --------------------------------------------------------------------------------- */

static void step_decode(struct bench *bench, const struct range *range)
{
    if (!wants(bench, STEP_DECODE)) return;
    for (size_t body = range->first; body < range->end; body++) {
        const struct slice bytes = make_hot(bench, body);
        const double start_ns = now_ns();
        run_decode(bench, bytes);
        step_add(bench, STEP_DECODE, start_ns);
    }
}

/* The allocator's number is read outside the clock. */
static void append_measured(struct bench *bench, size_t body)
{
    const struct slice bytes = make_hot(bench, body);
    const uint64_t allocated_before = allocated_bytes();

    const double start_ns = now_ns();
    run_append(bench, body, bytes);
    step_add(bench, STEP_APPEND, start_ns);

    const uint64_t allocated = allocated_bytes() - allocated_before;
    bench->allocated_bytes += allocated;
    bench->bodies_allocating += allocated > 0;
    bench->bodies_appended++;
}

/* Later steps need the rows, whether or not making them is measured. */
static void step_append(struct bench *bench, const struct range *range)
{
    const unsigned after = 1U << STEP_ENCODE | 1U << STEP_FILTER;

    if (!wants(bench, STEP_APPEND) && !(bench->wanted & after)) return;
    live_reset(bench->live, range->first, range->first);
    for (size_t body = range->first; body < range->end; body++) {
        if (wants(bench, STEP_APPEND))
            append_measured(bench, body);
        else
            append_body(bench, body, make_hot(bench, body));
    }
}

static void step_encode(struct bench *bench)
{
    if (!wants(bench, STEP_ENCODE) && !wants(bench, STEP_FILTER)) return;
    const double start_ns = now_ns();
    run_encode(bench);
    step_add(bench, STEP_ENCODE, start_ns);
    bench->block_bytes += bench->encoded.len;
}

static void step_filter(struct bench *bench)
{
    if (!wants(bench, STEP_FILTER)) return;
    const double start_ns = now_ns();
    run_filter(bench);
    step_add(bench, STEP_FILTER, start_ns);
    bench->filter_keys += bench->encoded.trace_hashes_count + bench->encoded.token_hashes_count;
}

static void step_zstd(struct bench *bench, const struct range *range)
{
    if (!wants(bench, STEP_ZSTD)) return;
    for (size_t body = range->first; body < range->end; body++) {
        const struct slice bytes = make_hot(bench, body);
        const double start_ns = now_ns();
        const size_t len = run_zstd(bench, bytes);
        step_add(bench, STEP_ZSTD, start_ns);
        bench->zstd_bytes += len;
    }
}

/* Lookups in the trace filter of the last block: keys that are there, and keys that are not. */
static void measure_lookups(struct bench *bench)
{
    const uint64_t *const hashes = bench->encoded.trace_hashes;
    const size_t count = bench->encoded.trace_hashes_count;
    const struct filter filter = filter_of(bench, hashes, count, TRACE_BITS);
    uint64_t found = 0;

    double start_ns = now_ns();
    for (size_t i = 0; i < LOOKUPS; i++)
        found += filter_may_contain(&filter, hashes[i * 2654435761U % count]);
    bench->present_ns = (now_ns() - start_ns) / LOOKUPS;
    must(found == LOOKUPS, "a filter denies what it holds");
    start_ns = now_ns();
    for (uint64_t i = 0; i < LOOKUPS; i++)
        bench->false_positives += filter_may_contain(&filter,
                                                     (i + 1) * 0x9e3779b97f4a7c15ULL ^ 0xd1b54a32d192ed03ULL);
    bench->absent_ns = (now_ns() - start_ns) / LOOKUPS;
}

/* ---- rounds --------------------------------------------------------------------------------------------- */

static void find_blocks(struct bench *bench)
{
    struct range range = {0};

    live_reset(bench->live, 0, 0);
    for (size_t body = 0; body < bench->bodies.count && bench->blocks_count < BLOCKS_MAX; body++) {
        const struct slice bytes = make_hot(bench, body);
        range.spans += append_body(bench, body, bytes);
        range.bytes += bytes.len;
        range.end = body + 1;
        const bool last = range.end == bench->bodies.count;
        if (!live_full(bench->live) && !(last && bench->blocks_count == 0)) continue;
        must(range.spans > 0, "no spans in the file");
        bench->blocks[bench->blocks_count++] = range;
        bench->spans += range.spans;
        bench->body_bytes += range.bytes;
        range = (struct range){.first = body + 1};
        live_reset(bench->live, bench->blocks_count, body + 1);
    }
}

static void run_block(struct bench *bench, const struct range *range, bool backwards)
{
    if (backwards)
        step_zstd(bench, range);
    else
        step_decode(bench, range);
    step_append(bench, range);
    step_encode(bench);
    step_filter(bench);
    if (backwards)
        step_decode(bench, range);
    else
        step_zstd(bench, range);
}

static void run_round(struct bench *bench, size_t round)
{
    memset(bench->step_ns, 0, sizeof bench->step_ns);
    bench->block_bytes = bench->zstd_bytes = bench->filter_keys = 0;
    for (size_t block = 0; block < bench->blocks_count; block++)
        run_block(bench, &bench->blocks[block], (round + block) % 2 == 1);
    for (unsigned step = 0; step < STEP_COUNT; step++)
        bench->rounds[step][round] = bench->step_ns[step] / (double)bench->spans;
}

static void run(struct bench *bench, size_t rounds)
{
    bench->clock_ns = clock_cost_ns();
    find_blocks(bench);
    run_round(bench, 0); /* a rehearsal */
    bench->allocated_bytes = bench->bodies_allocating = bench->bodies_appended = 0;
    for (size_t round = 0; round < rounds; round++)
        run_round(bench, round);
    if (wants(bench, STEP_FILTER)) measure_lookups(bench);
}

/* ---- telling -------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(const double *values, size_t count, double *least)
{
    static double sorted[ROUNDS_MAX];

    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare);
    if (least != NULL) *least = sorted[0];
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

/* Of the sum of some steps to zstd, in each round. */
static double ratio(const struct bench *bench, size_t rounds, unsigned steps)
{
    static double ratios[ROUNDS_MAX];

    for (size_t round = 0; round < rounds; round++) {
        double sum_ns = 0;
        for (unsigned step = 0; step < STEP_COUNT; step++)
            if (steps & 1U << step) sum_ns += bench->rounds[step][round];
        ratios[round] = sum_ns / bench->rounds[STEP_ZSTD][round];
    }
    return median(ratios, rounds, NULL);
}

enum { STEPS_WHOLE = 1 << STEP_APPEND | 1 << STEP_ENCODE | 1 << STEP_FILTER };

static void tell_allocations(const struct bench *bench)
{
    if (mallctl == NULL) {
        printf("allocations were not counted: no jemalloc in this build\n");
        return;
    }
    printf("%s: the allocator was asked during %" PRIu64 " of %" PRIu64 " bodies, for %" PRIu64 " bytes\n",
           bench->bodies_allocating == 0                            ? "no allocation (counted)"
           : bench->bodies_allocating * 50 < bench->bodies_appended ? "no allocation per span (counted)"
                                                                    : "ALLOCATES",
           bench->bodies_allocating, bench->bodies_appended, bench->allocated_bytes);
}

static void tell_table(const struct bench *bench, size_t rounds)
{
    const double spans = (double)bench->spans;
    double least;

    printf("%" PRIu64 " spans in %zu blocks, %.1f bytes a span, %.1f spans a body; %zu rounds\n\n",
           bench->spans, bench->blocks_count, (double)bench->body_bytes / spans,
           spans / (double)bench->blocks[bench->blocks_count - 1].end, rounds);
    printf("step     ns a span: least  median   ratio to zstd -1 (median of rounds)\n");
    for (unsigned step = 0; step < STEP_COUNT; step++) {
        if (!wants(bench, step)) continue;
        const double middle = median(bench->rounds[step], rounds, &least);
        printf("%-8s           %6.1f  %6.1f   ", step_names[step], least, middle);
        if (wants(bench, STEP_ZSTD))
            printf("%.3f   %s\n", ratio(bench, rounds, 1U << step), step_help[step]);
        else
            printf("-       %s\n", step_help[step]);
    }
    if (bench->wanted != WANTED_ALL) return;
    printf("whole                               %.3f   append + encode + filter\n\n",
           ratio(bench, rounds, STEPS_WHOLE));
    printf("bytes a span: block %.2f, zstd -1 %.2f, ratio %.3f\n", (double)bench->block_bytes / spans,
           (double)bench->zstd_bytes / spans, (double)bench->block_bytes / (double)bench->zstd_bytes);
    printf("filters: %.1f ns a key built; trace lookup %.1f ns present, %.1f ns absent, %.4f %% false\n",
           bench->step_ns[STEP_FILTER] / (double)bench->filter_keys, bench->present_ns, bench->absent_ns,
           (double)bench->false_positives * 100 / LOOKUPS);
    tell_allocations(bench);
}

static void tell_json(const struct bench *bench, size_t rounds)
{
    const double spans = (double)bench->spans;
    double least;

    printf("{\"spans\":%" PRIu64 ",\"blocks\":%zu,\"rounds\":%zu,\"body_bytes_per_span\":%.3f", bench->spans,
           bench->blocks_count, rounds, (double)bench->body_bytes / spans);
    for (unsigned step = 0; step < STEP_COUNT; step++) {
        if (!wants(bench, step)) continue;
        const double middle = median(bench->rounds[step], rounds, &least);
        printf(",\"%s\":{\"min_ns\":%.2f,\"median_ns\":%.2f", step_names[step], least, middle);
        if (wants(bench, STEP_ZSTD)) printf(",\"ratio_zstd1\":%.4f", ratio(bench, rounds, 1U << step));
        printf("}");
    }
    if (bench->wanted == WANTED_ALL)
        printf(",\"whole\":{\"ratio_zstd1\":%.4f},\"block_bytes_per_span\":%.3f,\"zstd1_bytes_per_span\":%.3f"
               ",\"allocations\":{\"counted\":%s,\"bodies\":%" PRIu64 ",\"of_bodies\":%" PRIu64
               ",\"bytes\":%" PRIu64 "}",
               ratio(bench, rounds, STEPS_WHOLE), (double)bench->block_bytes / spans,
               (double)bench->zstd_bytes / spans, mallctl != NULL ? "true" : "false",
               bench->bodies_allocating, bench->bodies_appended, bench->allocated_bytes);
    printf("}\n");
}

/* ---- start ---------------------------------------------------------------------------------------------- */

struct wish {
    const char *path;
    size_t rounds;
    unsigned wanted;
    bool json;
};

static unsigned step_named(const char *name)
{
    for (unsigned step = 0; step < STEP_COUNT; step++)
        if (strcmp(name, step_names[step]) == 0) return 1U << step;
    must(false, "no such step; see the top of bench_steps.c");
    return 0;
}

static struct wish wish_parse(int argc, char **argv)
{
    struct wish wish = {.rounds = 9, .wanted = WANTED_ALL};

    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--json") == 0)
            wish.json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && more)
            wish.rounds = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0 && more)
            wish.wanted = step_named(argv[++i]);
        else if (argv[i][0] != '-' && wish.path == NULL)
            wish.path = argv[i];
        else
            must(false, "unknown option; see the top of bench_steps.c");
    }
    must(wish.path != NULL, "usage: bench_steps FILE [--rounds N] [--only STEP] [--json]");
    must(wish.rounds > 0 && wish.rounds <= ROUNDS_MAX, "rounds: 1 to 1000");
    return wish;
}

static void bench_open(struct bench *bench, const char *path)
{
    bodies_load(path, &bench->bodies);
    bench->packed_room = ZSTD_compressBound(bench->bodies.len_max);
    bench->packed = malloc(bench->packed_room);
    bench->hot = malloc(bench->bodies.len_max + 1);
    bench->cells = aligned_alloc(64, (size_t)CELLS_MAX * FILTER_CELL_BYTES);
    bench->zstd = ZSTD_createCCtx();
    must(bench->packed != NULL && bench->hot != NULL && bench->cells != NULL && bench->zstd != NULL &&
             otlp_decoder_open(&bench->decoder) == OK && live_open(0, &bench->live) == OK &&
             block_encoder_open(&bench->encoder) == OK,
         "no memory");
}

static void bench_close(struct bench *bench)
{
    block_encoder_close(bench->encoder);
    live_close(bench->live);
    otlp_decoder_close(bench->decoder);
    ZSTD_freeCCtx(bench->zstd);
    free(bench->cells);
    free(bench->hot);
    free(bench->packed);
    free(bench->bodies.at);
    free(bench->bodies.bytes);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const struct wish wish = wish_parse(argc, argv);

    bench_open(&bench, wish.path);
    bench.wanted = wish.wanted;
    run(&bench, wish.rounds);
    (wish.json ? tell_json : tell_table)(&bench, wish.rounds);
    bench_close(&bench);
    return 0;
}
