#include <criterion/criterion.h>

#include <stdlib.h>
#include <unistd.h>

#include "audit.h"
#include "base/clock.h"
#include "sender.h"
#include "store_server.h"

/* A whole run over loopback: stock, sender, a store that behaves as its script says, the log, and the audit. */
static struct store_server server;
static struct stock *stock;
static struct stock_config stock_config = {.profile = PROFILE_SHOP,
                                           .seed = 5,
                                           .run = 1,
                                           .services = 50,
                                           .bodies = 6,
                                           .spans_per_request = 100,
                                           .giant_spans = 500};
static struct sender_config config;
static struct endpoint endpoint;
static struct ack_log acks;
static char log_path[] = "/tmp/spanmill-load-acks-XXXXXX";

static void set_up(const char *script)
{
    server.script = script;
    store_server_start(&server);
    cr_assert_eq(stock_open(&stock_config, &stock), OK);
    cr_assert_eq(endpoint_parse(server.url, 4318, &endpoint), OK);
    (void)close(mkstemp(log_path));
    cr_assert_eq(ack_log_open(log_path, &acks), OK);
    ack_log_begin(&acks, &stock_config, stock_checksum(stock));
    config = (struct sender_config){.stock = stock,
                                    .endpoint = &endpoint,
                                    .acks = &acks,
                                    .connections = 4,
                                    .spans_max = 3000,
                                    .connect_timeout_ns = 2 * NS_PER_S};
}

static struct totals run(enum err expected)
{
    struct sender *sender;

    cr_assert_eq(sender_open(&config, &sender), OK);
    cr_assert_eq(sender_run(sender), expected);
    const struct totals totals = *sender_totals(sender);
    cr_assert_eq(totals.requests, totals.acked + totals.refused + totals.unknown + totals.errors);
    cr_assert_eq(totals.latency.count, totals.acked);
    sender_close(sender);
    ack_log_close(&acks);
    return totals;
}

static struct audit_result audit(uint64_t traces_max)
{
    const struct audit_config audit_config = {.endpoint = &endpoint,
                                              .acked_log = log_path,
                                              .connections = 3,
                                              .traces_max = traces_max,
                                              .connect_timeout_ns = NS_PER_S};
    struct audit_result result = {0};

    cr_assert_eq(audit_run(&audit_config, &result), OK);
    cr_assert_eq(result.unread, 0);
    return result;
}

static void tear_down(void)
{
    (void)unlink(log_path);
    stock_close(stock);
}

TestSuite(sender, .fini = tear_down);

Test(sender, sends_all_and_the_audit_finds_all)
{
    set_up("a");
    const struct totals totals = run(OK);
    cr_assert(totals.spans >= 3000 && totals.spans < 3100);
    cr_assert_eq(totals.acked, totals.requests);
    cr_assert_eq(totals.spans_acked, totals.spans);
    const struct audit_result result = audit(0);
    cr_assert_eq(result.acked, totals.spans);
    cr_assert_eq(result.requests, totals.acked);
    cr_assert_eq(result.missing + result.doubled + result.altered, 0);
}

Test(sender, sends_gzip_and_reads_chunks)
{
    server.chunked = true;
    set_up("a");
    config.compression = COMPRESSION_GZIP;
    const struct totals totals = run(OK);
    cr_assert(totals.bytes_wire < totals.bytes_plain / 2);
    const struct audit_result result = audit(0);
    cr_assert_eq(result.acked, totals.spans);
    cr_assert_eq(result.missing + result.doubled + result.altered, 0);
}

Test(sender, takes_the_giant_trace_along)
{
    set_up("a");
    config.spans_max = stock_round_spans(stock, 0) * 4 + stock_round_spans(stock, 4);
    const struct totals totals = run(OK);
    cr_assert_eq(totals.spans, config.spans_max);
    const struct audit_result result = audit(0);
    cr_assert_eq(result.acked, totals.spans);
    cr_assert_eq(result.missing + result.doubled + result.altered, 0);
}

Test(sender, counts_every_kind_of_answer)
{
    set_up("arepcakda");
    const struct totals totals = run(OK);
    cr_assert_eq(totals.refused, 1);
    cr_assert_eq(totals.errors, 1);
    cr_assert_eq(totals.partial, 1);
    cr_assert_eq(totals.spans_rejected, 1);
    cr_assert_eq(totals.unknown, 2);
    cr_assert_leq(totals.reconnects,
                  3); /* c, k and d closed theirs; the others may have finished meanwhile */
    cr_assert_eq(totals.first_error_status, 400);
    cr_assert_str_eq(totals.first_error, "no \"x\"");
    /* what was kept without an answer is no error; refused and lost requests are not asked for */
    const struct audit_result result = audit(0);
    cr_assert_eq(result.requests, totals.acked);
    cr_assert(result.acked > 0 && result.acked < totals.spans_acked); /* the partial one is not relied upon */
    cr_assert_eq(result.missing + result.doubled + result.altered, 0);
}

Test(sender, sends_refused_and_lost_requests_again_when_asked_to)
{
    set_up("rrrcrca");
    config.retry = true;
    const struct totals totals = run(OK);
    cr_assert_eq(totals.refused, 4);
    cr_assert_eq(totals.unknown, 2);
    cr_assert_eq(totals.retries, 6);
    cr_assert(totals.spans_acked >= 3000);
    const struct audit_result result = audit(0);
    cr_assert_eq(result.acked, totals.spans_acked);
    cr_assert_eq(result.missing + result.doubled + result.altered, 0);
}

