/* The server closes the connection behind its answer, because it is asked to: so the answer ends where the bytes end. */
#include "client.h"

#include "access/access.h"
#include "codec/json_reader.h"
#include "io/small_file.h"
#include "io/wire.h"
#include "out.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    TOKEN_FILE_BYTES_MAX = 4096,
    ANSWER_BYTES_MAX = 80 << 20, /* a page of an export, and its head */
    PATIENCE_S = 60,
    HEAD_BYTES_MAX = 1024,
    ADDRESS_BYTES_MAX = 256
};

static bool complain(const struct client *client, const char *why)
{
    if (client->quiet) return false;
    fprintf(stderr, "spanmillctl: %s: %s; is the server running, and is this its query address (--server)?\n",
            client->address, why);
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

/* "host:port", "[::1]:port"; -1 when it cannot be reached. host: without the port. */
static int open_connection(const char *address, char host[ADDRESS_BYTES_MAX])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;

    const char *const colon = strrchr(address, ':');
    if (colon == NULL || strlen(address) >= ADDRESS_BYTES_MAX) return -1;
    const bool bracketed = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    snprintf(host, ADDRESS_BYTES_MAX, "%.*s", (int)(colon - address) - 2 * bracketed, address + bracketed);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) return -1;
    const int fd = try_connect(found);
    freeaddrinfo(found);
    return fd;
}

/* False: it was told why. */
static bool secure(const struct client *client, struct wire *wire, const char *host)
{
    struct ssl_ctx_st *rules;
    const char *why = NULL;

    if (!client->tls && client->ca_file == NULL) return true;
    if (wire_rules_open(client->ca_file, &rules) != OK) {
        fprintf(stderr, "spanmillctl: --ca: no certificates of authorities in %s\n",
                client->ca_file != NULL ? client->ca_file : "what the system trusts");
        return false;
    }
    enum err err = wire_secure(wire, rules, host, false);
    wire_rules_close(rules); /* the connection holds them */
    if (err == OK) err = wire_shake(wire, &why);
    if (err == OK) return true;
    fprintf(stderr, "spanmillctl: %s: no TLS: %s\n", client->address, why != NULL ? why : err_text(err));
    return false;
}

/* ---- who asks -------------------------------------------------------------------------------------------- */

/* The first line, or nothing without a file. False: it was told why. */
static bool read_token(const struct client *client, char token[ACCESS_TOKEN_MAX + 1])
{
    char *text;
    size_t len;

    token[0] = '\0';
    if (client->token_file == NULL) return true;
    const enum err err = small_file_read(client->token_file, SMALL_FILE_SECRET, TOKEN_FILE_BYTES_MAX, &text,
                                         &len);
    if (err != OK) {
        fprintf(stderr, "spanmillctl: --token-file: %s: %s\n", client->token_file, small_file_advice(err));
        return false;
    }
    size_t end = 0;
    while (text[end] > ' ' && text[end] < 0x7f)
        end++;
    const bool good = end > 0 && end <= ACCESS_TOKEN_MAX && strchr("\r\n", text[end]) != NULL;
    if (good) snprintf(token, ACCESS_TOKEN_MAX + 1, "%.*s", (int)end, text);
    small_file_forget(text, len);
    if (!good)
        fprintf(stderr, "spanmillctl: --token-file: %s: no token in its first line\n", client->token_file);
    return good;
}

/* ---- asking ---------------------------------------------------------------------------------------------- */

static bool send_all(struct wire *wire, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        const struct iovec part = {.iov_base = (void *)(uintptr_t)at, .iov_len = len};
        const ssize_t count = wire_send(wire, &part, 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        at += count;
        len -= (size_t)count;
    }
    return true;
}

static bool send_request(struct wire *wire, const char *address, const char *token,
                         const struct client_request *request)
{
    char head[HEAD_BYTES_MAX + 16384];

    const int len = snprintf(
        head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s%s%s"
        "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
        request->method, request->target, address, token[0] != '\0' ? "Authorization: Bearer " : "", token,
        token[0] != '\0' ? "\r\n" : "", request->accept != NULL ? "Accept: " : "",
        request->accept != NULL ? request->accept : "", request->accept != NULL ? "\r\n" : "",
        request->content_type != NULL ? request->content_type : "application/json", request->body.len);
    const bool sent = len > 0 && (size_t)len < sizeof head && send_all(wire, head, (size_t)len) &&
                      send_all(wire, request->body.ptr, request->body.len);
    explicit_bzero(head, sizeof head);
    return sent;
}

static bool receive_all(struct wire *wire, struct client_answer *answer)
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
        const ssize_t count = wire_receive(wire, answer->bytes + len, capacity - len - 1);
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
    answer->head = slice_of(answer->bytes, (size_t)(end - answer->bytes) + 2);
    answer->body = slice_of(body, answer->body.len - (size_t)(body - answer->body.ptr));
    return true;
}

/* Asks over a connection, and ends it. */
static bool converse(const struct client *client, const char *token, const struct client_request *request,
                     struct client_answer *out)
{
    char host[ADDRESS_BYTES_MAX];
    struct wire wire = {.fd = open_connection(client->address, host)};

    if (wire.fd < 0) return complain(client, "cannot be reached");
    const bool secured = secure(client, &wire, host);
    const bool answered = secured && send_request(&wire, client->address, token, request) &&
                          receive_all(&wire, out) && take_apart(out);
    wire_end(&wire);
    close(wire.fd);
    if (secured && !answered) complain(client, "gave no answer");
    return answered;
}

bool client_request(const struct client *client, const struct client_request *request,
                    struct client_answer *out)
{
    char token[ACCESS_TOKEN_MAX + 1];

    *out = (struct client_answer){.status = 0};
    const bool answered = read_token(client, token) && converse(client, token, request, out);
    explicit_bzero(token, sizeof token);
    if (!answered) client_free(out);
    return answered;
}

const char *client_field(const struct client_answer *answer, const char *name, char *room, size_t capacity)
{
    const size_t name_len = strlen(name);
    const char *at = (const char *)answer->head.ptr, *const end = at + answer->head.len;

    room[0] = '\0';
    while (at < end) {
        const char *const stop = memchr(at, '\r', (size_t)(end - at));
        if (stop == NULL) break;
        const bool found = (size_t)(stop - at) > name_len && strncasecmp(at, name, name_len) == 0 &&
                           at[name_len] == ':';
        if (found) {
            at += name_len + 1;
            at += strspn(at, " ");
            if ((size_t)(stop - at) < capacity) snprintf(room, capacity, "%.*s", (int)(stop - at), at);
            break;
        }
        at = stop + 2;
    }
    return room;
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

enum ctl_exit client_ask(const struct client *client, const char *method, const char *target,
                         struct slice body, struct client_answer *out)
{
    const struct client_request request = {.method = method, .target = target, .body = body};

    if (!client_request(client, &request, out)) return CTL_UNREADABLE;
    if (client_accepted(out)) return CTL_FINE;
    client_free(out);
    return CTL_UNREADABLE;
}
