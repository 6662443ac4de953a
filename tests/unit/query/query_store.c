/*
 * Opening a live block reserves a gigabyte of addresses, so the same few are used for the life of the process.
 */
#include "query_store.h"

#include "answer.h"
#include "otlp_json.h"
#include "ledger_answer.h"
#include "retention_answer.h"
#include "search.h"
#include "stories.h"
#include "trace.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const uint64_t store_now_ns = 1700000100000000000u;

static void open_caches(struct store *store)
{
    block_cache_init(&store->cache, store->catalog, 4 << 20);
    cr_assert_eq(names_cache_open(1 << 20, &store->names), OK);
}

static void close_caches(struct store *store)
{
    block_cache_deinit(&store->cache);
    names_cache_close(store->names);
}

void store_forget_blocks(struct store *store)
{
    close_caches(store);
    open_caches(store);
}

static void open_catalog(struct store *store)
{
    const struct segment_config config = {.instance = 7, .shards = 1, .blocks_max = 3};
    struct catalog_report report;

    store->sim = sim_open(&(struct sim_config){.seed = 1, .sector_bytes = 4096});
    store->io = sim_io(store->sim);
    cr_assert_eq(io_dir_open(store->io, NULL, "data", true, &store->dir), OK);
    cr_assert_eq(catalog_open(store->io, store->dir, &config, &store->catalog, &report), OK);
    store->config.catalog = store->catalog;
    open_caches(store);
}

static void close_catalog(struct store *store)
{
    close_caches(store);
    catalog_close(store->catalog, store->io);
    io_dir_close(store->io, store->dir);
    io_close(store->io);
    sim_close(store->sim);
}

void store_open(struct store *store)
{
    *store = (struct store){
        .arrival_ns = 1700000000000000000u,
        .config = {.answer_bytes_max = 16 << 20, .memory_bytes_max = 256 << 20, .deadline_ns = 30000000000u},
    };
    cr_assert_eq(block_encoder_open(&store->encoder), OK);
    cr_assert_eq(otlp_decoder_open(&store->decoder), OK);
    cr_assert_eq(otlp_json_open(&store->otlp_json), OK);
    store->page = malloc(sizeof *store->page);
    cr_assert_not_null(store->page);
    open_catalog(store);
}

void store_close(struct store *store)
{
    close_catalog(store);
    for (unsigned i = 0; i < STORE_LIVE_MAX; i++)
        if (store->live[i] != NULL) live_close(store->live[i]);
    block_encoder_close(store->encoder);
    otlp_decoder_close(store->decoder);
    otlp_json_close(store->otlp_json);
    free(store->page);
}

void store_reset(struct store *store)
{
    close_catalog(store);
    open_catalog(store);
    store->live_count = 0;
    store->seq = 0;
}

void store_begin(struct store *store)
{
    cr_assert_lt(store->live_count, STORE_LIVE_MAX);
    if (store->live[store->live_count] == NULL)
        cr_assert_eq(live_open(0, &store->live[store->live_count]), OK);
    store->open = store->live[store->live_count];
    store->seq++;
    live_reset(store->open, store->seq, store->seq * 1000);
}

void store_add(struct store *store, struct slice body)
{
    struct otlp_result result;

    live_append_begin(store->open);
    cr_assert_eq(otlp_decode(store->decoder, body, live_sink(), store->open, &result), OK, "%s",
                 result.fault.reason);
    cr_assert_eq(result.rejected, 0);
    const struct live_counts counts = live_append_end(store->open, store->seq * 1000 + 1000,
                                                      store->arrival_ns++);
    live_publish(store->open, &counts);
}

void store_end(struct store *store, enum store_fate fate)
{
    struct block_encoded encoded;

    if (store->open->counts.rows == 0) return;
    if (fate == STORE_LIVE) {
        store->views[store->live_count++] = (struct live_view){store->open, live_published(store->open)};
        return;
    }
    cr_assert_eq(block_encode(store->encoder, store->open, &encoded), OK);
    cr_assert_eq(segment_append(store->catalog, store->io, 0, &encoded), OK);
}

void store_place(struct store *store, const struct stories *stories, unsigned fates)
{
    store_reset(store);
    for (unsigned part = 0; part < 3; part++) {
        size_t len;
        uint8_t *const body = stories_body(stories, part * 20, 20, &len);
        store_begin(store);
        store_add(store, slice_of(body, len));
        store_end(store, fates >> part & 1 ? STORE_SEALED : STORE_LIVE);
        free(body);
    }
}

