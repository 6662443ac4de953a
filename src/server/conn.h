/*
 * Private to server/: the connection, its table and its server. conn.c tells the story.
 */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include "access/access.h"
#include "base/metric.h"
#include "call.h"
#include "io/io.h"
#include "protocol/tls.h"
#include "server/access_table.h"
#include "server/server.h"
#include "source.h"
#include "shard/shard.h"

#include <stdatomic.h>

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

enum {
    BLOCK_BYTES = HTTP1_HEAD_CAPACITY, /* of heads, answers and input that came too early */
    BLOCKS_PER_CHUNK = 64,
    BLOCKS_WARM = 1024, /* in use at once; pages of those beyond go back to the system after use */
    CONN_SPARE = 64,    /* slots beyond conns_max: connections on their way out */
    CONN_NONE = -1,
    CONN_PEER_MAX = 48,            /* text of an address */
    DROP_BYTES_MAX = 64 * 1024,    /* body of a route that takes none */
    DISCARD_BYTES_MAX = 1 << 20,   /* rest of a refused body that is read to keep the connection */
    SEND_PIECE_BYTES = 256 * 1024, /* of large answers; the stall deadline counts per piece */
};
static_assert(BLOCK_BYTES % IO_ALIGN == 0,
              "blocks stand at page boundaries: an unused page is never touched");

/*
 * FREE -> IDLE -> HEAD -> BODY -> WORKING -> ANSWERING -> IDLE
 *                   \________\________________/    \___> DISCARDING -> IDLE    the rest of a refused body
 *                     (refused)
 * HEAD -> IDLE             the head is HTTP/2's preface
 * IDLE -> CALLS -> IDLE    of a connection that speaks HTTP/2
 * any but FREE -> CLOSING -> FREE
 */
#define CONN_STAGES(X)                                                                                       \
    X(CONN_FREE, "not in use")                                                                               \
    X(CONN_IDLE, "waiting for the first byte of a request")                                                  \
    X(CONN_HEAD, "receiving a head")                                                                         \
    X(CONN_BODY, "receiving a body")                                                                         \
    X(CONN_WORKING, "a handler, the journal or a worker has the request")                                    \
    X(CONN_ANSWERING, "sending")                                                                             \
    X(CONN_DISCARDING, "receiving the rest of a request that is answered")                                   \
    X(CONN_CALLS, "speaking HTTP/2, with calls open")                                                        \
    X(CONN_CLOSING, "waiting until nothing is in flight")
enum conn_stage {
#define X(name, text) name,
    CONN_STAGES(X)
#undef X
        CONN_STAGE_COUNT
};

struct exchange {
    const struct route *route; /* NULL until the head was judged */
    bool answered;             /* exchange_answer() or exchange_complete() has run */
    bool deferred;
    bool complete;  /* the request has ended */
    bool head_only; /* method HEAD: the answer has no body */
    bool keep_alive;
    bool continue_sent;
    bool json;           /* the request is in JSON: its answers are, too (OTLP) */
    struct slice origin; /* of a web page that may see the answer, in the head's buffer; empty: none */
};

/* The answer being sent: a block (head, and the body if it fits), then the rest of the body from the heap. */
struct answer {
    uint8_t *block; /* from the server's blocks; NULL: none */
    size_t block_len;
    uint8_t *body; /* malloc'ed, owned; NULL: none */
    size_t body_len, body_sent;
    bool waiting; /* for the interim answer to be sent */
};

struct conn;
typedef void conn_sent_fn(struct conn *conn, enum err err);

struct conn {
    struct server *server;
    uint32_t index;
    enum conn_stage stage;
    enum listener_role role;
    struct io_socket socket;

    struct http1 http1;
    struct exchange exchange;
    struct answer answer;
    struct io_receive receive; /* through the shared buffers */
    struct io_op receive_op;   /* straight into the body */
    struct io_op send_op;      /* conn_send.c */
    bool sending;              /* bytes of a conn_send() are on their way */
    conn_sent_fn *sent;        /* to be told */

