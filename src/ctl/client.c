/* The server closes the connection behind its answer, because it is asked to: so the answer ends where the bytes end. */
#include "client.h"

#include "codec/json_reader.h"
#include "out.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 64 << 20, PATIENCE_S = 60, HEAD_BYTES_MAX = 1024, ADDRESS_BYTES_MAX = 256 };

static bool complain(const char *address, const char *why)
{
    fprintf(stderr, "spanmillctl: %s: %s; is the server running, and is this its query address (--server)?\n",
            address, why);
    return false;
}

/* ---- connecting ------------------------------------------------------------------------------------------ */

static int try_connect(const struct addrinfo *found)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};

    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0) continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) return fd;
        close(fd);
    }
    return -1;
}

/* "host:port", "[::1]:port"; -1 when it cannot be reached. */
static int open_connection(const char *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char host[ADDRESS_BYTES_MAX];
    struct addrinfo *found;

    const char *const colon = strrchr(address, ':');
    if (colon == NULL || strlen(address) >= sizeof host) return -1;
    const bool bracketed = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * bracketed, address + bracketed);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) return -1;
    const int fd = try_connect(found);
    freeaddrinfo(found);
    return fd;
}

/* ---- asking ---------------------------------------------------------------------------------------------- */

static bool send_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        const ssize_t count = send(fd, at, len, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        at += count;
        len -= (size_t)count;
    }
    return true;
}

static bool send_request(int fd, const char *address, const char *method, const char *target,
                         struct slice body)
{
    char head[HEAD_BYTES_MAX + 4096];

    const int len = snprintf(head, sizeof head,
                             "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                             method, target, address, body.len);
    if (len < 0 || (size_t)len >= sizeof head) return false;
    return send_all(fd, head, (size_t)len) && send_all(fd, body.ptr, body.len);
}

static bool receive_all(int fd, struct client_answer *answer)
{
    size_t capacity = 0, len = 0;

    for (;;) {
        if (len + 1 >= capacity) {
            if (capacity >= ANSWER_BYTES_MAX) return false;
            capacity = capacity * 2 + 16384;
            char *const grown = realloc(answer->bytes, capacity);
            if (grown == NULL) return false;
            answer->bytes = grown;
        }
        const ssize_t count = recv(fd, answer->bytes + len, capacity - len - 1, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        if (count == 0) break;
        len += (size_t)count;
    }
    answer->bytes[len] = '\0';
    answer->body = slice_of(answer->bytes, len);
    return true;
}

/* What has come is a head and a body. */
static bool take_apart(struct client_answer *answer)
{
    char *const end = strstr(answer->bytes, "\r\n\r\n");

    if (end == NULL || sscanf(answer->bytes, "HTTP/1.1 %3d", &answer->status) != 1) return false;
    const uint8_t *const body = (const uint8_t *)end + 4;
    answer->body = slice_of(body, answer->body.len - (size_t)(body - answer->body.ptr));
    return true;
}

bool client_ask(const char *address, const char *method, const char *target, struct slice body,
                struct client_answer *out)
{
    *out = (struct client_answer){.status = 0};
    const int fd = open_connection(address);
    if (fd < 0) return complain(address, "cannot be reached");
    const bool answered = send_request(fd, address, method, target, body) && receive_all(fd, out) &&
                          take_apart(out);
    close(fd);
    if (answered) return true;
    client_free(out);
    return complain(address, "gave no answer");
}

void client_free(struct client_answer *answer)
{
    free(answer->bytes);
    *answer = (struct client_answer){.status = 0};
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

/* {"error":{"code":..,"message":".."}}, or the body as it is. */
static struct slice words_of(struct slice body, uint8_t *room, size_t capacity)
{
    struct json_reader reader;
    struct json_token token;
    uint32_t replaced = 0;
    bool named = false;

    json_reader_init(&reader, body);
    while (json_next(&reader, &token) == OK && token.type != JSON_END) {
        if (named && token.type == JSON_STRING && token.text.len <= capacity)
            return slice_of(room, json_unescape(token.text, room, &replaced));
        named = token.type == JSON_KEY && slice_is(token.text, "message");
    }
    return body;
}

bool client_accepted(const struct client_answer *answer)
{
    uint8_t room[1024];
    char shown[2048];

    if (answer->status >= 200 && answer->status < 300) return true;
    fprintf(stderr, "spanmillctl: the server says %d: %s\n", answer->status,
            out_escape(words_of(answer->body, room, sizeof room), shown, sizeof shown));
    return false;
}
