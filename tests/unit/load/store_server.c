/*
 * Blocking sockets and threads that end with the process: criterion runs each test in one of its own. gzip bodies are
 * inflated. Nothing here is careful about its peer, which is the code under test.
 */
#include "store_server.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <libdeflate.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch.h"
#include "walk.h"

struct client {
    struct store_server *server;
    int fd;
    size_t len; /* of bytes */
    char *bytes;
};

#define REQUEST_MAX (16U << 20)

static bool receive(struct client *client)
{
    const ssize_t got = recv(client->fd, client->bytes + client->len, REQUEST_MAX - client->len, 0);

    if (got <= 0) return false;
    client->len += (size_t)got;
    client->bytes[client->len] = '\0';
    return true;
}

/* One request; false at the end of the connection. */
static bool read_request(struct client *client, struct slice *head, struct slice *body)
{
    char *end;
    size_t body_len = 0;

    while ((end = strstr(client->bytes, "\r\n\r\n")) == NULL) {
        if (!receive(client)) return false;
    }
    const size_t head_len = (size_t)(end + 4 - client->bytes);
    const char *const length = memmem(client->bytes, head_len, "Content-Length: ", 16);
    if (length != NULL) body_len = strtoul(length + 16, NULL, 10);
    while (client->len < head_len + body_len) {
        if (!receive(client)) return false;
    }
    *head = slice_of(client->bytes, head_len);
    *body = slice_of(client->bytes + head_len, body_len);
    return true;
}

static void forget_request(struct client *client, struct slice head, struct slice body)
{
    const size_t used = head.len + body.len;

    memmove(client->bytes, client->bytes + used, client->len - used);
    client->len -= used;
    client->bytes[client->len] = '\0';
}

static void say(const struct client *client, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        const ssize_t step = send(client->fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (step <= 0) return;
        sent += (size_t)step;
    }
}

static void answer(const struct client *client, const char *status, const char *headers, struct slice body)
{
    char head[256];

    say(client, head,
        (size_t)snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers,
                         body.len));
    say(client, body.ptr, body.len);
}

/* ---- what is sent ------------------------------------------------------------------------------------------ */

static void keep(struct store_server *server, struct slice head, struct slice body)
{
    if (memmem(head.ptr, head.len, "Content-Encoding: gzip", 22) == NULL) {
        buffer_append(&server->kept, body.ptr, body.len);
        return;
    }
    struct libdeflate_decompressor *const inflater = libdeflate_alloc_decompressor();
    void *const plain = malloc(REQUEST_MAX);
    size_t len = 0;
    cr_assert_eq(libdeflate_gzip_decompress(inflater, body.ptr, body.len, plain, REQUEST_MAX, &len),
                 LIBDEFLATE_SUCCESS);
    buffer_append(&server->kept, plain, len);
    free(plain);
    libdeflate_free_decompressor(inflater);
}

/* False when the connection is to be closed. */
static bool on_post(struct client *client, struct slice head, struct slice body)
{
    struct store_server *const server = client->server;
    const size_t last = strlen(server->script) - 1;

    pthread_mutex_lock(&server->lock);
    const char behaviour = server->script[server->posts < last ? server->posts : last];
    server->posts++;
    if (strchr("apkd", behaviour) != NULL) keep(server, head, body);
    pthread_mutex_unlock(&server->lock);
    switch (behaviour) {
    case 'a': answer(client, "200 OK", "", slice_of(NULL, 0)); return true;
    case 'p': answer(client, "200 OK", "", slice_of("\x0a\x02\x08\x01", 4)); return true;
    case 'r':
        answer(client, "503 Service Unavailable", "Retry-After: 0\r\n", slice_text("busy"));
        return true;
    case 'e': answer(client, "400 Bad Request", "", slice_text("\x12\x03no \"x\"")); return true;
    case 'd': answer(client, "200 OK", "Connection: close\r\n", slice_of(NULL, 0)); return false;
    default: return false;
    }
}

/* ---- what is asked ----------------------------------------------------------------------------------------- */

