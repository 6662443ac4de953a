/*
 * Private to server/: a gRPC call, which is one stream of an HTTP/2 connection, and the methods that can be
 * called. A request of plain HTTP is a call, too. call.c tells the story.
 */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include "cors.h"
#include "protocol/grpc.h"
#include "protocol/http2.h"
#include "shard/shard.h"

struct call;
struct conn;
struct server;

enum { CALL_MESSAGE_SMALL = 4096 };

struct grpc_method {
    const char *path;
    bool takes_any_size;                  /* up to the limit of bodies; else CALL_MESSAGE_SMALL */
    enum err (*admit)(struct call *call); /* may be NULL. Not OK: refused as that, before a byte is kept */
    /* The request is complete: call_answer(), call_refuse() or call_ingest(). */
    void (*handle)(struct call *call);
};

/*
 *   message comes ─┬─> worked on ─┬─> answered ──> closed ──> given back
 *                  └─ (refused) ──┘
 *   closed at any time: reset by the client, or the connection ends; given back when the shard has let go
 */
struct call {
    struct conn *conn;
    struct call *previous, *next; /* of the connection */
    int32_t free_next;            /* in the pool */
    int32_t id;                   /* of the stream */
    const struct grpc_method *method;

    bool plain;                   /* a request of plain HTTP, no call of gRPC */
    bool json;                    /* of a plain one: in JSON */
    bool head_only;               /* likewise: method HEAD, the answer has no body */
    char origin[CORS_ORIGIN_MAX]; /* likewise: of a page that may see the answer; "": none */

    bool complete; /* the request has ended */
    bool answered;
    bool closed;    /* the stream is over: nobody waits */
    bool ingesting; /* the shard has `ingest` and `body` */
    uint8_t codec;  /* of a compressed message, enum journal_codec */
    struct grpc_message message;
    struct shard_body body; /* ptr NULL: none held */
    uint64_t begin_ns;
    uint64_t bytes;       /* of the body, kept or dropped */
    uint64_t end_ns;      /* by grpc-timeout, or ours */
    uint64_t deadline_ns; /* of what it waits for now */
    struct shard_ingest ingest;
    void (*done)(struct call *call); /* of call_ingest() */
};

/* call_pool.c: slots, and memory of messages. */
struct call_pool {
    struct call *calls;
    unsigned count;
    unsigned used; /* those behind were never touched */
    int32_t free_first;
};
enum err call_pool_open(struct call_pool *pool, unsigned count);
void call_pool_close(struct call_pool *pool);
struct call *call_take(struct conn *conn,
                       int32_t id); /* NULL: none is left, or the connection has its share */
void call_give(struct call *call);
void call_release_body(struct call *call);
/* What messages on their way hold of the connection changes by after - before. */
void call_hold(struct conn *conn, uint64_t before, uint64_t after);

/* The events of HTTP/2; context is the connection. */
extern const struct http2_handler call_handler;

/* call_answer.c. Answers, with whatever it is; everything is copied. */
void call_reply(struct call *call, const struct http2_field *head, size_t head_count, struct slice body,
                const struct http2_field *trailers, size_t trailers_count);
/* OK, with the method's response message. position may be NULL. */
void call_answer(struct call *call, struct slice response, const char *position);
/* Any other outcome. GRPC_UNAVAILABLE says when to try again. */
void call_refuse(struct call *call, enum grpc_code code, const char *text);
/* The same for what must not be sent again, with an HTTP status or none of its own; it is counted. */
void call_refuse_for_good(struct call *call, enum grpc_code code, const char *text);
void call_refuse_http(struct call *call, const char *http_status, enum grpc_code code, const char *text);
void call_refuse_overdue(struct call *call);
/* As call_refuse(), with the code for err, for a request that no shard has seen: it is counted. */
void call_refuse_unseen(struct call *call, enum err err, const char *text);
/* call.c. The message goes to the shard; done runs on the call, unless it is closed by then. */
void call_ingest(struct call *call, void (*done)(struct call *call));
struct slice call_message(const struct call *call);

/* The deadline has passed. False: the client takes nothing, its connection is to be reset. */
bool call_on_deadline(struct call *call, uint64_t now_ns);
/* The connection ends: gives back all calls but those that the shard has. */
void calls_abandon(struct conn *conn);
/* The server stops: calls whose message is still coming are refused. */
void calls_refuse_unfinished(struct conn *conn);

/* call.c. Do :authority and Host, if both are there, say the same (RFC 9113 8.3.1)? */
bool call_has_one_host(const struct http2_head *head);
/* call.c. Of the head, without a query. */
struct slice call_path(const struct http2_head *head);
/* call_http.c: a plain request. First: may a page see its answer, and does a browser only ask that? Then it is answered. */
void call_http_begin(struct call *call, const struct http2_head *head);
/* False: it is answered. */
bool call_http_judge(struct call *call, const struct http2_head *head);
/* As call_refuse(), with the HTTP status for that. */
void call_http_refuse(struct call *call, enum grpc_code code, const char *text);
/* With that very status; retry_after_s 0: it is not to be tried again. */
void call_http_refuse_as(struct call *call, int status, const char *text, unsigned retry_after_s);
extern const struct grpc_method call_http_export;

/* otlp_grpc.c, health.c */
extern const struct grpc_method otlp_grpc_export, health_check;

#endif