void store_close_segment(struct store *store)
{
    cr_assert_eq(segment_seal(store->catalog, store->io, 0), OK);
}

/* ---- asking --------------------------------------------------------------------------------------------- */

static enum err run(struct work *work, struct answer *answer, bool *truncated)
{
    struct trace trace;

    switch (work->request->kind) {
    case REQUEST_SEARCH: return search_answer(work, answer);
    case REQUEST_SERVICES: return services_answer(work, answer);
    case REQUEST_OPERATIONS: return operations_answer(work, answer);
    case REQUEST_RETENTION: return retention_answer(work, answer);
    case REQUEST_LEDGER: return ledger_answer(work, answer);
    case REQUEST_TRACE: break;
    case REQUEST_PINS:
    case REQUEST_PIN_ADD:
    case REQUEST_PIN_REMOVE:
    case REQUEST_ERASURES:
    case REQUEST_ERASURE:
    case REQUEST_ERASURE_ADD:
    case REQUEST_BACKUPS:
    case REQUEST_BACKUP_ADD:
    case REQUEST_BACKUP_REMOVE:
    case REQUEST_EXPORT:
    case REQUEST_EXPORT_BEGIN:
    case REQUEST_EXPORT_END:
    case REQUEST_FILTER: cr_assert(false, "not a question"); break;
    }
    TRY(trace_collect(work, &work->request->trace_id, &trace));
    const enum err err = work->request->protobuf ? trace_protobuf(&trace, answer)
                                                 : trace_json(work, &trace, answer);
    *truncated = trace.truncated;
    return err;
}

static void finish(struct asked *asked, struct answer *answer)
{
    uint8_t *const bytes = answer_take(answer, &asked->len);

    asked->text = realloc(bytes, asked->len + 1);
    cr_assert_not_null(asked->text);
    asked->text[asked->len] = '\0';
}

static struct asked ask(struct store *store, struct request *request)
{
    struct work work = {
        .config = &store->config,
        .io = store->io,
        .otlp_json = store->otlp_json,
        .decoder = store->decoder,
        .page = store->page,
        .cache = &store->cache,
        .names = store->names,
        .request = request,
        .stopping = &store->stopping,
        .deadline_ns = io_now_ns(store->io) + store->config.deadline_ns,
        .snapshot = {.live = store->views, .live_count = store->live_count},
    };
    struct answer *const answer = calloc(1, sizeof *answer);
    struct asked asked = {0};

    cr_assert_not_null(answer);
    arena_init(&work.arena, store->config.memory_bytes_max);
    answer_init(answer, store->config.answer_bytes_max);
    work.snapshot.catalog = block_cache_view(&store->cache);
    asked.err = run(&work, answer, &asked.truncated);
    block_cache_settle(&store->cache, &work.snapshot.catalog);
    asked.coverage = work.coverage;
    if (asked.err == OK) finish(&asked, answer);
    answer_deinit(answer);
    arena_reset(&work.arena);
    free(answer);
    return asked;
}

static struct asked parse_and_ask(struct store *store, enum request_kind kind, const char *trace_id,
                                  const char *query, bool protobuf)
{
    struct request *const request = calloc(1, sizeof *request);
    const struct slice rest = trace_id != NULL ? slice_text(trace_id) : (struct slice){0};
    struct asked asked = {.err = ERR_MALFORMED};

    cr_assert_not_null(request);
    if (request_parse(request, kind, rest, slice_text(query)) && request_resolve(request, store_now_ns)) {
        request->protobuf = protobuf;
        asked = ask(store, request);
    }
    memcpy(asked.message, request->message, sizeof asked.message);
    free(request);
    return asked;
}

struct asked store_ask(struct store *store, enum request_kind kind, const char *trace_id, const char *query)
{
    return parse_and_ask(store, kind, trace_id, query, false);
}

struct asked store_ask_protobuf(struct store *store, const char *trace_id)
{
    return parse_and_ask(store, REQUEST_TRACE, trace_id, "", true);
}

void asked_free(struct asked *asked)
{
    free(asked->text);
    asked->text = NULL;
}