static uint8_t digit(uint8_t c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The spans of the trace, each in an envelope made of what the envelopes held besides spans. */
static void gather(struct store_server *server, const uint8_t id[16], struct buffer *out)
{
    struct span_walk walk = span_walk_of(buffer_slice(&server->kept));
    struct span_ids ids;

    while (span_walk_next(&walk)) {
        if (!span_ids_of(walk.span, &ids) || memcmp(ids.trace_id.ptr, id, 16) != 0) continue;
        struct proto_field field;
        const size_t resource = proto_open(out, TRACES_RESOURCE_SPANS);
        struct proto_reader outer = proto_read(walk.resource_spans);
        while (proto_next(&outer, &field)) {
            if (field.number != RESOURCE_SPANS_SCOPE_SPANS)
                buffer_append(out, field.whole.ptr, field.whole.len);
        }
        const size_t scope = proto_open(out, RESOURCE_SPANS_SCOPE_SPANS);
        struct proto_reader inner = proto_read(walk.scope_spans);
        while (proto_next(&inner, &field)) {
            if (field.number != SCOPE_SPANS_SPANS) buffer_append(out, field.whole.ptr, field.whole.len);
        }
        proto_bytes(out, SCOPE_SPANS_SPANS, walk.span.ptr, walk.span.len);
        proto_close(out, scope);
        proto_close(out, resource);
    }
    cr_assert_eq(walk.err, OK);
}

static void answer_in_chunks(const struct client *client, struct slice body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char size[32];

    say(client, head, sizeof head - 1);
    for (size_t at = 0; at < body.len; at += 1000) {
        const size_t len = body.len - at < 1000 ? body.len - at : 1000;
        say(client, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", len));
        say(client, body.ptr + at, len);
        say(client, "\r\n", 2);
    }
    say(client, "0\r\n\r\n", 5);
}

static void on_get(struct client *client, struct slice head)
{
    const uint8_t *const path = memmem(head.ptr, head.len, "/query/v1/traces/", 17);
    struct buffer out = {0};
    uint8_t id[16];

    cr_assert_not_null(path);
    cr_assert_not_null(memmem(head.ptr, head.len, "Accept: application/x-protobuf", 30));
    for (size_t i = 0; i < 16; i++)
        id[i] = (uint8_t)(digit(path[17 + 2 * i]) << 4 | digit(path[18 + 2 * i]));
    pthread_mutex_lock(&client->server->lock);
    gather(client->server, id, &out);
    pthread_mutex_unlock(&client->server->lock);
    if (out.len == 0)
        answer(client, "404 Not Found", "", slice_text("no"));
    else if (client->server->chunked)
        answer_in_chunks(client, buffer_slice(&out));
    else
        answer(client, "200 OK", "", buffer_slice(&out));
    buffer_deinit(&out);
}

/* ---- connections ------------------------------------------------------------------------------------------- */

static void *serve(void *argument)
{
    struct client *const client = argument;
    struct slice head;
    struct slice body;
    bool more = true;

    while (more && read_request(client, &head, &body)) {
        if (memcmp(head.ptr, "GET ", 4) == 0)
            on_get(client, head);
        else
            more = on_post(client, head, body);
        forget_request(client, head, body);
    }
    (void)close(client->fd);
    free(client->bytes);
    free(client);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct store_server *const server = argument;

    for (;;) {
        const int fd = accept(server->listener, NULL, NULL);
        if (fd < 0) return NULL;
        struct client *const client = calloc(1, sizeof *client);
        *client = (struct client){.server = server, .fd = fd, .bytes = calloc(1, REQUEST_MAX + 1)};
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, serve, client), 0);
        (void)pthread_detach(thread);
    }
}

void store_server_start(struct store_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;

    cr_assert_eq(pthread_mutex_init(&server->lock, NULL), 0);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(server->listener, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(server->listener, 128), 0);
    cr_assert_eq(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    cr_assert_eq(pthread_create(&thread, NULL, accept_all, server), 0);
    (void)pthread_detach(thread);
}
