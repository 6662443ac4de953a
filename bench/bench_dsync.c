/*
 * The write that an acknowledgement cannot do without: O_DIRECT|O_DSYNC, one at a time, into a file that was
 * written before, so that no block has to be allocated. What a server's answer takes is read beside it.
 *
 *   bench_dsync DIRECTORY BYTES COUNT
 *
 * BYTES is rounded up to 4096. Positions go round a file of 64 MiB, as a journal's do. Prints one JSON object
 * with percentiles in microseconds; the file is removed.
 */
#include "base/clock.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, BYTES_MAX = 16 << 20, COUNT_MAX = 1000000, ALIGN = 4096 };

static void must(int good, const char *what)
{
    if (good) return;
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Random bytes: a device may treat zeros in its own way. */
static uint8_t *noise(size_t bytes)
{
    uint8_t *const memory = aligned_alloc(ALIGN, bytes);
    uint64_t state = 1;

    must(memory != NULL, "memory");
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        memory[i] = (uint8_t)(state >> 56);
    }
    return memory;
}

static int open_written(const char *path)
{
    enum { PIECE = 1 << 20 };
    uint8_t *const piece = noise(PIECE);

    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    for (off_t at = 0; at < FILE_BYTES; at += PIECE)
        must(pwrite(fd, piece, PIECE, at) == PIECE, "writing the file");
    must(fsync(fd) == 0, "fsync");
    close(fd);
    free(piece);
    fd = open(path, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
    must(fd >= 0, path);
    return fd;
}

static void measure(int fd, size_t bytes, size_t count, uint64_t *took_ns)
{
    uint8_t *const body = noise(bytes);
    off_t at = 0;

    for (size_t i = 0; i < count; i++) {
        if (at + (off_t)bytes > FILE_BYTES) at = 0;
        const uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
        must(pwrite(fd, body, bytes, at) == (ssize_t)bytes, "write");
        took_ns[i] = clock_ns(CLOCK_MONOTONIC) - start_ns;
        at += (off_t)bytes;
    }
    free(body);
}

int main(int argc, char **argv)
{
    char path[4096];

    const size_t wanted = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    const size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (wanted == 0 || wanted > BYTES_MAX || count == 0 || count > COUNT_MAX) {
        fputs("usage: bench_dsync DIRECTORY BYTES COUNT\n", stderr);
        return 2;
    }
    const size_t bytes = (wanted + ALIGN - 1) / ALIGN * ALIGN;
    uint64_t *const took_ns = calloc(count, sizeof *took_ns);
    must(took_ns != NULL, "memory");
    snprintf(path, sizeof path, "%s/bench_dsync.file", argv[1]);
    const int fd = open_written(path);
    measure(fd, bytes, count, took_ns);
    close(fd);
    unlink(path);
    qsort(took_ns, count, sizeof *took_ns, compare);
    printf("{\"bytes\":%zu,\"count\":%zu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f}\n", bytes, count,
           (double)took_ns[count / 2] / 1e3, (double)took_ns[count * 9 / 10] / 1e3,
           (double)took_ns[count * 99 / 100] / 1e3);
    free(took_ns);
    return 0;
}
