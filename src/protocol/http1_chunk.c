/*
 * Chunk lines and trailers (RFC 9112 7.1), byte by byte, so that no line needs to be kept and no split can
 * matter.
 *
 *   chunk    = 1*16HEXDIG *( ";" token [ "=" ( token / quoted-string ) ] ) CRLF data CRLF
 *   last     = 1*"0" ... CRLF *( token ":" value CRLF ) CRLF
 *
 * Stricter than the grammar where the versions of llhttp differ among themselves: no white space around
 * anything on a chunk line, no backslash in a quoted value, nothing after an unquoted one. Nobody sends
 * extensions; who does is trying something. Trailers are checked and thrown away, never merged into the head;
 * a name that would change framing, routing, authentication or the body's meaning is refused (RFC
 * 9110 6.5.1).
 */
#include "http1_private.h"

#include "base/assert.h"
#include "text.h"

static bool size_byte(struct http1 *http1, uint8_t c);
static bool line_end(struct http1 *http1);
static bool ext_byte(struct http1 *http1, uint8_t c);
static bool trailer_byte(struct http1 *http1, uint8_t c);

static bool expect(struct http1 *http1, bool as_expected, enum http1_phase next, const char *reason)
{
    if (!as_expected) return http1__refuse(http1, 400, reason);
    http1->phase = next;
    return true;
}

bool http1__chunk_byte(struct http1 *http1, uint8_t c)
{
    switch ((enum http1_phase)http1->phase) {
    case PHASE_CHUNK_SIZE: return size_byte(http1, c);
    case PHASE_CHUNK_EXT:
    case PHASE_CHUNK_EXT_NAME:
    case PHASE_CHUNK_EXT_VALUE:
    case PHASE_CHUNK_EXT_TOKEN:
    case PHASE_CHUNK_EXT_QUOTED:
    case PHASE_CHUNK_EXT_QUOTE: return ext_byte(http1, c);
    case PHASE_CHUNK_LINE_LF:
        if (c != '\n') return http1__refuse(http1, 400, "carriage return without line feed on a chunk line");
        return line_end(http1);
    case PHASE_CHUNK_TAIL_CR:
        return expect(http1, c == '\r', PHASE_CHUNK_TAIL_LF, "no CR LF after the data of a chunk");
    case PHASE_CHUNK_TAIL_LF:
        return expect(http1, c == '\n', PHASE_CHUNK_SIZE, "no CR LF after the data of a chunk");
    case PHASE_TRAILER:
    case PHASE_TRAILER_NAME:
    case PHASE_TRAILER_VALUE:
    case PHASE_TRAILER_LF:
    case PHASE_TRAILERS_END_LF: return trailer_byte(http1, c);
    case PHASE_REQUEST_LINE:
    case PHASE_REQUEST_LINE_LF:
    case PHASE_FIELDS:
    case PHASE_FIELDS_LF:
    case PHASE_BODY:
    case PHASE_CHUNK_DATA:
    case PHASE_END:
    case PHASE_REFUSED: break;
    }
    unreachable("not inside chunk framing");
}

static bool size_byte(struct http1 *http1, uint8_t c)
{
    const int digit = text_hex(c);

    if (digit >= 0) {
        http1->chunk_digits++;
        if (http1->chunk_digits > 16 || http1->owed > (UINT64_MAX >> 5)) {
            return http1__refuse(http1, 400, "chunk size too large");
        }
        http1->owed = http1->owed << 4 | (uint64_t)digit;
        return true;
    }
    if (http1->chunk_digits > 0 && c == '\r') return expect(http1, true, PHASE_CHUNK_LINE_LF, "");
    if (http1->chunk_digits > 0 && c == ';') return ext_byte(http1, c);
    return http1__refuse(http1, 400, "chunk size is not a hexadecimal number");
}

/* The chunk line is complete. */
static bool line_end(struct http1 *http1)
{
    http1->chunk_digits = 0;
    http1->chunk_ext_len = 0;
    http1->phase = http1->owed > 0 ? PHASE_CHUNK_DATA : PHASE_TRAILER;
    return true;
}

/* ---- extensions ---- */

