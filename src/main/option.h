/*
 * The options of the program: one table gives each its name in the configuration file, on the command line
 * and in the environment, its default, limits, unit and help.
 *
 *   key in the file   journal.cap: 1GiB      (or nested: journal: {cap: 1GiB})
 *   flag              --journal-cap 1GiB     (yes/no options: --debug-endpoints alone means yes)
 *   environment       SPANMILL_JOURNAL_CAP=1GiB
 *
 * Later sources win: defaults, file, environment, flags. Sizes are 512B, 64KiB, 16MiB, 1GiB; durations 250ms,
 * 10s, 5m, 2h, 7d. A value that does not parse or lies beyond its limits stops the start; none is silently
 * changed.
 */
#ifndef MAIN_OPTION_H
#define MAIN_OPTION_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum option_type {
    TYPE_TEXT,
    TYPE_ADDRESS,
    TYPE_LISTENER, /* an address, or "off" */
    TYPE_COUNT,
    TYPE_SIZE,
    TYPE_DURATION,
    TYPE_BOOL,
    TYPE_SWITCH,
    TYPE_LEVEL
};
enum option_switch { SWITCH_OFF, SWITCH_ON, SWITCH_AUTO };

/*  id                      key                              type      default            min      max help */
#define OPTION_TABLE(X)                                                                                      \
    X(DATA, "data", TEXT, "./data", "", "", "directory of everything that is stored")                        \
    X(OTLP_HTTP, "otlp-http", ADDRESS, "127.0.0.1:4318", "", "", "address for OTLP over HTTP")               \
    X(OTLP_GRPC, "otlp-grpc", ADDRESS, "127.0.0.1:4317", "", "", "address for OTLP over gRPC")               \
    X(ZIPKIN, "zipkin", LISTENER, "off", "", "", "address for spans in Zipkin's JSON, off for none")         \
    X(QUERY, "query", ADDRESS, "127.0.0.1:16686", "", "", "address for queries")                             \
    X(OPS, "ops", ADDRESS, "127.0.0.1:9464", "", "", "address for /metrics, /healthz and /readyz")           \
    X(HOSTS, "hosts", TEXT, "", "", "",                                                                      \
      "names, parted by commas, under which the query and ops listeners may be asked, beside addresses and " \
      "localhost; "                                                                                          \
      "* allows all")                                                                                        \
    X(CORS_ORIGINS, "cors.origins", TEXT, "", "", "",                                                        \
      "origins of web pages, parted by commas, that may send spans from a browser to the OTLP/HTTP "         \
      "listener, such as https://*.example.com; * alone allows all")                                         \
    X(EXPOSURE, "i_accept_unauthenticated_network_exposure", BOOL, "false", "", "",                          \
      "allows addresses beyond loopback although nobody has to prove who they are")                          \
    X(SANDBOX, "sandbox", SWITCH, "auto", "", "",                                                            \
      "gives up rights, files and system calls that a server does not need; auto: those that the kernel "    \
      "lets it; true: starts with all of it or not at all")                                                  \
    X(TOKENS_FILE, "auth.tokens_file", TEXT, "", "", "",                                                     \
      "credentials (spanmillctl token), read again at SIGHUP; without it everybody is let in")               \
    X(TLS_CERT, "tls.cert_file", TEXT, "", "", "",                                                           \
      "certificate in PEM, with those that lead to its root; with it the listeners speak TLS; read again "   \
      "at SIGHUP")                                                                                           \
    X(TLS_KEY, "tls.key_file", TEXT, "", "", "", "its private key in PEM, readable by its owner alone")      \
    X(TLS_CLIENT_CA, "tls.client_ca_file", TEXT, "", "", "",                                                 \
      "authorities in PEM whose client certificates stand for credentials (cert:NAME in auth.tokens_file)")  \
    X(TLS_LISTENERS, "tls.listeners", TEXT, "otlp-http,otlp-grpc,zipkin,query,ops", "", "",                  \
      "which listeners speak TLS once there is a certificate")                                               \
    X(SHARDS, "shards", COUNT, "0", "0", "255", "shard threads; 0 chooses by the number of CPUs")            \
    X(SEALERS, "sealers", COUNT, "0", "0", "64",                                                             \
      "threads that write segments; 0 chooses by the number of shards")                                      \
    X(PIN, "placement.pin", BOOL, "true", "", "", "pins each shard thread to a CPU")                         \
    X(STEER, "placement.steer", SWITCH, "auto", "", "",                                                      \
      "a connection goes to the shard on whose CPU it arrives; auto: where network queues, CPUs and shards " \
      "meet one to one")                                                                                     \
    X(INFLIGHT, "memory.inflight", SIZE, "128MiB", "1MiB", "64GiB",                                          \
      "request bodies in work, received and inflated, per shard; beyond it requests are answered 503")       \
    X(JOURNAL_FILE, "journal.file", SIZE, "64MiB", "1MiB", "1GiB", "size of one journal file")               \
    X(JOURNAL_CAP, "journal.cap", SIZE, "1GiB", "4MiB", "1TiB", "journal files per shard, in all")           \
    X(LIVE_AGE, "live.age", DURATION, "10m", "100ms", "1d",                                                  \
      "a block is sealed at this age even when it is not full")                                              \
    X(LIVE_BLOCKS, "live.blocks", COUNT, "4", "2", "16",                                                     \
      "blocks in memory per shard: one open, the rest being sealed")                                         \
    X(SEGMENT_SIZE, "segment.size", SIZE, "256MiB", "1MiB", "4GiB", "a segment file is closed at this size") \
    X(SEGMENT_WINDOW, "segment.window", DURATION, "10m", "1s", "1d", "or after this time")                   \
    X(IO_STALL, "io.stall", DURATION, "10s", "100ms", "1h",                                                  \
      "requests are refused while the disk does not answer for so long")                                     \
    X(IO_GATE, "io.gate", SWITCH, "auto", "", "",                                                            \
      "what questions, sealing and merges read and write waits for its turn beside the journal; auto: as "   \
      "many as the disk was found to take in the first start, or by spanmillctl disk-check; true: two of "   \
      "256KiB, nothing is measured; false: nothing waits")                                                   \
    X(COMPACTION, "compaction", BOOL, "true", "", "", "merges segments in the background")                   \
    X(COMPACTION_DELAY, "compaction.delay", DURATION, "5m", "1s", "1d",                                      \
      "a window of segments is merged so long after its end")                                                \
    X(RETENTION_AGE, "retention.age", DURATION, "30d", "0s", "36500d",                                       \
      "segments whose spans all arrived before are removed; 0s: kept for ever")                              \
    X(RETENTION_SERVICES, "retention.services", TEXT, "", "", "",                                            \
      "services whose spans are kept for another time, such as debug=1d, payments=365d; 0s: for ever")       \
    X(RETENTION_BYTES, "retention.bytes", SIZE, "0B", "0B", "1024TiB",                                       \
      "the oldest segments are removed when all together are larger; 0B: no limit")                          \
    X(RETENTION_FREE, "retention.free", SIZE, "1GiB", "0B", "1024TiB",                                       \
      "the oldest segments are removed when the disk has less room left, at most a tenth of it; 0B: "        \
      "never, requests are then refused while the disk is full")                                             \
    X(SCRUB_EVERY, "scrub.every", DURATION, "30d", "0s", "36500d",                                           \
      "all segments are read again so often, to find bits that have changed; 0s: never")                     \
    X(SCRUB_RATE, "scrub.rate", SIZE, "4MiB", "4KiB", "64GiB", "read so, at most, per second")               \
    X(BODY_MAX, "limits.body", SIZE, "16MiB", "1KiB", "64MiB", "request body as received")                   \
    X(PLAIN_MAX, "limits.plain", SIZE, "64MiB", "1KiB", "64MiB", "request body after decompression")         \
    X(CONNS, "limits.connections", COUNT, "4096", "1", "65536", "connections per shard")                     \
    X(CONNS_SOURCE, "limits.connections-per-source", COUNT, "512", "1", "65536",                             \
      "connections from one address per shard")                                                              \
    X(REQUESTS_CONN, "limits.requests-per-connection", COUNT, "100000", "1", "4294967295",                   \
      "requests before a connection is closed in order")                                                     \
    X(HEAD_TIME, "limits.head-time", DURATION, "5s", "100ms", "1h", "for the whole head of a request")       \
    X(IDLE_TIME, "limits.idle-time", DURATION, "60s", "100ms", "1d",                                         \
      "a connection is kept without a request")                                                              \
    X(BODY_GRACE, "limits.body-grace", DURATION, "5s", "100ms", "1h",                                        \
      "before the minimum rate of a body counts")                                                            \
    X(BODY_RATE, "limits.body-rate", SIZE, "1KiB", "1B", "1GiB", "minimum rate of a body, per second")       \
    X(BODY_TIME, "limits.body-time", DURATION, "60s", "100ms", "1h", "for the whole body")                   \
    X(STALL_TIME, "limits.stall-time", DURATION, "10s", "100ms", "1h",                                       \
      "an answer of which the client takes nothing")                                                         \
    X(QUERY_THREADS, "queries.threads", COUNT, "2", "1", "64", "threads that answer queries")                \
    X(QUERY_WAITING, "queries.waiting", COUNT, "32", "1", "4096",                                            \
      "queries that may wait; further ones get 429")                                                         \
    X(QUERY_TIME, "queries.time", DURATION, "30s", "100ms", "1h", "for one query")                           \
    X(QUERY_MEMORY, "queries.memory", SIZE, "256MiB", "1MiB", "64GiB", "for one query")                      \
    X(QUERY_ANSWER, "queries.answer", SIZE, "64MiB", "64KiB", "1GiB",                                        \
      "answer of one query; longer ones are cut and say so")                                                 \
    X(DEBUG_ENDPOINTS, "debug-endpoints", BOOL, "false", "", "", "POST /debug/seal on the ops listener")     \
    X(ACCEPT_DAMAGE, "accept-journal-damage", BOOL, "false", "", "",                                         \
      "starts although acknowledged spans are missing from a journal")                                       \
    X(LOG_LEVEL, "log-level", LEVEL, "info", "", "", "debug, info, warn or error")