    /* of a TLS listener */
    bool secured;     /* nothing may leave that is not encrypted */
    bool handshaking; /* counted in server->handshakes; IDLE */
    uint8_t hello_len;
    uint8_t hello[TLS_HELLO_BYTES]; /* the first bytes, before tls is there */
    uint16_t cipher_at, cipher_len;
    struct tls *tls;        /* NULL: nothing like a ClientHello has come */
    uint8_t *cipher;        /* block with input that is not decrypted yet; NULL: none */
    uint8_t *send_block;    /* block with what is being sent; NULL: none */
    struct slice send_rest; /* of a conn_send(), not encrypted yet */

    struct shard_body body; /* ptr NULL: none held */
    uint8_t *small;         /* body of a route with small_body_max, from the heap; NULL: none */
    size_t small_len;
    uint64_t body_begin_ns;
    uint64_t body_bytes; /* received of this body, kept or dropped */
    struct shard_ingest ingest;
    bool ingesting; /* the shard has `ingest` */

    uint8_t *early; /* block with input that came before its turn; NULL: none */
    size_t early_at, early_len;

    bool
        is_http2; /* on the gRPC listener from the start, on that of OTLP over HTTP after ALPN or the preface */
    struct http2 *http2; /* of such a connection; NULL until the first byte */
    struct call *calls;
    unsigned calls_count, calls_ingesting;
    uint64_t calls_held_bytes; /* memory of messages on their way */
    uint64_t head_begin;       /* number of the frame or head under way, 0: none */
    uint64_t head_deadline_ns; /* of it */
    uint64_t idle_deadline_ns; /* without a call */
    uint64_t send_deadline_ns;
    uint64_t finish_ns; /* when the last stream is named even if the PING does not come back */
    bool touched;       /* in the list of those that may have something to send */
    int32_t touched_next;

    unsigned requests;
    uint64_t source; /* hash of the peer's address */
    char peer
        [CONN_PEER_MAX]; /* its text, for logs and limits; it cannot be asked for when the peer has gone */
    bool peer_finished;
    bool starving; /* in the list of those whose receive found no buffer */
    bool reset;    /* close with RST */
    int32_t starving_next;
    int32_t idle_previous, idle_next; /* list by age while IDLE or HEAD */
    int32_t free_next;
};

struct block_pool {
    uint8_t **chunks; /* of BLOCKS_PER_CHUNK each: too small for huge pages, which would be touched whole */
    unsigned chunks_count;
    uint8_t **free;
    unsigned free_count, count;
};

/* What a log tells at most once in a while, whatever strangers do. */
enum tell { TELL_ACCESS, TELL_TLS_FAILED, TELL_TLS_ON_PLAIN, TELL_PLAIN_ON_TLS, TELL_COUNT };

struct listener {
    struct server *server;
    enum listener_role role;
    struct io_listener *io;
};

/* An answer from another thread on its way (exchange.c). */
struct letter {
    struct letter *next;
    uint32_t conn, generation;
    int status;
    const char *content_type;
    unsigned headers_count;
    struct http1_header headers[EXCHANGE_HEADERS_MAX]; /* values point into text */
    void *body;
    size_t len;
    char text[]; /* values of the headers */
};

struct server {
    struct server_config config;
    struct io *io; /* = config.io, config.metrics: for short lines */
    struct metrics *metrics;
    struct listener listeners[ROLE_COUNT];
    bool draining;
    uint64_t random;
    struct access_view access; /* .access NULL: everybody is let in */
    uint64_t next_tell_ns[TELL_COUNT];

    struct conn *conns;
    unsigned slots;
    uint64_t *deadline_ns; /* by slot; UINT64_MAX: none. Apart from conns: scanned four times a second */
    _Atomic uint32_t *generations; /* by slot; moves when the slot's exchange is no longer wanted */
    int32_t free_first;
    int32_t idle_oldest, idle_newest;
    int32_t starving_first;
    unsigned conns_open; /* without those closing */
    unsigned conns_busy; /* slots not free */
    unsigned handshakes; /* under way */
    struct block_pool blocks;
    struct source_table sources;
    struct call_pool calls;
    struct http2_memory http2_memory;
    int32_t touched_first;
    uint64_t next_scan_ns;

    _Atomic(struct letter *) letters;
    uint8_t plain[TLS_RECORD_BYTES]; /* a decrypted record, while it is taken */
};

