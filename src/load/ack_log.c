/*
 * Lines are gathered in memory during one turn of the loop and written with one write(2) at its end, before
 * the program waits again: killed at any moment it loses only acknowledgements that it had not written, never
 * half the meaning of a line, because a torn last line is recognised by its missing end.
 */
#include "ack_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const profile_names[] = {
#define X(id, name, help) name,
    PROFILE_TABLE(X)
#undef X
};

enum err ack_log_open(const char *path, struct ack_log *log)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return err_from_errno(errno);

    *log = (struct ack_log){.fd = fd};
    return OK;
}

static void add_line(struct ack_log *log, const char *line, int len)
{
    if (log->fd >= 0 && len > 0) buffer_append(&log->pending, line, (size_t)len);
}

void ack_log_begin(struct ack_log *log, const struct stock_config *config, uint64_t checksum)
{
    char line[4600];
    const char *const corpus = config->corpus_path != NULL ? config->corpus_path : "";

    add_line(log, line,
             snprintf(line, sizeof line,
                      "run seed=%" PRIu64 " run=%" PRIu64
                      " profile=%s services=%u bodies=%u spans=%u giant=%u "
                      "checksum=%016" PRIx64 " corpus=%s\n",
                      config->seed, config->run, profile_names[config->profile], config->services,
                      config->bodies, config->spans_per_request, config->giant_spans, checksum, corpus));
}

void ack_log_add(struct ack_log *log, uint64_t round, uint32_t body, uint64_t time_ns, uint64_t rejected)
{
    char line[128];

    if (rejected == 0)
        add_line(log, line,
                 snprintf(line, sizeof line, "a %" PRIu64 " %u %" PRIu64 "\n", round, body, time_ns));
    else
        add_line(log, line,
                 snprintf(line, sizeof line, "p %" PRIu64 " %u %" PRIu64 " %" PRIu64 "\n", round, body,
                          time_ns, rejected));
}

enum err ack_log_flush(struct ack_log *log)
{
    size_t written = 0;

    if (log->pending.failed) return ERR_NO_MEMORY;
    while (written < log->pending.len) {
        const ssize_t step = write(log->fd, log->pending.ptr + written, log->pending.len - written);
        if (step < 0 && errno == EINTR) continue;
        if (step < 0) return err_from_errno(errno);
        written += (size_t)step;
    }
    log->pending.len = 0;
    return OK;
}

void ack_log_close(struct ack_log *log)
{
    if (log->fd >= 0) (void)close(log->fd);
    log->fd = -1;
    buffer_deinit(&log->pending);
}

/* ---- reading
 * ----------------------------------------------------------------------------------------------- */

/* The next whole line, as text. Lines longer than the array are malformed. */
static enum err next_line(struct slice *text, char *line, size_t capacity, size_t *len)
{
    const uint8_t *const end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    if (end == NULL) return ERR_NOT_FOUND;

    *len = (size_t)(end - text->ptr);
    if (*len >= capacity) return ERR_MALFORMED;
    memcpy(line, text->ptr, *len);
    line[*len] = '\0';
    return OK;
}

static void consume(struct slice *text, size_t len)
{
    *text = slice_of(text->ptr + len + 1, text->len - len - 1);
}

static enum err read_profile(const char *name, enum profile *profile)
{
    for (enum profile p = 0; p < PROFILE_COUNT; p++) {
        if (strcmp(name, profile_names[p]) == 0) {
            *profile = p;
            return OK;
        }
    }
    return ERR_MALFORMED;
}

static enum err read_run_line(const char *line, struct ack_run *run)
{
    char profile[16];
    int corpus_at = 0;
    struct stock_config *const config = &run->config;

    const int got = sscanf(line,
                           "run seed=%" SCNu64 " run=%" SCNu64
                           " profile=%15s services=%u bodies=%u spans=%u giant=%u "
                           "checksum=%" SCNx64 " corpus=%n",
                           &config->seed, &config->run, profile, &config->services, &config->bodies,
                           &config->spans_per_request, &config->giant_spans, &run->checksum, &corpus_at);
    if (got != 8 || corpus_at == 0) return ERR_MALFORMED;
    if (strlen(line + corpus_at) >= sizeof run->corpus) return ERR_MALFORMED;
    (void)snprintf(run->corpus, sizeof run->corpus, "%s", line + corpus_at);
    config->corpus_path = run->corpus[0] != '\0' ? run->corpus : NULL;
    const bool possible = config->services > 0 && config->bodies > 0 &&
                          (config->corpus_path != NULL || config->spans_per_request > 0);
    return possible ? read_profile(profile, &config->profile) : ERR_MALFORMED;
}

static enum err read_ack_line(const char *line, struct ack *ack)
{
    ack->whole = line[0] == 'a';
    return (line[0] == 'a' || line[0] == 'p') &&
                   sscanf(line + 1, " %" SCNu64 " %u %" SCNu64, &ack->round, &ack->body, &ack->time_ns) == 3
               ? OK
               : ERR_MALFORMED;
}

enum err ack_run_read(struct slice *text, struct ack_run *run)
{
    char line[4600];
    size_t len = 0;
    struct ack ack;

    *run = (struct ack_run){0};
    TRY(next_line(text, line, sizeof line, &len));
    TRY(read_run_line(line, run));
    consume(text, len);
    while (next_line(text, line, sizeof line, &len) == OK && strncmp(line, "run ", 4) != 0) {
        TRY(read_ack_line(line, &ack));
        buffer_append(&run->acks, &ack, sizeof ack);
        consume(text, len);
    }
    return run->acks.failed ? ERR_NO_MEMORY : OK;
}

void ack_run_deinit(struct ack_run *run)
{
    buffer_deinit(&run->acks);
}