enum option_id {
#define X(id, key, type, standard, min, max, help) OPTION_##id,
    OPTION_TABLE(X)
#undef X
        OPTION_COUNT
};

enum { OPTION_TEXT_MAX = 1024, OPTION_ERROR_MAX = 512 };
enum { CONFIG_NAMES_MAX = 64 }; /* hosts, and origins of pages */

struct option {
    const char *key;
    enum option_type type;
    const char *standard; /* default, as text */
    const char *min, *max;
    const char *help;
};
extern const struct option option_table[OPTION_COUNT];

struct options {
    struct {
        uint64_t number; /* count, bytes, nanoseconds, 0 or 1, enum option_switch, enum log_level */
        char text[OPTION_TEXT_MAX]; /* as given */
        bool given;                 /* not the default */
    } values[OPTION_COUNT];
};

void options_init(struct options *options);
/* Parses text into the option. ERR_MALFORMED: error says why, naming key and value. */
enum err options_set(struct options *options, enum option_id id, const char *text,
                     char error[OPTION_ERROR_MAX]);

static inline uint64_t options_number(const struct options *options, enum option_id id)
{
    return options->values[id].number;
}
static inline const char *options_text(const struct options *options, enum option_id id)
{
    return options->values[id].text;
}

/* Of a listener: there is none. */
static inline bool options_off(const struct options *options, enum option_id id)
{
    return strcmp(options->values[id].text, "off") == 0;
}

/* Key as in the file ("journal.cap"); OPTION_COUNT if there is none. */
enum option_id option_by_key(const char *key);
/* Flag without dashes ("journal-cap"). */
enum option_id option_by_flag(const char *flag);
/* "SPANMILL_JOURNAL_CAP" */
void option_environment_name(enum option_id id, char *out, size_t capacity);
void option_flag_name(enum option_id id, char *out, size_t capacity);

/* "64MiB" -> bytes, "10s" -> nanoseconds. ERR_MALFORMED: no number, no unit that we know, or beyond 64 bits.
 */
enum err size_parse(const char *text, uint64_t *bytes);
enum err duration_parse(const char *text, uint64_t *ns);

#endif
