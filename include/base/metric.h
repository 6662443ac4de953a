/*
 * Metrics: counters and gauges that one thread writes and any thread reads, without locks. The list stands
 * once, in METRIC_TABLE; names follow the Prometheus and OpenTelemetry conventions and carry their unit. Each
 * shard and each pool thread owns one struct metrics; /metrics prints a line per set with a label
 * (shard="0").
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*  id                          kind     name (prefix spanmill_)                     help */
#define METRIC_TABLE(X)                                                                                      \
    X(METRIC_CONNS_ACCEPTED, COUNTER, "connections_accepted_total", "connections accepted")                  \
    X(METRIC_CONNS_OPEN, GAUGE, "connections_open", "connections open now")                                  \
    X(METRIC_CONNS_REFUSED, COUNTER, "connections_refused_total", "connections refused by a limit")          \
    X(METRIC_CONNS_TIMED_OUT, COUNTER, "connections_timed_out_total", "connections closed by a deadline")    \
    X(METRIC_HTTP_REQUESTS, COUNTER, "http_requests_total", "HTTP requests answered")                        \
    X(METRIC_HTTP_REFUSED, COUNTER, "http_requests_malformed_total", "requests refused for their framing")   \
    X(METRIC_TLS_HANDSHAKES, COUNTER, "tls_handshakes_total", "TLS handshakes completed")                    \
    X(METRIC_TLS_FAILED, COUNTER, "tls_handshakes_failed_total", "TLS handshakes that failed")               \
    X(METRIC_TLS_ON_PLAIN, COUNTER, "tls_on_plain_total", "connections that spoke TLS on a plain port")      \
    X(METRIC_PLAIN_ON_TLS, COUNTER, "plain_on_tls_total", "connections that spoke no TLS on a TLS port")     \
    X(METRIC_ACCESS_REFUSED, COUNTER, "access_refused_total",                                                \
      "requests and calls refused for their credential or for want of one")                                  \
    X(METRIC_ACCESS_LIMITED, COUNTER, "access_limited_total",                                                \
      "of these, beyond the failures that one source may have in a minute")                                  \
    X(METRIC_GRPC_CALLS, COUNTER, "grpc_calls_total", "gRPC calls answered")                                 \
    X(METRIC_HTTP2_CALMED, COUNTER, "http2_connections_calmed_total",                                        \
      "HTTP/2 connections ended for exceeding a budget")                                                     \
    X(METRIC_RECEIVED_BYTES, COUNTER, "received_bytes_total", "body bytes received as sent")                 \
    X(METRIC_REQUESTS_STORED, COUNTER, "ingest_requests_stored_total", "export requests acknowledged")       \
    X(METRIC_REQUESTS_REFUSED, COUNTER, "ingest_requests_refused_total", "export requests answered 503")     \
    X(METRIC_REQUESTS_MALFORMED, COUNTER, "ingest_requests_malformed_total", "export requests answered 4xx") \
    X(METRIC_SPANS_STORED, COUNTER, "spans_stored_total", "spans acknowledged")                              \
    X(METRIC_SPANS_REJECTED, COUNTER, "spans_rejected_total", "spans that can never be accepted")            \
    X(METRIC_SPANS_CUT, COUNTER, "spans_cut_total", "spans with values cut to a limit")                      \
    X(METRIC_JSON_NUMBERS_CLAMPED, COUNTER, "json_numbers_clamped_total",                                    \
      "numbers in JSON that were out of range, stored as the nearest")                                       \
    X(METRIC_JSON_CHARACTERS_REPLACED, COUNTER, "json_characters_replaced_total",                            \
      "half surrogate pairs in JSON, stored as U+FFFD")                                                      \
    X(METRIC_PAIRS_INTERNED, COUNTER, "attribute_pairs_interned_total", "distinct attributes interned")      \
    X(METRIC_INFLIGHT_BYTES, GAUGE, "ingest_inflight_bytes", "body bytes held by requests in work")          \
    X(METRIC_JOURNAL_WRITES, COUNTER, "journal_writes_total", "journal writes completed")                    \
    X(METRIC_JOURNAL_BYTES, COUNTER, "journal_written_bytes_total", "journal bytes written")                 \
    X(METRIC_JOURNAL_PINNED_BYTES, GAUGE, "journal_pinned_bytes", "journal bytes not yet sealed")            \
    X(METRIC_JOURNAL_FAILURES, COUNTER, "journal_write_failures_total", "journal writes that failed")        \
    X(METRIC_JOURNAL_RESUMPTIONS, COUNTER, "journal_resumptions_total",                                      \
      "times that the journal went on in another file")                                                      \
    X(METRIC_READ_ONLY, GAUGE, "read_only",                                                                  \
      "1 while the shard refuses ingest, for a journal write has failed and no other file can be made")      \
    X(METRIC_JOURNAL_STALLED, GAUGE, "journal_stalled",                                                      \
      "1 while a journal write waits for the disk for longer than io.stall, and ingest is refused")          \
    X(METRIC_JOURNAL_STALLS, COUNTER, "journal_stalls_total", "times that this has happened")                \
    X(METRIC_LIVE_SPANS, GAUGE, "live_spans", "spans in live blocks")                                        \
    X(METRIC_LIVE_BLOCKS, GAUGE, "live_blocks", "live blocks in use")                                        \
    X(METRIC_BLOCKS_SEALED, COUNTER, "blocks_sealed_total", "blocks written to segments")                    \
    X(METRIC_SEALED_SPANS, COUNTER, "sealed_spans_total", "spans written to segments")                       \
    X(METRIC_SEALED_BYTES, COUNTER, "sealed_bytes_total", "bytes of the blocks written to segments")         \
    X(METRIC_SEAL_FAILURES, COUNTER, "seal_failures_total", "blocks that could not be written")              \
    X(METRIC_UNFILTERED_BLOCKS, GAUGE, "unfiltered_blocks",                                                  \
      "blocks that wait for their filters after a start")                                                    \
    X(METRIC_SEGMENTS, GAUGE, "segments", "segment files in use")                                            \
    X(METRIC_STORED_BLOCKS, GAUGE, "segment_blocks", "blocks in segments")                                   \
    X(METRIC_STORED_SPANS, GAUGE, "segment_spans", "spans in segments")                                      \
    X(METRIC_STORED_BYTES, GAUGE, "segment_bytes", "bytes of segment files")                                 \
    X(METRIC_LEDGER_BYTES, GAUGE, "ledger_bytes", "bytes of files that only stand for what has gone")        \
    X(METRIC_FENCED, GAUGE, "fenced_blocks", "damaged blocks: answers that need them are partial")           \
    X(METRIC_SCRUBBED_BYTES, COUNTER, "scrubbed_bytes_total", "bytes of segments read again")                \
    X(METRIC_SCRUB_FAULTS, COUNTER, "scrub_faults_total", "damage found by reading segments again")          \
    X(METRIC_SCRUB_PASSES, COUNTER, "scrub_passes_total", "times that all segments were read again")         \
    X(METRIC_SCRUB_LAST, GAUGE, "scrub_last_pass_timestamp_seconds",                                         \
      "when all segments had last been read again, seconds since 1970; 0: never")                            \
    X(METRIC_SEGMENTS_WAITING, GAUGE, "segments_waiting",                                                    \
      "segments whose window is over and that are not merged yet")                                           \
    X(METRIC_MERGES, COUNTER, "merges_total", "merges of segments")                                          \
    X(METRIC_MERGED_SPANS, COUNTER, "merged_spans_total", "spans read by merges")                            \
    X(METRIC_MERGED_DUPLICATES, COUNTER, "merged_duplicate_spans_total",                                     \
      "equal spans that merges have left out")                                                               \
    X(METRIC_MERGED_BYTES, COUNTER, "merged_bytes_total", "bytes written by merges")                         \
    X(METRIC_MERGE_FAILURES, COUNTER, "merge_failures_total", "merges given up")                             \
    X(METRIC_EXPIRED_SEGMENTS, COUNTER, "expired_segments_total", "segments removed by retention")           \
    X(METRIC_EXPIRED_SPANS, COUNTER, "expired_spans_total", "spans removed by retention")                    \
    X(METRIC_EXPIRED_BYTES, COUNTER, "expired_bytes_total", "bytes removed by retention")                    \
    X(METRIC_RETENTION_FAILURES, COUNTER, "retention_failures_total", "removals that failed")                \
    X(METRIC_RETENTION_REWRITES, COUNTER, "retention_rewrites_total",                                        \
      "segments written again for the part that pins hold")                                                  \
    X(METRIC_PINNED_SEGMENTS, GAUGE, "pinned_segments", "segments that would leave, but for pins")           \
    X(METRIC_PINNED_SPANS, GAUGE, "pinned_spans", "spans that would leave, but for pins")                    \
    X(METRIC_ERASED_SPANS, COUNTER, "erased_spans_total", "spans removed by deletions")                      \
    X(METRIC_ERASE_FAILURES, COUNTER, "erase_failures_total", "deletions that had to wait for an error")     \
    X(METRIC_ERASURES_PENDING, GAUGE, "erasures_pending", "deletions that are not done")                     \
    X(METRIC_RETENTION_WAITING, GAUGE, "retention_waiting",                                                  \
      "1 while retention by age waits a day, for it would remove more than half of the store")               \
    X(METRIC_RETIRED_BYTES, GAUGE, "retired_bytes", "bytes of removed files that queries still read")        \
    X(METRIC_BACKUPS, GAUGE, "backups", "complete backups")                                                  \
    X(METRIC_BACKUP_LAST, GAUGE, "backup_last_timestamp_seconds",                                            \
      "when the newest of them was ordered, seconds since 1970; 0: there is none")                           \
    X(METRIC_BACKUP_FAILURES, COUNTER, "backup_failures_total", "backups that could not be made")            \
    X(METRIC_BACKUP_HELD, GAUGE, "backup_held_bytes", "bytes of segments that only backups have any more")   \
    X(METRIC_DISK_FREE, GAUGE, "disk_free_bytes", "free bytes of the file system of the data directory")     \
    X(METRIC_DISK_TOTAL, GAUGE, "disk_total_bytes", "all bytes of that file system")                         \
    X(METRIC_QUERIES, COUNTER, "queries_total", "queries answered")                                          \
    X(METRIC_QUERIES_REFUSED, COUNTER, "queries_refused_total", "queries refused by a limit")                \
    X(METRIC_QUERIES_CANCELLED, COUNTER, "queries_cancelled_total", "queries whose client left")             \
    X(METRIC_RECV_NO_BUFFERS, COUNTER, "io_receive_no_buffers_total", "receives paused for want of buffers") \
    X(METRIC_IO_SHORT_WRITES, COUNTER, "io_short_writes_total", "writes that were completed in pieces")      \
    X(METRIC_CQ_OVERFLOWS, COUNTER, "io_completion_overflows_total", "completion queue overflows (a bug)")

enum metric_id {
#define X(id, kind, name, help) id,
    METRIC_TABLE(X)
#undef X
        METRIC_COUNT
};

/* Written by its owner's thread only. */
struct metrics {
    _Atomic uint64_t value[METRIC_COUNT];
};

static inline void metric_add(struct metrics *metrics, enum metric_id id, uint64_t amount)
{
    const uint64_t now = atomic_load_explicit(&metrics->value[id], memory_order_relaxed);
    atomic_store_explicit(&metrics->value[id], now + amount, memory_order_relaxed);
}

static inline void metric_set(struct metrics *metrics, enum metric_id id, uint64_t value)
{
    atomic_store_explicit(&metrics->value[id], value, memory_order_relaxed);
}

static inline uint64_t metric_get(const struct metrics *metrics, enum metric_id id)
{
    return atomic_load_explicit(&metrics->value[id], memory_order_relaxed);
}

/*
 * Prints the sets in Prometheus text format 0.0.4 into buf, one line per set with label name="<index>".
 * Returns the length that the whole text has; when that is >= capacity the text was cut.
 */
size_t metrics_print(const struct metrics *const *sets, size_t sets_count, const char *label, char *buf,
                     size_t capacity);

#endif