Test(audit, finds_what_a_store_has_lost_doubled_and_altered)
{
    set_up("a");
    config.spans_max = 1000; /* the store of the test looks through all it has for each trace */
    const struct totals totals = run(OK);
    struct buffer *const kept = &server.kept;

    uint8_t *const name = memmem(kept->ptr, kept->len, "app.tenant", 10);
    cr_assert_not_null(name);
    name[4] = 'T';
    struct audit_result result = audit(0);
    cr_assert(result.altered == 1 && result.missing == 0 && result.doubled == 0);
    name[4] = 't';

    const size_t whole = kept->len;
    cr_assert_not_null(buffer_reserve(kept, whole)); /* so that it stays where it is */
    buffer_append(kept, kept->ptr, whole);           /* all of it twice */
    result = audit(0);
    cr_assert(result.doubled == totals.spans && result.missing == 0 && result.altered == 0);
    kept->len = 0;
    result = audit(0);
    cr_assert(result.missing == totals.spans && result.acked == totals.spans && result.altered == 0);
    tear_down();
}

Test(audit, samples_evenly)
{
    set_up("a");
    (void)run(OK);
    const struct audit_result all = audit(0);
    const struct audit_result some = audit(20);
    cr_assert(all.traces > 200 && some.traces >= 20 && some.traces <= 40, "%d of %d", (int)some.traces,
              (int)all.traces);
    cr_assert_eq(some.missing + some.doubled + some.altered, 0);

    cr_assert_eq(ack_log_open(log_path, &acks), OK); /* a second run in the log shares the sample */
    stock_close(stock);
    stock_config.run = 2;
    cr_assert_eq(stock_open(&stock_config, &stock), OK);
    config.stock = stock;
    ack_log_begin(&acks, &stock_config, stock_checksum(stock));
    (void)run(OK);
    const struct audit_result both = audit(20);
    cr_assert(both.traces >= 20 && both.traces <= 40, "%d", (int)both.traces);
    cr_assert_eq(both.requests, 2 * all.requests);
    cr_assert_eq(both.missing + both.doubled + both.altered, 0);
    tear_down();
}

Test(audit, refuses_the_log_of_another_generator)
{
    const struct audit_config audit_config = {
        .endpoint = &endpoint, .acked_log = log_path, .connections = 3, .connect_timeout_ns = NS_PER_S};
    struct audit_result result = {0};

    set_up("a");
    ack_log_begin(&acks, &stock_config, stock_checksum(stock) + 1);
    cr_assert_eq(ack_log_flush(&acks), OK);
    ack_log_close(&acks);
    cr_assert_eq(audit_run(&audit_config, &result), ERR_VERSION);
    tear_down();
}

Test(sender, keeps_to_a_rate)
{
    set_up("a");
    config.spans_per_second = 10000; /* a request of 100 spans each 10 ms */
    const struct totals totals = run(OK);
    const uint64_t took_ms = (totals.ended_ns - totals.started_ns) / NS_PER_MS;
    cr_assert(took_ms >= 285, "%d ms", (int)took_ms); /* 30 requests, the last at 290 ms */
    cr_assert_eq(totals.acked, totals.requests);
}

Test(sender, ends_when_nobody_listens)
{
    set_up("a");
    (void)shutdown(server.listener, SHUT_RDWR);
    (void)close(server.listener);
    config.connect_timeout_ns = 100 * NS_PER_MS;
    const struct totals totals = run(ERR_PEER_GONE);
    cr_assert_eq(totals.requests, 0);
}

Test(endpoint, reads_what_people_write)
{
    cr_assert_eq(endpoint_parse("http://127.0.0.1:4318", 1, &endpoint), OK);
    cr_assert_str_eq(endpoint.host, "127.0.0.1:4318");
    cr_assert_str_eq(endpoint.path, "");
    cr_assert_eq(endpoint_parse("127.0.0.1/base/path", 16686, &endpoint), OK);
    cr_assert_str_eq(endpoint.host, "127.0.0.1:16686");
    cr_assert_str_eq(endpoint.path, "/base/path");
    cr_assert_eq(endpoint_parse("http://[::1]:99/", 1, &endpoint), OK);
    cr_assert_str_eq(endpoint.host, "[::1]:99");
    cr_assert_str_eq(endpoint.path, "");
    cr_assert(!endpoint.secure);
    cr_assert_eq(endpoint_parse("https://[::1]:98", 1, &endpoint), OK);
    cr_assert(endpoint.secure);
    cr_assert_str_eq(endpoint.name, "::1");
    cr_assert_eq(endpoint_parse("ftp://127.0.0.1", 1, &endpoint), ERR_MALFORMED);
    cr_assert_eq(endpoint_parse("http://", 1, &endpoint), ERR_MALFORMED);
    cr_assert_eq(endpoint_parse("http://127.0.0.1:x", 1, &endpoint), ERR_MALFORMED);
    cr_assert_eq(endpoint_parse("http://127.0.0.1:80x", 1, &endpoint), ERR_MALFORMED);
}
