/*
 * A connection to the server: one request at a time over HTTP/1.1 keep-alive, on an epoll instance of the
 * caller.
 *
 *   conn_init(&conn, &endpoint, epoll, body_max)
 *   conn_connect(&conn)                        CLOSED -> CONNECTING
 *   conn_on_events(&conn, epoll events)        says what has happened: connected, answered, lost, or nothing
 * yet conn_request(&conn, head, body)            IDLE -> EXCHANGING; head and body are borrowed until
 * answered or lost conn_close(&conn)                          any -> CLOSED conn_deinit(&conn)
 *
 * Over gRPC conn_speak_grpc() follows conn_init(), and conn_call() takes the place of conn_request().
 *
 * The epoll data pointer of its descriptor is the conn. After CONN_ANSWERED the answer is in conn.answer
 * until the next request; the connection is IDLE, or CLOSED when the server does not keep it.
 */
#ifndef LOAD_CONN_H
#define LOAD_CONN_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "answer.h"
#include "io/wire.h"

struct grpc;
struct grpc_request;

/* Where requests go; made from http://host:port/path, or https. */
struct endpoint {
    struct sockaddr_storage address;
    socklen_t address_len;
    char host[256];           /* for the Host field, with port */
    char path[256];           /* "" when none was given */
    char name[256];           /* of the host, without port and brackets: whom the certificate must be for */
    bool secure;              /* https */
    struct ssl_ctx_st *rules; /* of TLS; borrowed; must be set when secure */
};

/* ERR_MALFORMED (not such a URL), ERR_NOT_FOUND (no such host). */
enum err endpoint_parse(const char *url, uint16_t default_port, struct endpoint *endpoint);

enum conn_stage {
    CONN_CLOSED,
    CONN_CONNECTING,
    CONN_IDLE,
    CONN_EXCHANGING, /* the request is being written, the answer awaited */
};

enum conn_event { CONN_NOTHING, CONN_CONNECTED, CONN_ANSWERED, CONN_LOST };

struct conn {
    const struct endpoint *endpoint; /* borrowed */
    int epoll;
    struct wire wire; /* fd -1: none */
    enum conn_stage stage;
    struct slice head, body; /* still to be written; borrowed; HTTP only */
    struct grpc *grpc;       /* NULL: HTTP */
    struct answer answer;
    enum err err;    /* why it was lost */
    const char *why; /* of a handshake that has failed; static text, NULL: none has */
};

void conn_init(struct conn *conn, const struct endpoint *endpoint, int epoll, size_t answer_body_max);
/* ERR_NO_MEMORY */
enum err conn_speak_grpc(struct conn *conn);
void conn_deinit(struct conn *conn);
/* ERR_IO … when not even a socket can be had. Connecting ends with CONN_CONNECTED or CONN_LOST. */
enum err conn_connect(struct conn *conn);
/* CONN_NOTHING, or CONN_LOST at once when the peer has gone. */
enum conn_event conn_request(struct conn *conn, struct slice head, struct slice body);
enum conn_event conn_call(struct conn *conn, const struct grpc_request *request, struct slice body);
enum conn_event conn_on_events(struct conn *conn, uint32_t events);
void conn_close(struct conn *conn);
/* The whole request has been handed to the kernel: head and body may be changed. */
bool conn_written(const struct conn *conn);

#endif
