/*
 * The HTTP/1.1 engine against the catalogue of faults: each vector carries the id of its row (H1 to H21) and
 * runs whole, byte by byte and cut at every point (H19). CRLF stands for both bytes of a line end.
 */
#include <criterion/criterion.h>

#include "http1_fixture.h"

#define CRLF    "\r\n"
#define HOST    "Host: a" CRLF
#define GET     "GET / HTTP/1.1" CRLF
#define POST    "POST /v1/traces HTTP/1.1" CRLF HOST
#define CHUNKED POST "Transfer-Encoding: chunked" CRLF CRLF

enum { ACCEPTED = -1, UNFINISHED = -2 };

struct vector {
    const char *id;
    int status; /* of the refusal, or ACCEPTED, or UNFINISHED: more bytes are wanted */
    struct bytes bytes;
    const char *body; /* when accepted */
};

static const struct vector vectors[] = {
    /* what must work */
    {"H0 plain GET", ACCEPTED, BYTES(GET HOST CRLF), ""},
    {"H0 body by length", ACCEPTED, BYTES(POST "Content-Length: 5" CRLF CRLF "hello"), "hello"},
    {"H0 empty body", ACCEPTED, BYTES(POST "Content-Length: 0" CRLF CRLF), ""},
    {"H0 leading zeros", ACCEPTED, BYTES(POST "Content-Length: 0005" CRLF CRLF "hello"), "hello"},
    {"H0 no length is no body", ACCEPTED, BYTES(POST CRLF), ""},
    {"H0 chunked", ACCEPTED, BYTES(CHUNKED "5" CRLF "hello" CRLF "A" CRLF "0123456789" CRLF "0" CRLF CRLF),
     "hello0123456789"},
    {"H0 chunked, any case", ACCEPTED,
     BYTES(POST "tRANSFER-eNCODING:CHUNKED" CRLF CRLF "00a" CRLF "0123456789" CRLF "000" CRLF CRLF),
     "0123456789"},
    {"H0 absent body", UNFINISHED, BYTES(POST "Content-Length: 5" CRLF CRLF "hell"), NULL},
    {"H0 absent last chunk", UNFINISHED, BYTES(CHUNKED "5" CRLF "hello" CRLF), NULL},
    {"H0 absent end of trailers", UNFINISHED, BYTES(CHUNKED "0" CRLF), NULL},
    {"H0 absent end of head", UNFINISHED, BYTES(GET HOST), NULL},
    {"H0 high bytes in a value", ACCEPTED, BYTES(GET HOST "X: \x80\xff\tx" CRLF CRLF), ""},
    {"H0 empty value", ACCEPTED, BYTES(GET HOST "X:" CRLF "Y: \t " CRLF CRLF), ""},
    {"H0 HTTP/1.0 without Host", ACCEPTED, BYTES("GET / HTTP/1.0" CRLF CRLF), ""},

    {"H1 both lengths", 400,
     BYTES(POST "Content-Length: 5" CRLF "Transfer-Encoding: chunked" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H1 both, other order", 400,
     BYTES(POST "Transfer-Encoding: chunked" CRLF "Content-Length: 0" CRLF CRLF "0" CRLF CRLF), NULL},

    {"H2 two equal", 400, BYTES(POST "Content-Length: 3" CRLF "Content-Length: 3" CRLF CRLF "abc"), NULL},
    {"H2 two different", 400, BYTES(POST "Content-Length: 3" CRLF "Content-Length: 4" CRLF CRLF "abcd"),
     NULL},
    {"H2 two, other case", 400, BYTES(POST "Content-Length: 3" CRLF "cONTENT-lENGTH: 3" CRLF CRLF "abc"),
     NULL},
    {"H2 list", 400, BYTES(POST "Content-Length: 3, 3" CRLF CRLF "abc"), NULL},
    {"H2 plus", 400, BYTES(POST "Content-Length: +3" CRLF CRLF "abc"), NULL},
    {"H2 hex", 400, BYTES(POST "Content-Length: 0x3" CRLF CRLF "abc"), NULL},
    {"H2 trailing space", 400, BYTES(POST "Content-Length: 3 " CRLF CRLF "abc"), NULL},
    {"H2 trailing tab", 400, BYTES(POST "Content-Length: 3\t" CRLF CRLF "abc"), NULL},
    {"H2 empty", 400, BYTES(POST "Content-Length:" CRLF CRLF), NULL},
    {"H2 blank", 400, BYTES(POST "Content-Length:  " CRLF CRLF), NULL},
    {"H2 minus", 400, BYTES(POST "Content-Length: -1" CRLF CRLF), NULL},
    {"H2 2^64+1", 400, BYTES(POST "Content-Length: 18446744073709551617" CRLF CRLF "a"), NULL},
    {"H2 2^64-1", 400, BYTES(POST "Content-Length: 18446744073709551615" CRLF CRLF "a"), NULL},
    {"H2 nineteen digits", 400, BYTES(POST "Content-Length: 1000000000000000000" CRLF CRLF "a"), NULL},
    {"H2 eighteen digits", UNFINISHED, BYTES(POST "Content-Length: 999999999999999999" CRLF CRLF "a"), NULL},
    {"H2 inner space", 400, BYTES(POST "Content-Length: 1 2" CRLF CRLF "a"), NULL},

    {"H3 gzip, chunked", 501, BYTES(POST "Transfer-Encoding: gzip, chunked" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 chunked, identity", 400, BYTES(POST "Transfer-Encoding: chunked, identity" CRLF CRLF "0" CRLF CRLF),
     NULL},
    {"H3 identity", 400, BYTES(POST "Transfer-Encoding: identity" CRLF CRLF), NULL},
    {"H3 gzip alone", 400, BYTES(POST "Transfer-Encoding: gzip" CRLF CRLF), NULL},
    {"H3 xchunked", 400, BYTES(POST "Transfer-Encoding: xchunked" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 chunkedx", 400, BYTES(POST "Transfer-Encoding: chunkedx" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 two fields", 400,
     BYTES(POST "Transfer-Encoding: chunked" CRLF "Transfer-Encoding: chunked" CRLF CRLF "0" CRLF CRLF),
     NULL},
    {"H3 twice", 400, BYTES(POST "Transfer-Encoding: chunked, chunked" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 trailing comma", 400, BYTES(POST "Transfer-Encoding: chunked," CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 vertical tab", 400,
     BYTES(POST "Transfer-Encoding: \x0b"
                "chunked" CRLF CRLF "0" CRLF CRLF),
     NULL},
    {"H3 folded", 400, BYTES(POST "Transfer-Encoding:" CRLF " chunked" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 empty", 400, BYTES(POST "Transfer-Encoding:" CRLF CRLF), NULL},
    {"H3 trailing tab", 400, BYTES(POST "Transfer-Encoding: chunked\t" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 quoted", 400, BYTES(POST "Transfer-Encoding: \"chunked\"" CRLF CRLF "0" CRLF CRLF), NULL},
    {"H3 space before colon", 400, BYTES(POST "Transfer-Encoding : chunked" CRLF CRLF "0" CRLF CRLF), NULL},

    {"H4 chunked on 1.0", 400,
     BYTES("POST / HTTP/1.0" CRLF HOST "Transfer-Encoding: chunked" CRLF CRLF "0" CRLF CRLF), NULL},

    {"H5 bare LF after the request line", 400, BYTES("GET / HTTP/1.1\nHost: a" CRLF CRLF), NULL},
    {"H5 bare LF after a field", 400, BYTES(GET "Host: a\n" CRLF), NULL},
    {"H5 bare LF as empty line", 400, BYTES(GET HOST "\n"), NULL},
    {"H5 bare CR in a name", 400, BYTES(GET HOST "X\rY: z" CRLF CRLF), NULL},
    {"H5 bare CR in a value", 400, BYTES(GET HOST "X: y\rz" CRLF CRLF), NULL},
    {"H5 CR LF CR X", 400, BYTES(GET HOST "\rX"), NULL},
    {"H5 CR after the head belongs to the next request", ACCEPTED, BYTES(GET HOST CRLF "\rX"), ""},
    {"H5 CR first", 400, BYTES("\rX"), NULL},
    {"H5 CR CR LF", 400, BYTES(GET "Host: a\r\r\n\r\n"), NULL},
    {"H5 empty line first", 400, BYTES(CRLF GET HOST CRLF), NULL},
    {"H5 LF first", 400, BYTES("\n" GET HOST CRLF), NULL},

    {"H6 space before colon", 400, BYTES(GET "Host : a" CRLF CRLF), NULL},
    {"H6 tab before colon", 400, BYTES(GET HOST "X\t: a" CRLF CRLF), NULL},
    {"H6 leading space on the first field", 400, BYTES(GET " Host: a" CRLF HOST CRLF), NULL},
    {"H6 folding", 400, BYTES(GET HOST "X: a" CRLF " b" CRLF CRLF), NULL},
    {"H6 folding by tab", 400, BYTES(GET HOST "X: a" CRLF "\tb" CRLF CRLF), NULL},
    {"H6 line of spaces", 400, BYTES(GET HOST "  " CRLF CRLF), NULL},
    {"H6 empty name", 400, BYTES(GET HOST ": x" CRLF CRLF), NULL},
    {"H6 no colon", 400, BYTES(GET HOST "Xyz" CRLF CRLF), NULL},
    {"H6 NUL in a value", 400, BYTES(GET HOST "X: a\0b" CRLF CRLF), NULL},
    {"H6 NUL in a name", 400, BYTES(GET HOST "X\0: a" CRLF CRLF), NULL},
    {"H6 DEL in a value", 400, BYTES(GET HOST "X: a\x7f" CRLF CRLF), NULL},
    {"H6 0x01 in a value", 400, BYTES(GET HOST "X: a\x01" CRLF CRLF), NULL},
    {"H6 0x1f in a value", 400, BYTES(GET HOST "X: a\x1f" CRLF CRLF), NULL},
    {"H6 non-token name", 400, BYTES(GET HOST "X(Y): a" CRLF CRLF), NULL},
    {"H6 high byte in a name", 400, BYTES(GET HOST "X\xe4: a" CRLF CRLF), NULL},

    {"H7 no Host", 400, BYTES(GET CRLF), NULL},
    {"H7 two Host", 400, BYTES(GET HOST HOST CRLF), NULL},
    {"H7 spaces", 400, BYTES(GET "Host: a b" CRLF CRLF), NULL},
    {"H7 empty", 400, BYTES(GET "Host:" CRLF CRLF), NULL},
    {"H7 userinfo", 400, BYTES(GET "Host: u@a" CRLF CRLF), NULL},
    {"H7 port 99999", 400, BYTES(GET "Host: a:99999" CRLF CRLF), NULL},
    {"H7 port 65536", 400, BYTES(GET "Host: a:65536" CRLF CRLF), NULL},
    {"H7 port empty", 400, BYTES(GET "Host: a:" CRLF CRLF), NULL},
    {"H7 port not a number", 400, BYTES(GET "Host: a:8x" CRLF CRLF), NULL},
    {"H7 port only", 400, BYTES(GET "Host: :80" CRLF CRLF), NULL},
    {"H7 list", 400, BYTES(GET "Host: a, b" CRLF CRLF), NULL},
    {"H7 path", 400, BYTES(GET "Host: a/b" CRLF CRLF), NULL},
    {"H7 open bracket", 400, BYTES(GET "Host: [::1" CRLF CRLF), NULL},
    {"H7 after the bracket", 400, BYTES(GET "Host: [::1]x" CRLF CRLF), NULL},
    {"H7 port 65535", ACCEPTED, BYTES(GET "Host: a-b_c.d:65535" CRLF CRLF), ""},
    {"H7 IPv6", ACCEPTED, BYTES(GET "Host: [::ffff:127.0.0.1]:4318" CRLF CRLF), ""},

    {"H8 seventeen digits", 400, BYTES(CHUNKED "00000000000000003" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H8 sixteen digits", ACCEPTED, BYTES(CHUNKED "0000000000000003" CRLF "abc" CRLF "0" CRLF CRLF), "abc"},
    {"H8 2^64-1", 400, BYTES(CHUNKED "ffffffffffffffff" CRLF "abc"), NULL},
    {"H8 2^63", 400, BYTES(CHUNKED "8000000000000000" CRLF "abc"), NULL},
    {"H8 2^63-1", UNFINISHED, BYTES(CHUNKED "7fffffffffffffff" CRLF "abc"), NULL},
    {"H8 0x", 400, BYTES(CHUNKED "0x3" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H8 trailing space", 400, BYTES(CHUNKED "3 " CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H8 leading space", 400, BYTES(CHUNKED " 3" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H8 negative", 400, BYTES(CHUNKED "-1" CRLF "abc" CRLF), NULL},
    {"H8 empty size", 400, BYTES(CHUNKED CRLF "abc" CRLF), NULL},
    {"H8 extension ended by LF", 400, BYTES(CHUNKED "3;\nabc" CRLF "0" CRLF CRLF), NULL},
    {"H8 named extension ended by LF", 400, BYTES(CHUNKED "3;x\nabc" CRLF "0" CRLF CRLF), NULL},
    {"H8 LF only", 400, BYTES(CHUNKED "3\nabc\n0\n\n"), NULL},
    {"H8 CR only", 400, BYTES(CHUNKED "3\rabc" CRLF), NULL},
    {"H8 no CR LF after the data", 400, BYTES(CHUNKED "3" CRLF "abc0" CRLF CRLF), NULL},
    {"H8 LF after the data", 400, BYTES(CHUNKED "3" CRLF "abc\n0" CRLF CRLF), NULL},
    {"H8 two bytes too many", 400, BYTES(CHUNKED "3" CRLF "abcde" CRLF "0" CRLF CRLF), NULL},

    {"H9 extension", ACCEPTED, BYTES(CHUNKED "3;x" CRLF "abc" CRLF "0" CRLF CRLF), "abc"},
    {"H9 valued extension", ACCEPTED, BYTES(CHUNKED "3;x=y" CRLF "abc" CRLF "0;z=1" CRLF CRLF), "abc"},
    {"H9 quoted extension", ACCEPTED, BYTES(CHUNKED "3;x;y=\"a b;c\";z" CRLF "abc" CRLF "0" CRLF CRLF),
     "abc"},
    {"H9 open quote", 400, BYTES(CHUNKED "3;x=\"a" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H9 backslash in quotes", 400, BYTES(CHUNKED "3;x=\"\\\"\"" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H9 empty extension", 400, BYTES(CHUNKED "3;" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H9 empty value", 400, BYTES(CHUNKED "3;x=" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H9 space in an extension", 400, BYTES(CHUNKED "3; x" CRLF "abc" CRLF "0" CRLF CRLF), NULL},
    {"H9 NUL in an extension", 400, BYTES(CHUNKED "3;x=\"\0\"" CRLF "abc" CRLF "0" CRLF CRLF), NULL},

    {"H10 trailers", ACCEPTED, BYTES(CHUNKED "3" CRLF "abc" CRLF "0" CRLF "X: y" CRLF "Z:" CRLF CRLF), "abc"},
    {"H10 Content-Length", 400, BYTES(CHUNKED "0" CRLF "Content-Length: 3" CRLF CRLF), NULL},
    {"H10 Transfer-Encoding", 400, BYTES(CHUNKED "0" CRLF "transfer-encoding: chunked" CRLF CRLF), NULL},
    {"H10 Host", 400, BYTES(CHUNKED "0" CRLF "HOST: b" CRLF CRLF), NULL},
    {"H10 Authorization", 400, BYTES(CHUNKED "0" CRLF "Authorization: Bearer x" CRLF CRLF), NULL},
    {"H10 Connection", 400, BYTES(CHUNKED "0" CRLF "Connection: close" CRLF CRLF), NULL},
    {"H10 Content-Encoding", 400, BYTES(CHUNKED "0" CRLF "Content-Encoding: gzip" CRLF CRLF), NULL},
    {"H10 a long name is none of them", ACCEPTED,
     BYTES(CHUNKED "0" CRLF "Content-Length-And-Much-More-Than-That: x" CRLF CRLF), ""},
    {"H10 a prefix is none of them", ACCEPTED, BYTES(CHUNKED "0" CRLF "Hos: x" CRLF "Hosts: x" CRLF CRLF),
     ""},
    {"H10 folded", 400, BYTES(CHUNKED "0" CRLF "X: y" CRLF " z" CRLF CRLF), NULL},
    {"H10 no colon", 400, BYTES(CHUNKED "0" CRLF "X" CRLF CRLF), NULL},
    {"H10 empty name", 400, BYTES(CHUNKED "0" CRLF ": x" CRLF CRLF), NULL},
    {"H10 space before colon", 400, BYTES(CHUNKED "0" CRLF "X : y" CRLF CRLF), NULL},
    {"H10 LF only", 400, BYTES(CHUNKED "0" CRLF "X: y\n" CRLF), NULL},
    {"H10 bare CR", 400, BYTES(CHUNKED "0" CRLF "X: y\rz" CRLF CRLF), NULL},
    {"H10 CR X at the end", 400, BYTES(CHUNKED "0" CRLF "\rX"), NULL},
    {"H10 NUL", 400, BYTES(CHUNKED "0" CRLF "X: \0" CRLF CRLF), NULL},

    {"H11 HTTP/0.9", 400, BYTES("GET /" CRLF), NULL},
    {"H11 HTTP/0.9 spelled out", 505, BYTES("GET / HTTP/0.9" CRLF CRLF), NULL},
    {"H11 HTTP/1.2", 505, BYTES("GET / HTTP/1.2" CRLF HOST CRLF), NULL},
    {"H11 HTTP/9.9", 505, BYTES("GET / HTTP/9.9" CRLF HOST CRLF), NULL},
    {"H11 trailing junk", 400, BYTES("GET / HTTP/1.1 x" CRLF HOST CRLF), NULL},
    {"H11 trailing space", 400, BYTES("GET / HTTP/1.1 " CRLF HOST CRLF), NULL},
    {"H11 lower case", 400, BYTES("GET / http/1.1" CRLF HOST CRLF), NULL},
    {"H11 two digits", 400, BYTES("GET / HTTP/1.10" CRLF HOST CRLF), NULL},
    {"H11 no dot", 400, BYTES("GET / HTTP/1x1" CRLF HOST CRLF), NULL},
    {"H11 RTSP", 400, BYTES("GET / RTSP/1.0" CRLF HOST CRLF), NULL},
    {"H11 tab between", 400, BYTES("GET\t/ HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H11 two spaces", 400, BYTES("GET  / HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H11 leading space", 400, BYTES(" GET / HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H11 only a method", 400, BYTES("GET" CRLF), NULL},

    {"H12 HTTP/2 preface", 505, BYTES("PRI * HTTP/2.0" CRLF CRLF "SM" CRLF CRLF), NULL},
    {"T4 TLS hello", 0, BYTES("\x16\x03\x01\x02\x00\x01"), NULL},
    {"T18 PROXY v1", 400, BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 1 2" CRLF GET HOST CRLF), NULL},
    {"T18 PROXY v2", 400, BYTES("\r\n\r\n\0\r\nQUIT\n!"), NULL},

    {"H13 Upgrade is ignored", ACCEPTED,
     BYTES(GET HOST "Connection: Upgrade, HTTP2-Settings" CRLF "Upgrade: h2c" CRLF
                    "HTTP2-Settings: AAMAAABk" CRLF CRLF),
     ""},
    {"H13 websocket with a body", ACCEPTED,
     BYTES(POST "Connection: Upgrade" CRLF "Upgrade: websocket" CRLF "Content-Length: 3" CRLF CRLF "abc"),
     "abc"},
    {"H13 websocket with chunks", ACCEPTED,
     BYTES(POST "Connection: Upgrade" CRLF "Upgrade: websocket" CRLF "Transfer-Encoding: chunked" CRLF CRLF
                "3" CRLF "abc" CRLF "0" CRLF CRLF),
     "abc"},
    {"H13 CONNECT", 405, BYTES("CONNECT a:443 HTTP/1.1" CRLF HOST CRLF GET HOST CRLF), NULL},
    {"H13 TRACE", 405, BYTES("TRACE / HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H13 unknown method", 405, BYTES("BREW /pot HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H13 lower-case method", 405, BYTES("get / HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H13 method with a bracket", 400, BYTES("G[T / HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H13 PATCH is the router's", ACCEPTED, BYTES("PATCH / HTTP/1.1" CRLF HOST CRLF), ""},

    {"H14 absolute form", ACCEPTED, BYTES("GET http://A/x?y HTTP/1.1" CRLF HOST CRLF), ""},
    {"H14 absolute form, other host", 400, BYTES("GET http://b/x HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 absolute form, other port", 400, BYTES("GET http://a:81/x HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 absolute form, userinfo", 400, BYTES("GET http://u@a/x HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 absolute form, other scheme", 400, BYTES("GET ftp://a/x HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 absolute form without path", ACCEPTED, BYTES("GET http://a?q HTTP/1.1" CRLF HOST CRLF), ""},
    {"H14 asterisk", 400, BYTES("GET * HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 asterisk of OPTIONS", ACCEPTED, BYTES("OPTIONS * HTTP/1.1" CRLF HOST CRLF), ""},
    {"H14 two slashes", 400, BYTES("GET // HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 two slashes inside", 400, BYTES("GET /a//b HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 dot dot", 400, BYTES("GET /a/../b HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 dot dot last", 400, BYTES("GET /.. HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 dot", 400, BYTES("GET /./a HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 encoded dots", 400, BYTES("GET /%2e%2E/a HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 half encoded dots", 400, BYTES("GET /a/.%2e HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 dots are fine elsewhere", ACCEPTED, BYTES("GET /a..b/.c/...?x=../y//z HTTP/1.1" CRLF HOST CRLF),
     ""},
    {"H14 trailing slash is fine", ACCEPTED, BYTES("GET /a/ HTTP/1.1" CRLF HOST CRLF), ""},
    {"H14 %00", 400, BYTES("GET /a%00b HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 %2f", 400, BYTES("GET /..%2fb HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 broken escape", 400, BYTES("GET /a%4 HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 broken escape digits", 400, BYTES("GET /a%4x/ HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 high byte", 400, BYTES("GET /\xc3\xa4 HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 high byte in the query", 400, BYTES("GET /?\xff HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 fragment", 400, BYTES("GET /a#b HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 no slash", 400, BYTES("GET a HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 only a query", 400, BYTES("GET ?a HTTP/1.1" CRLF HOST CRLF), NULL},
    {"H14 no target", 400, BYTES("GET  HTTP/1.1" CRLF HOST CRLF), NULL},

    {"H17 after close", ACCEPTED, BYTES(GET HOST "Connection: close" CRLF CRLF GET HOST CRLF), ""},

    {"H18 Expect without body", ACCEPTED, BYTES(GET HOST "Expect: 100-continue" CRLF CRLF), ""},
    {"H18 Expect", ACCEPTED, BYTES(POST "Expect: 100-Continue" CRLF "Content-Length: 2" CRLF CRLF "ab"),
     "ab"},
    {"H18 other Expect", 417, BYTES(POST "Expect: 200-ok" CRLF "Content-Length: 2" CRLF CRLF "ab"), NULL},
    {"H18 empty Expect", 417, BYTES(POST "Expect:" CRLF CRLF), NULL},
    {"H18 second Expect", 417, BYTES(POST "Expect: 100-continue" CRLF "Expect: x" CRLF CRLF), NULL},

    {"A2 two Authorization", 400,
     BYTES(GET HOST "Authorization: Bearer a" CRLF "authorization: Bearer a" CRLF CRLF), NULL},
    {"A2 two Content-Type", 400, BYTES(POST "Content-Type: a/b" CRLF "Content-Type: a/b" CRLF CRLF), NULL},
};

static struct outcome outcome;

Test(http1_catalogue, every_vector_gets_its_verdict_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *const vector = &vectors[i];
        const char *const difference = outcome_of_every_split(&outcome, vector->bytes, 1);

        cr_assert_null(difference, "%s: %s", vector->id, difference);
        cr_expect_not(outcome.disagreement, "%s: llhttp disagrees", vector->id);
        if (vector->status >= 0) {
            cr_expect_eq(outcome.kind, HTTP1_REFUSED, "%s: was not refused", vector->id);
            cr_expect_eq(outcome.status, vector->status, "%s: %d (%s)", vector->id, outcome.status,
                         outcome.reason);
            cr_expect_not_null(outcome.reason, "%s: gives no reason", vector->id);
        } else {
            cr_expect_eq(outcome.kind, vector->status == ACCEPTED ? HTTP1_END : HTTP1_NEED_MORE,
                         "%s: kind %d, %d %s", vector->id, outcome.kind, outcome.status,
                         outcome.reason ? outcome.reason : "");
        }
        if (vector->status == ACCEPTED) {
            cr_expect_eq(outcome.body_len, strlen(vector->body), "%s: body length", vector->id);
            cr_expect_arr_eq(outcome.body, vector->body, outcome.body_len, "%s: body", vector->id);
        }
    }
}

/* Every prefix of a good request wants more, and none is refused. */
Test(http1_catalogue, a_prefix_of_a_good_request_is_unfinished)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        if (vectors[i].status != ACCEPTED) continue;
        outcome_run(&outcome, vectors[i].bytes, vectors[i].bytes.len, 1);
        const size_t end = outcome.consumed;
        for (size_t len = 1; len < end; len++) {
            outcome_run(&outcome, (struct bytes){vectors[i].bytes.ptr, len}, len, 1);
            cr_assert_eq(outcome.kind, HTTP1_NEED_MORE, "%s: %zu of %zu bytes", vectors[i].id, len, end);
        }
    }
}

/* ---- limits: N-1, N, N+1 ---- */

static char big[64 * 1024];

/* Appends text, then `count` times c. */
static size_t put(size_t at, const char *text, size_t count, char c)
{
    memcpy(big + at, text, strlen(text));
    at += strlen(text);
    memset(big + at, c, count);
    return at + count;
}

static int status_of_big(size_t len)
{
    const char *const difference = outcome_of_every_split(&outcome, (struct bytes){big, len},
                                                          len > 3000 ? 397 : 1);

    cr_assert_null(difference, "%s", difference);
    cr_assert_not(outcome.disagreement);
    return outcome.kind == HTTP1_END         ? ACCEPTED
           : outcome.kind == HTTP1_NEED_MORE ? UNFINISHED
                                             : outcome.status;
}

static int status_of_request_line(size_t line_len)
{
    size_t len = put(0, "GET /", line_len - strlen("GET / HTTP/1.1" CRLF), 'x');
    len = put(len, " HTTP/1.1" CRLF, 0, 0);
    cr_assert_eq(len, line_len);
    return status_of_big(put(len, HOST CRLF, 0, 0));
}

Test(http1_limits, H14_request_line_of_4_KiB)
{
    cr_expect_eq(status_of_request_line(4095), ACCEPTED);
    cr_expect_eq(status_of_request_line(4096), ACCEPTED);
    cr_expect_eq(status_of_request_line(4097), 414);
    cr_expect_eq(status_of_request_line(4098), 414);
    cr_expect_eq(status_of_request_line(20000), 414);
}

Test(http1_limits, H14_overlong_line_that_is_no_request_is_400)
{
    cr_expect_eq(status_of_big(put(0, "", 5000, 'x')), 400);
    cr_expect_eq(status_of_big(put(0, "(", 5000, ' ')), 400);
}

static int status_of_headers(size_t headers_len)
{
    size_t len = put(0, GET HOST "X: ", headers_len - strlen(HOST "X: " CRLF CRLF), 'x');
    len = put(len, CRLF CRLF, 0, 0);
    cr_assert_eq(len, headers_len + strlen(GET));
    return status_of_big(len);
}

Test(http1_limits, H15_headers_of_16_KiB)
{
    cr_expect_eq(status_of_headers(16383), ACCEPTED);
    cr_expect_eq(status_of_headers(16384), ACCEPTED);
    cr_expect_eq(status_of_headers(16385), 431);
    cr_expect_eq(status_of_headers(16386), 431);
    cr_expect_eq(status_of_headers(16387), 431);
    cr_expect_eq(status_of_headers(50000), 431);
}

Test(http1_limits, H15_both_limits_at_once_fit_the_buffer)
{
    size_t len = put(0, "GET /", 4096 - strlen("GET / HTTP/1.1" CRLF), 'x');
    len = put(len, " HTTP/1.1" CRLF HOST "X: ", 16384 - strlen(HOST "X: " CRLF CRLF), 'x');
    len = put(len, CRLF CRLF, 0, 0);
    cr_assert_eq(len, HTTP1_HEAD_CAPACITY);
    cr_expect_eq(status_of_big(len), ACCEPTED);
}

static int status_of_fields(unsigned count)
{
    size_t len = put(0, GET HOST, 0, 0);
    for (unsigned i = 1; i < count; i++)
        len = put(len, "X: y" CRLF, 0, 0);
    return status_of_big(put(len, CRLF, 0, 0));
}

Test(http1_limits, H15_sixty_four_fields)
{
    cr_expect_eq(status_of_fields(63), ACCEPTED);
    cr_expect_eq(status_of_fields(64), ACCEPTED);
    cr_expect_eq(status_of_fields(65), 431);
    cr_expect_eq(status_of_fields(1000), 431);
}

static int status_of_chunk_ext(size_t ext_len)
{
    size_t len = put(0, CHUNKED "1;", ext_len - 1, 'x');
    len = put(len, CRLF "a" CRLF "0" CRLF CRLF, 0, 0);
    return status_of_big(len);
}

Test(http1_limits, H9_extensions_of_256_bytes_a_chunk)
{
    cr_expect_eq(status_of_chunk_ext(255), ACCEPTED);
    cr_expect_eq(status_of_chunk_ext(256), ACCEPTED);
    cr_expect_eq(status_of_chunk_ext(257), 400);
}

/* chunks chunks with 128 bytes of extensions each, then a last one with rest bytes. */
static int status_of_all_exts(unsigned chunks, size_t rest)
{
    size_t len = put(0, CHUNKED, 0, 0);
    for (unsigned i = 0; i < chunks; i++) {
        len = put(len, "1;", 127, 'x');
        len = put(len, CRLF "a" CRLF, 0, 0);
    }
    len = rest == 0 ? put(len, "0", 0, 0) : put(len, "0;", rest - 1, 'x');
    return status_of_big(put(len, CRLF CRLF, 0, 0));
}

Test(http1_limits, H9_extensions_of_4_KiB_a_body)
{
    cr_expect_eq(status_of_all_exts(31, 127), ACCEPTED);
    cr_expect_eq(status_of_all_exts(31, 128), ACCEPTED);
    cr_expect_eq(status_of_all_exts(31, 129), 400);
    cr_expect_eq(status_of_all_exts(32, 0), ACCEPTED);
    cr_expect_eq(status_of_all_exts(33, 0), 400);
}

static int status_of_trailers(unsigned count, size_t trailers_len)
{
    size_t len = put(0, CHUNKED "0" CRLF, 0, 0);
    const size_t start = len;
    for (unsigned i = 1; i < count; i++)
        len = put(len, "X: y" CRLF, 0, 0);
    if (count > 0) len = put(len, "X:", trailers_len - (len - start) - strlen("X:" CRLF CRLF), 'y');
    if (count > 0) len = put(len, CRLF, 0, 0);
    len = put(len, CRLF, 0, 0);
    cr_assert(count == 0 || len - start == trailers_len);
    return status_of_big(len);
}

Test(http1_limits, H10_sixteen_trailers_of_4_KiB)
{
    cr_expect_eq(status_of_trailers(15, 1000), ACCEPTED);
    cr_expect_eq(status_of_trailers(16, 1000), ACCEPTED);
    cr_expect_eq(status_of_trailers(17, 1000), 400);
    cr_expect_eq(status_of_trailers(3, 4095), ACCEPTED);
    cr_expect_eq(status_of_trailers(3, 4096), ACCEPTED);
    cr_expect_eq(status_of_trailers(3, 4097), 400);
    cr_expect_eq(status_of_trailers(1, 40000), 400);
}

Test(http1_limits, H10_trailers_are_not_merged_into_the_head)
{
    const struct bytes bytes = BYTES(CHUNKED "0" CRLF "Accept: evil" CRLF "X: evil" CRLF CRLF);
    struct http1 http1;
    struct http1_event event;
    size_t consumed;

    outcome_run(&outcome, bytes, bytes.len, 1);
    cr_expect_eq(outcome.kind, HTTP1_END);
    cr_expect_null(outcome.request.accept.ptr);

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    struct slice rest = slice_of(bytes.ptr, bytes.len);
    do {
        const enum http1_event_kind kind = http1_feed(&http1, rest, &consumed, &event);
        rest = slice_of(rest.ptr + consumed, rest.len - consumed);
        if (kind == HTTP1_END) break;
        cr_assert_eq(kind, HTTP1_HEAD);
    } while (true);
    cr_expect_null(http1_find_field(&http1, "x").ptr);
    cr_expect_null(http1.request.accept.ptr);
}

/* ---- the request as read ---- */

static void accept_text(const char *text)
{
    outcome_run(&outcome, (struct bytes){text, strlen(text)}, strlen(text), 1);
    cr_assert_eq(outcome.kind, HTTP1_END, "%d %s", outcome.status, outcome.reason ? outcome.reason : "");
}

static bool is(struct slice slice, const char *text)
{
    return slice_is(slice, text);
}

Test(http1_request, carries_what_the_head_says)
{
    accept_text("POST /v1/traces?a=b&c=%20 HTTP/1.1" CRLF "hOST: collector:4318" CRLF
                "Content-Type:   application/x-protobuf \t" CRLF "Content-Encoding: gzip" CRLF
                "Content-Encoding: gzip" CRLF "Accept: a/b" CRLF "Accept: c/d" CRLF
                "Accept-Encoding: zstd" CRLF "Authorization: Bearer x" CRLF "Origin: http://o" CRLF
                "Content-Length: 3" CRLF CRLF "abc");

    const struct http1_request *const request = &outcome.request;
    cr_expect_eq(request->method, HTTP1_POST);
    cr_expect(is(request->path, "/v1/traces"));
    cr_expect(is(request->query, "a=b&c=%20"));
    cr_expect(is(request->host, "collector:4318"));
    cr_expect(is(request->content_type, "application/x-protobuf"));
    cr_expect(is(request->content_encoding, "gzip"));
    cr_expect_eq(request->content_encoding_count, 2);
    cr_expect(is(request->accept, "a/b"));
    cr_expect(is(request->accept_encoding, "zstd"));
    cr_expect(is(request->authorization, "Bearer x"));
    cr_expect(is(request->origin, "http://o"));
    cr_expect(request->content_length_known);
    cr_expect_eq(request->content_length, 3);
    cr_expect_not(request->chunked);
    cr_expect_not(request->expect_continue);
    cr_expect(request->keep_alive);
    cr_expect_not(request->http_1_0);
}

Test(http1_request, reads_every_method)
{
    static const struct {
        const char *text;
        enum http1_method method;
    } methods[] = {
        {"GET / HTTP/1.1" CRLF HOST CRLF, HTTP1_GET},
        {"POST / HTTP/1.1" CRLF HOST CRLF, HTTP1_POST},
        {"PUT / HTTP/1.1" CRLF HOST CRLF, HTTP1_PUT},
        {"DELETE / HTTP/1.1" CRLF HOST CRLF, HTTP1_DELETE},
        {"OPTIONS / HTTP/1.1" CRLF HOST CRLF, HTTP1_OPTIONS},
        {"HEAD / HTTP/1.1" CRLF HOST CRLF, HTTP1_HEAD_METHOD},
        {"PATCH / HTTP/1.1" CRLF HOST CRLF, HTTP1_OTHER},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        accept_text(methods[i].text);
        cr_expect_eq(outcome.request.method, methods[i].method);
    }
}

Test(http1_request, H14_absolute_form_becomes_a_path)
{
    accept_text("GET http://a/x/y?z=1 HTTP/1.1" CRLF HOST CRLF);
    cr_expect(is(outcome.request.path, "/x/y"));
    cr_expect(is(outcome.request.query, "z=1"));
    accept_text("GET HTTPS://A HTTP/1.1" CRLF HOST CRLF);
    cr_expect(is(outcome.request.path, "/"));
    accept_text("GET http://a?/b HTTP/1.1" CRLF HOST CRLF);
    cr_expect(is(outcome.request.path, "/"));
    cr_expect(is(outcome.request.query, "/b"));
}

Test(http1_request, H18_expects_only_with_a_body_and_on_1_1)
{
    accept_text(POST "Expect: 100-continue" CRLF "Content-Length: 1" CRLF CRLF "a");
    cr_expect(outcome.request.expect_continue);
    accept_text(POST "Expect: 100-continue" CRLF "Transfer-Encoding: chunked" CRLF CRLF "0" CRLF CRLF);
    cr_expect(outcome.request.expect_continue);
    accept_text(POST "Expect: 100-continue" CRLF "Content-Length: 0" CRLF CRLF);
    cr_expect_not(outcome.request.expect_continue);
    accept_text("POST / HTTP/1.0" CRLF "Expect: 100-continue" CRLF "Content-Length: 1" CRLF CRLF "a");
    cr_expect_not(outcome.request.expect_continue);
}

Test(http1_request, H18_the_head_comes_before_any_byte_of_the_body)
{
    const char text[] = POST "Expect: 100-continue" CRLF "Content-Length: 3" CRLF CRLF;
    struct http1 http1;
    struct http1_event event;
    size_t consumed;

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, slice_text(text), &consumed, &event), HTTP1_HEAD);
    cr_expect_eq(consumed, strlen(text));
    cr_assert_eq(http1_feed(&http1, slice_text(""), &consumed, &event), HTTP1_NEED_MORE);
}

Test(http1_request, H20_connection_tokens_are_read_by_us)
{
    static const struct {
        const char *head;
        bool keep_alive;
    } cases[] = {
        {GET HOST CRLF, true},
        {GET HOST "Connection: close" CRLF CRLF, false},
        {GET HOST "Connection: close\t" CRLF CRLF, false},
        {GET HOST "Connection: Close , x" CRLF CRLF, false},
        {GET HOST "Connection: close, keep-alive" CRLF CRLF, false},
        {GET HOST "Connection: keep-alive,close" CRLF CRLF, false},
        {GET HOST "Connection: keep-alive" CRLF "connection: CLOSE" CRLF CRLF, false},
        {GET HOST "Connection: x" CRLF CRLF, true},
        {GET HOST "Connection: closed, xclose" CRLF CRLF, true},
        {GET HOST "Connection: ,, ," CRLF CRLF, true},
        {"GET / HTTP/1.0" CRLF CRLF, false},
        {"GET / HTTP/1.0" CRLF "Connection: keep-alive" CRLF CRLF, true},
        {"GET / HTTP/1.0" CRLF "Connection: keep-alive, close" CRLF CRLF, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        accept_text(cases[i].head);
        cr_expect_eq(outcome.request.keep_alive, cases[i].keep_alive, "case %zu", i);
    }
}

Test(http1_request, H20_a_thousand_tokens_with_close_among_them)
{
    size_t len = put(0, GET HOST "Connection: ", 0, 0);
    for (unsigned i = 0; i < 1000; i++)
        len = put(len, i == 700 ? "close," : "x,", 0, 0);
    cr_assert_eq(status_of_big(put(len, CRLF CRLF, 0, 0)), ACCEPTED);
    cr_expect_not(outcome.request.keep_alive);
}

/* ---- one request after the other ---- */

Test(http1_pipeline, H16_a_thousand_requests_in_one_segment_come_one_by_one)
{
    static const char request[] = POST "Content-Length: 2" CRLF CRLF "ab";
    struct http1 http1;
    size_t len = 0;
    unsigned ends = 0;

    for (unsigned i = 0; i < 1000 && len + strlen(request) < sizeof big; i++, ends++)
        len = put(len, request, 0, 0);

    struct slice rest = slice_of(big, len);
    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    for (unsigned i = 0; i < ends; i++) {
        struct http1_event event;
        size_t consumed;
        const uint8_t *const start = rest.ptr;

        cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), HTTP1_HEAD);
        rest = slice_of(rest.ptr + consumed, rest.len - consumed);
        cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), HTTP1_BODY);
        cr_assert(is(event.body, "ab"));
        rest = slice_of(rest.ptr + consumed, rest.len - consumed);
        cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), HTTP1_END);
        cr_assert_eq(consumed, 0);
        cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), HTTP1_END, "the end comes again");
        cr_assert_eq(consumed, 0);
        cr_assert_eq(rest.ptr, start + strlen(request), "nothing of the next request was touched");
        http1_reset(&http1);
    }
    cr_expect_eq(rest.len, 0);
}

Test(http1_pipeline, H17_bytes_after_close_are_left_alone)
{
    const char text[] = GET HOST "Connection: close" CRLF CRLF "GET /second HTTP/1.1" CRLF;

    accept_text(text);
    cr_expect_not(outcome.request.keep_alive);
    cr_expect_eq(outcome.consumed, strlen(text) - strlen("GET /second HTTP/1.1" CRLF));
}

Test(http1_pipeline, a_request_leaves_no_trace_in_the_next)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;
    const struct slice first = slice_text(CHUNKED "1;x=y" CRLF "a" CRLF "0" CRLF "X: y" CRLF CRLF);
    struct slice rest = first;

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    while (http1_feed(&http1, rest, &consumed, &event) != HTTP1_END)
        rest = slice_of(rest.ptr + consumed, rest.len - consumed);
    http1_reset(&http1);
    cr_expect(http1_is_idle(&http1));
    cr_assert_eq(http1_feed(&http1, slice_text(GET HOST CRLF), &consumed, &event), HTTP1_HEAD);
    cr_expect_not(http1.request.chunked);
    cr_expect_eq(http1.request.method, HTTP1_GET);
    cr_assert_eq(http1_feed(&http1, slice_text(""), &consumed, &event), HTTP1_END);
}

Test(http1_pipeline, a_refusal_is_for_ever)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, slice_text("\x01"), &consumed, &event), HTTP1_REFUSED);
    cr_assert_eq(http1_feed(&http1, slice_text(GET HOST CRLF), &consumed, &event), HTTP1_REFUSED);
    cr_expect_eq(event.status, 400);
    cr_expect_eq(consumed, 0);
}

/* How the engine takes text, cut at `cut`; *taken: bytes it has consumed. */
static struct http1_event feed_cut(const char *text, size_t cut, size_t *taken)
{
    struct http1_event event;
    struct http1 http1;
    size_t consumed;

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, slice_of(text, cut), taken, &event), HTTP1_NEED_MORE);
    cr_assert_eq(http1_feed(&http1, slice_of(text + cut, strlen(text) - cut), &consumed, &event),
                 HTTP1_REFUSED);
    *taken += consumed;
    return event;
}

Test(http1_pipeline, H12_of_the_preface_of_http2_the_first_line_is_consumed)
{
    static const char preface[] = HTTP1_OF_HTTP2 "\r\nSM\r\n\r\nand frames";
    size_t taken;

    for (size_t cut = 0; cut < strlen(HTTP1_OF_HTTP2); cut++) {
        const struct http1_event event = feed_cut(preface, cut, &taken);
        cr_expect_eq(event.status, 505);
        cr_expect(event.http2);
        cr_expect_eq(taken, strlen(HTTP1_OF_HTTP2), "cut at %zu: %zu", cut, taken);
    }
    cr_expect_not(feed_cut("PRI * HTTP/2.1\r\n", 3, &taken).http2);
    cr_expect_not(feed_cut("PRI / HTTP/2.0\r\n", 3, &taken).http2);
    cr_expect_not(feed_cut("GET * HTTP/2.0\r\n", 3, &taken).http2);
}

Test(http1_pipeline, an_idle_connection_lends_its_buffer)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;

    http1_init(&http1, NULL, 0);
    cr_expect(http1_is_idle(&http1));
    http1_lend(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, slice_text("G"), &consumed, &event), HTTP1_NEED_MORE);
    cr_expect_not(http1_is_idle(&http1));
    cr_assert_eq(http1_feed(&http1, slice_text("ET / HTTP/1.0" CRLF CRLF), &consumed, &event), HTTP1_HEAD);
    cr_expect_not(http1_is_idle(&http1));
    cr_assert_eq(http1_feed(&http1, slice_text(""), &consumed, &event), HTTP1_END);
    cr_expect_not(http1_is_idle(&http1));
    http1_reset(&http1);
    cr_expect(http1_is_idle(&http1));
    cr_expect_eq(http1_take_back(&http1), fixture_head_buf);
}

/* ---- direct receive ---- */

Test(http1_direct, a_body_may_be_received_past_the_engine)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;
    const struct slice head = slice_text(POST "Content-Length: 1000" CRLF CRLF);

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_expect_eq(http1_body_owed(&http1), 0);
    cr_assert_eq(http1_feed(&http1, head, &consumed, &event), HTTP1_HEAD);
    cr_expect_eq(http1_body_owed(&http1), 1000);
    http1_body_skip(&http1, 400);
    cr_assert_eq(http1_feed(&http1, slice_text("abc"), &consumed, &event), HTTP1_BODY);
    cr_expect_eq(consumed, 3);
    cr_expect_eq(http1_body_owed(&http1), 597);
    cr_assert_eq(http1_feed(&http1, slice_text(""), &consumed, &event), HTTP1_NEED_MORE);
    http1_body_skip(&http1, 597);
    cr_assert_eq(http1_feed(&http1, slice_text("next"), &consumed, &event), HTTP1_END);
    cr_expect_eq(consumed, 0);
}

Test(http1_direct, a_chunked_body_owes_nothing_that_could_be_skipped)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;
    const struct slice input = slice_text(CHUNKED "5" CRLF "ab");

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, input, &consumed, &event), HTTP1_HEAD);
    cr_expect_eq(http1_body_owed(&http1), 0);
    cr_assert_eq(http1_feed(&http1, slice_of(input.ptr + consumed, input.len - consumed), &consumed, &event),
                 HTTP1_BODY);
    cr_expect(is(event.body, "ab"));
    cr_expect_eq(http1_body_owed(&http1), 0);
}

Test(http1_direct, bodies_are_not_copied)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;
    const struct slice input = slice_text(CHUNKED "5" CRLF "abcde" CRLF);

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1, input, &consumed, &event), HTTP1_HEAD);
    const struct slice rest = slice_of(input.ptr + consumed, input.len - consumed);
    cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), HTTP1_BODY);
    cr_expect_eq(event.body.ptr, rest.ptr + 3);
}

Test(http1_direct, H9_one_byte_chunks_give_their_bytes)
{
    size_t len = put(0, CHUNKED, 0, 0);
    for (unsigned i = 0; i < 8000; i++)
        len = put(len, "1" CRLF "x" CRLF, 0, 0);
    cr_assert_eq(status_of_big(put(len, "0" CRLF CRLF, 0, 0)), ACCEPTED);
    cr_expect_eq(outcome.body_len, 8000);
}

Test(http1_fields, rare_fields_can_be_asked_for)
{
    struct http1 http1;
    struct http1_event event;
    size_t consumed;

    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    cr_assert_eq(http1_feed(&http1,
                            slice_text(GET HOST "X-Two: \tb " CRLF "X-One:a" CRLF "x-one: c" CRLF CRLF),
                            &consumed, &event),
                 HTTP1_HEAD);
    cr_expect(is(http1_find_field(&http1, "x-one"), "a"));
    cr_expect(is(http1_find_field(&http1, "x-two"), "b"));
    cr_expect(is(http1_find_field(&http1, "host"), "a"));
    cr_expect_null(http1_find_field(&http1, "x-on").ptr);
}

Test(http1_fields, media_types_are_compared_without_case_and_parameters)
{
    cr_expect(http1_media_type_is(slice_text("application/json"), "application/json"));
    cr_expect(http1_media_type_is(slice_text("Application/JSON ; charset=utf-8"), "application/json"));
    cr_expect(http1_media_type_is(slice_text("application/json;x"), "application/json"));
    cr_expect_not(http1_media_type_is(slice_text("application/jsonx"), "application/json"));
    cr_expect_not(http1_media_type_is(slice_text("application/jso"), "application/json"));
    cr_expect_not(http1_media_type_is(slice_text("; application/json"), "application/json"));
    cr_expect_not(http1_media_type_is((struct slice){0}, "application/json"));
}
