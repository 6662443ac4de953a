/*
 * A gRPC client that writes its frames by hand and understands the answers. Every wait ends after
 * CLIENT_MS_MAX and fails the test.
 */
#ifndef TEST_GRPC_FIXTURE_H
#define TEST_GRPC_FIXTURE_H

#include "protocol/http2_fixture.h"
#include "server_fixture.h"

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT       "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define CHECK_HEALTH "/grpc.health.v1.Health/Check"

/* What came on one stream. */
struct reply {
    char fields[4096]; /* "name: value\n" of the head, then of the trailers */
    size_t fields_len;
    uint8_t body[4096];
    size_t body_len;
    bool ended;
    int reset; /* code of RST_STREAM; -1: none */
};

struct grpc_client {
    int fd;
    struct script script; /* to be sent */
    nghttp2_hd_inflater *inflater;
    uint8_t in[1 << 17];
    size_t in_len;
    struct reply replies[256]; /* by id / 2 */
    int goaway;                /* code of the last one; -1: none */
    uint32_t goaway_last_id;
    bool closed;        /* by the server */
    bool answers_pings; /* those that the server sends */
};

static inline void grpc_open(struct grpc_client *client, uint16_t port)
{
    memset(client, 0, sizeof *client);
    client->fd = client_open(port);
    client->goaway = -1;
    client->answers_pings = true;
    for (size_t i = 0; i < sizeof client->replies / sizeof *client->replies; i++)
        client->replies[i].reset = -1;
    cr_assert_eq(nghttp2_hd_inflate_new(&client->inflater), 0);
    script_begin(&client->script);
}

static inline void grpc_close(struct grpc_client *client)
{
    nghttp2_hd_inflate_del(client->inflater);
    close(client->fd);
}

static inline void grpc_send(struct grpc_client *client)
{
    client_send_bytes(client->fd, client->script.bytes, client->script.len);
    client->script.len = 0;
}

static inline struct reply *reply_of(struct grpc_client *client, uint32_t id)
{
    return &client->replies[id / 2 % 256];
}

static inline void take_fields(struct grpc_client *client, struct reply *reply, const uint8_t *block,
                               size_t len)
{
    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        const ssize_t used = nghttp2_hd_inflate_hd2(client->inflater, &field, &flags, block, len, 1);

        cr_assert_geq(used, 0);
        block += used;
        len -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            reply->fields_len += (size_t)snprintf(
                reply->fields + reply->fields_len, sizeof reply->fields - reply->fields_len, "%.*s: %.*s\n",
                (int)field.namelen, (char *)field.name, (int)field.valuelen, (char *)field.value);
        cr_assert_lt(reply->fields_len, sizeof reply->fields);
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(client->inflater);
}

static inline void take_frame(struct grpc_client *client, const uint8_t *frame, size_t len)
{
    const uint8_t *const payload = frame + 9;
    const uint32_t id = number_at(frame + 5);
    struct reply *const reply = reply_of(client, id);

    switch (frame[3]) {
    case FRAME_HEADERS:
        cr_assert(frame[4] & END_HEADERS);
        take_fields(client, reply, payload, len);
        break;
    case FRAME_DATA:
        cr_assert_leq(len, sizeof reply->body - reply->body_len);
        if (len > 0) memcpy(reply->body + reply->body_len, payload, len);
        reply->body_len += len;
        break;
    case FRAME_RST_STREAM: reply->reset = (int)number_at(payload); return;
    case FRAME_GOAWAY:
        client->goaway_last_id = number_at(payload);
        client->goaway = (int)number_at(payload + 4);
        return;
    case FRAME_PING:
        if (!client->answers_pings || (frame[4] & ACK) != 0) return;
        script_frame(&client->script, FRAME_PING, ACK, 0, payload, 8);
        grpc_send(client);
        return;
    default: return;
    }
    reply->ended = (frame[4] & END_STREAM) != 0;
}

/* Takes what the server sends next; false: it has closed. */
static inline bool grpc_receive(struct grpc_client *client)
{
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};

    if (client->closed) return false;
    cr_assert_eq(poll(&ready, 1, CLIENT_MS_MAX), 1, "the server neither answers nor closes");
    const ssize_t got = recv(client->fd, client->in + client->in_len, sizeof client->in - client->in_len, 0);
    if (got <= 0) {
        client->closed = true;
        return false;
    }
    client->in_len += (size_t)got;
    size_t at = 0;
    while (client->in_len - at >= 9) {
        const uint8_t *const h = client->in + at;
        const size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
        if (client->in_len - at < 9 + len) break;
        take_frame(client, h, len);
        at += 9 + len;
    }
    memmove(client->in, client->in + at, client->in_len - at);
    client->in_len -= at;
    return true;
}

/* Sends what is in the script, waits for the end of the stream. */
static inline struct reply *grpc_wait(struct grpc_client *client, uint32_t id)
{
    struct reply *const reply = reply_of(client, id);

    grpc_send(client);
    while (!reply->ended && reply->reset < 0 && grpc_receive(client))
        ;
    return reply;
}

/* Sends what is in the script, waits until the server closes. */
static inline void grpc_wait_closed(struct grpc_client *client)
{
    grpc_send(client);
    while (grpc_receive(client))
        ;
}

static inline bool says(const struct reply *reply, const char *line)
{
    return strstr(reply->fields, line) != NULL;
}

/* A head without END_STREAM; fields are pairs of name and value, ended by NULL. */
static inline void script_call(struct script *script, uint32_t id, const char *path,
                               const char *const *fields)
{
    uint8_t block[8192];
    size_t len = block_request(block, path);

    for (; fields != NULL && fields[0] != NULL; fields += 2)
        len = block_field(block, len, fields[0], fields[1]);
    script_frame(script, FRAME_HEADERS, END_HEADERS, id, block, len);
}

/* A message with its prefix, in frames of at most `piece` bytes. */
static inline void script_message(struct script *script, uint32_t id, unsigned flag, const void *bytes,
                                  size_t len, size_t piece)
{
    static uint8_t all[sizeof script->bytes];

    all[0] = (uint8_t)flag;
    for (unsigned i = 0; i < 4; i++)
        all[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    if (len > 0) memcpy(all + 5, bytes, len);
    for (size_t at = 0; at < len + 5; at += piece) {
        const size_t rest = len + 5 - at;
        script_frame(script, FRAME_DATA, rest <= piece ? END_STREAM : 0, id, all + at,
                     rest < piece ? rest : piece);
    }
}

#endif
