/*
 * The gate: at the end of every head, before anything else is judged and before a byte of the body is kept, somebody must
 * have the role that the access table asks for. Decided per request, never per connection, so a credential that was
 * revoked opens nothing from the next request on.
 *
 * Who fails is counted by source: an IPv4 address, or the first 64 bits of an IPv6 one, because one customer has all of
 * those behind. Beyond 50 in a minute the answer is 429 in place of 401. A good credential is let in all the same: behind
 * one address there may be many clients, and one that is set up wrongly must not shut the others out.
 *
 * Answers say what is missing, and nothing about credentials. The log has the name of the credential, or six digits of
 * the digest of an unknown token, once a second at most.
 */
#include "call.h"
#include "conn.h"
#include "status.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { V6_NETWORK_BYTES = 8 };

struct refusal {
    enum access_verdict verdict;
    unsigned retry_after_s; /* not 0: the source has failed too often */
    char text[96];
};

/* Somebody, but not for this: asking again changes nothing. */
static bool is_known(enum access_verdict verdict)
{
    return verdict == ACCESS_FORBIDDEN || verdict == ACCESS_STRANGER;
}

static unsigned count_failure(struct conn *conn)
{
    struct server *const server = conn->server;
    const uint64_t now_ns = io_now_ns(server->io);
    uint8_t v6[16];

    const bool is_v6 = inet_pton(AF_INET6, conn->peer, v6) == 1;
    const unsigned count = access_failed(
        server->config.access, is_v6 ? slice_of(v6, V6_NETWORK_BYTES) : slice_text(conn->peer), now_ns);
    return count > ACCESS_FAILURES_MAX ? access_retry_after_s(now_ns) : 0;
}

static void write_refusal(struct refusal *refusal, unsigned needs)
{
    char roles[ROLES_TEXT_MAX];

    if (refusal->retry_after_s > 0)
        snprintf(refusal->text, sizeof refusal->text, "too many requests without a valid credential");
    else if (refusal->verdict == ACCESS_FORBIDDEN)
        snprintf(refusal->text, sizeof refusal->text, "the credential does not have %s %s",
                 (needs & (needs - 1)) == 0 ? "the role" : "one of the roles", roles_format(needs, roles));
    else if (refusal->verdict == ACCESS_STRANGER)
        snprintf(refusal->text, sizeof refusal->text, "%s", access_verdict_text(refusal->verdict));
    else
        snprintf(refusal->text, sizeof refusal->text, "%s; send Authorization: Bearer and a token",
                 access_verdict_text(refusal->verdict));
}

/* Counts, logs, and words it. */
static void refuse(struct conn *conn, unsigned needs, const char *who, struct refusal *refusal)
{
    struct server *const server = conn->server;

    refusal->retry_after_s = is_known(refusal->verdict) ? 0 : count_failure(conn);
    write_refusal(refusal, needs);
    metric_add(server->metrics, METRIC_ACCESS_REFUSED, 1);
    if (refusal->retry_after_s > 0) metric_add(server->metrics, METRIC_ACCESS_LIMITED, 1);
    if (server_may_tell(server, TELL_ACCESS))
        log_warn("server", "not let in", "listener=%s source=%s credential=\"%s\" because=\"%s\"",
                 listener_name(conn->role), conn->peer, who,
                 refusal->verdict == ACCESS_FORBIDDEN ? refusal->text
                                                      : access_verdict_text(refusal->verdict));
}

static unsigned certificate_names(const struct conn *conn, struct digest out[TLS_NAMES_MAX])
{
    const struct slice *names;
    const unsigned count = conn->tls != NULL ? tls_peer_names(conn->tls, &names) : 0;

    for (unsigned i = 0; i < count; i++)
        out[i] = digest_of(names[i]);
    return count;
}

/* False: refusal says why. */
static bool pass(struct conn *conn, struct slice path, bool reads, struct slice authorization,
                 struct refusal *refusal)
{
    const struct access_row *const row = access_row_find(conn->role, path, reads);
    char who[CREDENTIAL_NAME_MAX + 1];

    if (conn->server->access.access == NULL || (row != NULL && row->open)) return true;
    struct digest names[TLS_NAMES_MAX];
    const struct access_request request = {
        .needs = row != NULL ? row->needs : 0,
        .authorization = authorization,
        .certificate_names = names,
        .certificate_names_count = authorization.ptr == NULL ? certificate_names(conn, names) : 0,
        .now_s = io_wall_ns(conn->server->io) / 1000000000,
    };
    refusal->verdict = access_decide(&conn->server->access, &request, who);
    if (refusal->verdict == ACCESS_GRANTED) return true;
    refuse(conn, request.needs, who, refusal);
    return false;
}

/* ---- HTTP/1 ---------------------------------------------------------------------------------------------
 */

static int http_status(const struct refusal *refusal)
{
    if (refusal->retry_after_s > 0) return 429;
    return is_known(refusal->verdict) ? 403 : 401;
}

static void answer_text(struct exchange *exchange, int status, const struct refusal *refusal)
{
    char text[128], seconds[12];

    const int len = snprintf(text, sizeof text, "%d %s\n", status, refusal->text);
    snprintf(seconds, sizeof seconds, "%u", refusal->retry_after_s);
    const struct http1_header retry = {.name = "Retry-After", .value = slice_text(seconds)};
    exchange_answer(exchange, status, "text/plain; charset=utf-8", &retry, refusal->retry_after_s > 0,
                    slice_of(text, (size_t)len));
}

bool gate_conn(struct conn *conn)
{
    const struct http1_request *const request = &conn->http1.request;
    struct exchange *const exchange = &conn->exchange;
    struct refusal refusal;

    const bool reads = request->method == HTTP1_GET || request->method == HTTP1_HEAD_METHOD;
    if (pass(conn, request->path, reads, request->authorization, &refusal)) return true;
    const int status = http_status(&refusal);
    if (status == 429) exchange->keep_alive = false; /* and the next one has to connect first */
    exchange->json = http1_media_type_is(request->content_type, "application/json");
    if (conn->role == ROLE_OTLP)
        status_answer_with(exchange, status, refusal.text, refusal.retry_after_s);
    else
        answer_text(exchange, status, &refusal);
    return false;
}

/* ---- HTTP/2: gRPC, and plain requests -----------------------------------------------------------------------------------------------
 */

static enum grpc_code grpc_code_of(const struct refusal *refusal)
{
    if (refusal->retry_after_s > 0)
        return GRPC_RESOURCE_EXHAUSTED; /* without a time: clients give up, as they should */
    return is_known(refusal->verdict) ? GRPC_PERMISSION_DENIED : GRPC_UNAUTHENTICATED;
}

bool gate_call(struct call *call, const struct http2_head *head)
{
    struct refusal refusal;
    unsigned count;

    if (head->too_large) return true; /* the field may be among those that were dropped; refused next */
    if (call->plain)                  /* refusals speak the encoding of the request */
        call->json = http1_media_type_is(http2_find_field(head, "content-type", NULL), "application/json");
    const struct slice authorization = http2_find_field(head, "authorization", &count);
    if (count > 1) {
        call_refuse_http(call, "400", GRPC_INVALID_ARGUMENT, "authorization: given more than once");
        return false;
    }
    const bool reads = slice_is(head->method, "GET") || slice_is(head->method, "HEAD");
    if (pass(call->conn, call_path(head), reads, authorization, &refusal)) return true;
    if (call->plain)
        call_http_refuse_as(call, http_status(&refusal), refusal.text, refusal.retry_after_s);
    else
        call_refuse(call, grpc_code_of(&refusal), refusal.text);
    return false;
}
