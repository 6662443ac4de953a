/*
 * What handlers call, and the way of a deferred answer back to the thread of its connection: the worker puts
 * a letter on a stack that any thread may push to, and wakes the io; the server's next turn takes the whole
 * stack, turns it round, and gives each letter to its connection if that is still waiting for it.
 *
 * A ticket names slot and generation. The generation moves when the client leaves and when the exchange is
 * answered, so a late letter meets nobody and is torn up. Slots and generations live as long as the server,
 * which is closed only after the last worker: a ticket never points into the void.
 */
#include "conn.h"

#include <stdlib.h>

static struct conn *conn_of(const struct exchange *exchange)
{
    return container_of((struct exchange *)(uintptr_t)exchange, struct conn, exchange);
}

const struct http1_request *exchange_request(const struct exchange *exchange)
{
    return &conn_of(exchange)->http1.request;
}

struct slice exchange_field(const struct exchange *exchange, const char *name)
{
    return http1_find_field(&conn_of(exchange)->http1, name);
}

struct shard *exchange_shard(struct exchange *exchange)
{
    return conn_of(exchange)->server->config.shard;
}

struct slice exchange_small_body(const struct exchange *exchange)
{
    const struct conn *const conn = conn_of(exchange);

    return slice_of(conn->small, conn->small_len);
}

uint64_t exchange_now_ns(const struct exchange *exchange)
{
    return io_now_ns(conn_of(exchange)->server->io);
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     const struct http1_header *headers, size_t headers_count, struct slice body)
{
    assert(!exchange->deferred);

    conn_answer(conn_of(exchange), status, content_type, headers, headers_count, body, NULL);
}

void exchange_defer(struct exchange *exchange, struct exchange_ticket *out)
{
    struct conn *const conn = conn_of(exchange);

    assert(conn->stage == CONN_WORKING && !exchange->answered && !exchange->deferred);

    exchange->deferred = true;
    *out = (struct exchange_ticket){
        .server = conn->server,
        .conn = conn->index,
        .generation = atomic_load(&conn->server->generations[conn->index]),
    };
}

bool exchange_cancelled(const struct exchange_ticket *ticket)
{
    return atomic_load_explicit(&ticket->server->generations[ticket->conn], memory_order_relaxed) !=
           ticket->generation;
}

/* ---- letters --------------------------------------------------------------------------------------------
 */

static struct letter *letter_write(const struct exchange_ticket *ticket, int status, const char *content_type,
                                   const struct http1_header *headers, size_t headers_count, void *body,
                                   size_t len)
{
    size_t text_len = 0;

    for (size_t i = 0; i < headers_count; i++)
        text_len += headers[i].value.len;
    struct letter *const letter = malloc(sizeof *letter + text_len);
    if (letter == NULL) return NULL;
    *letter = (struct letter){
        .conn = ticket->conn,
        .generation = ticket->generation,
        .status = status,
        .content_type = content_type,
        .headers_count = (unsigned)headers_count,
        .body = body,
        .len = len,
    };
    char *text = letter->text;
    for (size_t i = 0; i < headers_count; i++) {
        const struct slice value = headers[i].value;
        if (value.len > 0) memcpy(text, value.ptr, value.len);
        letter->headers[i] = (struct http1_header){.name = headers[i].name,
                                                   .value = slice_of(text, value.len)};
        text += value.len;
    }
    return letter;
}

void exchange_complete(const struct exchange_ticket *ticket, int status, const char *content_type,
                       const struct http1_header *headers, size_t headers_count, void *body, size_t len)
{
    struct server *const server = ticket->server;

    assert(headers_count <= EXCHANGE_HEADERS_MAX);
    assert(len == 0 || body != NULL);

    struct letter *const letter = letter_write(ticket, status, content_type, headers, headers_count, body,
                                               len);
    assert(letter != NULL); /* some hundred bytes: jemalloc has them, or the process is beyond help */
    struct letter *head = atomic_load_explicit(&server->letters, memory_order_relaxed);
    do
        letter->next = head;
    while (!atomic_compare_exchange_weak_explicit(&server->letters, &head, letter, memory_order_release,
                                                  memory_order_relaxed));
    io_wake(server->io);
}

static void deliver(struct server *server, struct letter *letter)
{
    struct conn *const conn = &server->conns[letter->conn];

    if (atomic_load(&server->generations[letter->conn]) != letter->generation) {
        free(letter->body);
        return;
    }
    assert(conn->stage == CONN_WORKING && conn->exchange.deferred);
    atomic_fetch_add(&server->generations[letter->conn], 1);
    conn_answer(conn, letter->status, letter->content_type, letter->headers, letter->headers_count,
                slice_of(letter->body, letter->len), letter->body);
}

void server_take_letters(struct server *server)
{
    struct letter *newest = atomic_exchange_explicit(&server->letters, NULL, memory_order_acquire);
    struct letter *oldest = NULL;

    while (newest != NULL) {
        struct letter *const next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct letter *const next = oldest->next;
        deliver(server, oldest);
        free(oldest);
        oldest = next;
    }
}
