/* The server's own fixture, a floor below: a server in a thread and a client of bytes. */
#include "server/server_fixture.c" /* NOLINT: a test program has one fixture of each kind */
