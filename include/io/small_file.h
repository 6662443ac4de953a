/*
 * Small files of the operator's: credentials, certificates, keys. They are read as a whole and replaced as a whole, by
 * plain blocking calls, on a thread that may wait. Links are followed, because that is how orchestrators mount secrets;
 * what is judged is the file behind them.
 *
 * A secret is private when it belongs to this user (for root: to anybody) and nobody else may read or write it; or when it belongs to root, and
 * at most its group may read it (how orchestrators mount secrets).
 */
#ifndef IO_SMALL_FILE_H
#define IO_SMALL_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum small_file_kind { SMALL_FILE_PUBLIC, SMALL_FILE_SECRET };

/*
 * *text is malloc'ed, *len bytes and a zero behind them. ERR_DENIED: may not be read; ERR_BUSY: a secret that others can
 * reach; ERR_TOO_LARGE: more than bytes_max; ERR_UNSUPPORTED: no regular file; ERR_NOT_FOUND, ERR_IO, ERR_NO_MEMORY.
 */
enum err small_file_read(const char *path, enum small_file_kind kind, size_t bytes_max, char **text,
                         size_t *len);
/* What to say about an error of small_file_read(). */
const char *small_file_advice(enum err err);
/* Overwrites a secret before it frees it. NULL is let be. */
void small_file_forget(char *text, size_t len);

/*
 * Replacing: one writer at a time, readers see the old file or the new one, and after a crash it is one of the two.
 *
 *   small_file_begin(path, &change)      ERR_EXISTS: somebody else is at it (PATH.new exists)
 *   small_file_read(path, ...)           now it does not change
 *   small_file_commit(&change, ...)      durable when it returns; or
 *   small_file_abandon(&change)
 *
 * The new file is 0600; it belongs to whom the old one belonged to.
 */
struct small_file_change {
    int fd;
    char path[4096], new_path[4096 + 8];
};
enum err small_file_begin(const char *path, struct small_file_change *change);
enum err small_file_commit(struct small_file_change *change, const void *text, size_t len);
void small_file_abandon(struct small_file_change *change);

#endif