static bool ext_byte(struct http1 *http1, uint8_t c)
{
    static const char bad[] = "malformed chunk extension";
    const bool token = (text_class[c] & CLASS_TOKEN) != 0;

    /* A chunk line's end, which every phase with something complete before it may see. */
    const bool complete = http1->phase == PHASE_CHUNK_EXT_NAME || http1->phase == PHASE_CHUNK_EXT_TOKEN ||
                          http1->phase == PHASE_CHUNK_EXT_QUOTE;
    if (c == '\r') return expect(http1, complete, PHASE_CHUNK_LINE_LF, bad);

    http1->chunk_ext_len++;
    http1->chunk_exts_len++;
    if (http1->chunk_ext_len > HTTP1_CHUNK_EXT_MAX || http1->chunk_exts_len > HTTP1_CHUNK_EXTS_MAX) {
        return http1__refuse(http1, 400, "chunk extensions too long");
    }
    switch ((enum http1_phase)http1->phase) {
    case PHASE_CHUNK_SIZE: return expect(http1, c == ';', PHASE_CHUNK_EXT, bad);
    case PHASE_CHUNK_EXT: return expect(http1, token, PHASE_CHUNK_EXT_NAME, bad);
    case PHASE_CHUNK_EXT_NAME:
        if (c == '=') return expect(http1, true, PHASE_CHUNK_EXT_VALUE, bad);
        if (c == ';') return expect(http1, true, PHASE_CHUNK_EXT, bad);
        return expect(http1, token, PHASE_CHUNK_EXT_NAME, bad);
    case PHASE_CHUNK_EXT_VALUE:
        if (c == '"') return expect(http1, true, PHASE_CHUNK_EXT_QUOTED, bad);
        return expect(http1, token, PHASE_CHUNK_EXT_TOKEN, bad);
    case PHASE_CHUNK_EXT_TOKEN: return expect(http1, token, PHASE_CHUNK_EXT_TOKEN, bad);
    case PHASE_CHUNK_EXT_QUOTED:
        if (c == '"') return expect(http1, true, PHASE_CHUNK_EXT_QUOTE, bad);
        return expect(http1, c >= 0x20 && c <= 0x7e && c != '\\', PHASE_CHUNK_EXT_QUOTED, bad);
    case PHASE_CHUNK_EXT_QUOTE: return expect(http1, c == ';', PHASE_CHUNK_EXT, bad);
    default: unreachable("not inside chunk extensions");
    }
}

/* ---- trailers ---- */

static const char *const forbidden_trailers[] = {
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
};

static bool trailer_forbidden(const struct http1 *http1)
{
    if (http1->trailer_name_len > sizeof http1->trailer_name) return false;
    for (size_t i = 0; i < sizeof forbidden_trailers / sizeof *forbidden_trailers; i++) {
        if (slice_is(slice_of(http1->trailer_name, http1->trailer_name_len), forbidden_trailers[i]))
            return true;
    }
    return false;
}

static bool trailer_name_byte(struct http1 *http1, uint8_t c)
{
    if (c == ':' && http1->trailer_name_len > 0) {
        if (trailer_forbidden(http1))
            return http1__refuse(http1, 400, "field that may not stand in a trailer");
        http1->phase = PHASE_TRAILER_VALUE;
        return true;
    }
    if ((text_class[c] & CLASS_TOKEN) == 0)
        return http1__refuse(http1, 400, "malformed field name in a trailer");
    if (http1->trailer_name_len < sizeof http1->trailer_name) {
        http1->trailer_name[http1->trailer_name_len] = text_lower(c);
    }
    http1->trailer_name_len++;
    http1->phase = PHASE_TRAILER_NAME;
    return true;
}

static bool trailer_byte(struct http1 *http1, uint8_t c)
{
    http1->trailers_len++;
    if (http1->trailers_len > HTTP1_TRAILERS_MAX)
        return http1__refuse(http1, 400, "trailers larger than 4 KiB");

    switch ((enum http1_phase)http1->phase) {
    case PHASE_TRAILER:
        if (c == '\r') return expect(http1, true, PHASE_TRAILERS_END_LF, "");
        http1->trailers_count++;
        http1->trailer_name_len = 0;
        if (http1->trailers_count > HTTP1_TRAILERS_COUNT_MAX)
            return http1__refuse(http1, 400, "more than 16 trailers");
        return trailer_name_byte(http1, c);
    case PHASE_TRAILER_NAME: return trailer_name_byte(http1, c);
    case PHASE_TRAILER_VALUE:
        if (c == '\r') return expect(http1, true, PHASE_TRAILER_LF, "");
        return expect(http1, (text_class[c] & CLASS_TEXT) != 0, PHASE_TRAILER_VALUE,
                      "control byte in a trailer");
    case PHASE_TRAILER_LF:
        return expect(http1, c == '\n', PHASE_TRAILER, "carriage return without line feed in a trailer");
    case PHASE_TRAILERS_END_LF:
        return expect(http1, c == '\n', PHASE_END, "carriage return without line feed after the trailers");
    default: unreachable("not inside trailers");
    }
}