/* conn_table.c: slots, blocks, lists. */
enum err conn_table_open(struct server *server);
void conn_table_close(struct server *server);
struct conn *conn_take_slot(struct server *server); /* NULL: none */
void conn_give_slot(struct conn *conn);
uint8_t *block_take(struct server *server); /* NULL: none */
void block_give(struct server *server, uint8_t *block);
void conn_idle_add(struct conn *conn);
void conn_idle_remove(struct conn *conn);
void conn_deadline(struct conn *conn, uint64_t at_ns);

/* conn.c */
void conn_enter(struct conn *conn, enum conn_stage stage);
void conn_accept(struct listener *listener, struct io_socket socket);
void conn_close(struct conn *conn, bool reset);
void conn_next(struct conn *conn);
void conn_arm(struct conn *conn);
void conn_on_deadline(struct conn *conn);
void conn_drain(struct conn *conn);
void conn_unstarve(struct server *server);
void conn_rest(struct conn *conn);
bool conn_wants_input(const struct conn *conn);
void conn_take(struct conn *conn, struct slice bytes); /* plain ones */
void conn_on_peer_finished(struct conn *conn);
void conn_join(struct conn *conn); /* an operation of a closing connection has landed */

/* conn_request.c: from the end of the head to the handler. */
void conn_on_head(struct conn *conn);
void conn_on_end(struct conn *conn);
void conn_on_refused(struct conn *conn, const struct http1_event *event);
void conn_refuse_closing(struct conn *conn);

/* conn_body.c */
void conn_body_begin(struct conn *conn);
void conn_body_append(struct conn *conn, struct slice bytes); /* may answer */
bool conn_body_receive(struct conn *conn); /* true: a direct receive is under way, or answered */
void conn_on_receive_op(struct io_op *op);
void conn_body_received(struct conn *conn, uint64_t count);
void conn_body_deadline(struct conn *conn);
void conn_body_release(struct conn *conn);

/* conn_grpc.c: a connection that speaks HTTP/2. */
void conn_grpc_begin(struct conn *conn); /* what looked like a head was the preface */
void conn_grpc_take(struct conn *conn, struct slice bytes);
bool conn_grpc_wants_more(const struct conn *conn);
void conn_grpc_on_deadline(struct conn *conn);
void conn_grpc_drain(struct conn *conn);
void conn_grpc_close(struct conn *conn);
void conn_grpc_flush(struct server *server); /* sends for all that were touched */
/* for call.c */
void conn_grpc_on_call(struct conn *conn);
void conn_grpc_rest(struct conn *conn);
void conn_grpc_touch(struct conn *conn);
void conn_grpc_wait_until(struct conn *conn, uint64_t at_ns);

/* conn_send.c. bytes stay until sent runs, which is never before conn_send() has returned, nor on a closing connection. */
void conn_send(struct conn *conn, const void *bytes, size_t len, conn_sent_fn *sent);
bool conn_is_sending(const struct conn *conn);
void conn_send_flush(struct conn *conn);
void conn_send_goodbye(struct conn *conn);
void conn_send_drop(struct conn *conn);

/* conn_tls.c */
void conn_tls_on_bytes(struct conn *conn, struct slice bytes);
void conn_tls_take_kept(struct conn *conn);
void conn_tls_drop_kept(struct conn *conn);
void conn_tls_leave_handshake(struct conn *conn);
void conn_tls_close(struct conn *conn);
void conn_tls_tell_on_plain(struct conn *conn);

/* conn_answer.c */
void conn_answer(struct conn *conn, int status, const char *content_type, const struct http1_header *headers,
                 size_t headers_count, struct slice body, void *heap);
void conn_send_continue(struct conn *conn);
void conn_answer_drop(struct conn *conn);

/* exchange.c */
void server_take_letters(struct server *server);

/* route.c */
const struct route *route_find(const struct server *server, enum listener_role role,
                               const struct http1_request *request, bool *path_known);
/* Fills in "GET, HEAD" or the like for the path. */
void route_allow(const struct server *server, enum listener_role role, struct slice path, char *text,
                 size_t capacity);
bool route_host_allowed(const struct server *server, struct slice host);

/* gate.c: who is let in. False: answered. */
bool gate_conn(struct conn *conn);
bool gate_call(struct call *call, const struct http2_head *head);

/* server.c. True when this may be logged now. */
bool server_may_tell(struct server *server, enum tell what);
/* A number in 1..8 for Retry-After. */
unsigned server_retry_after_s(struct server *server);

#endif
