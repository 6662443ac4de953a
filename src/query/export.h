/*
 * Everything that matches, page by page, out of one version of the catalog:
 *
 *   POST /query/v1/export             what is acknowledged by now is sealed, the version is held: {"export": ID}
 *   GET /query/v1/export/ID?...       the parameters of a search; whole traces, and the cursor of the next page in a header
 *   DELETE /query/v1/export/ID        or nobody asks for a minute
 *
 * Since nothing in a version changes, no trace is missing and none comes twice, whatever is taken in and merged meanwhile.
 */
#ifndef QUERY_EXPORT_H
#define QUERY_EXPORT_H

#include "answer.h"
#include "work.h"

struct export_page {
    uint32_t traces, truncated;
    bool more;
    char cursor[49]; /* of the next page, if there are more */
};

/* ERR_FULL: as many are held as may be. */
enum err export_begin_answer(struct work *work, struct request *request, struct answer *answer);
enum err export_end_answer(struct work *work, struct request *request, struct answer *answer);
/*
 * Traces, each a TracesData behind its length in four bytes, big-endian; or, as JSON, one on each line. At least one, if there is
 * one, and up to 4 MiB. ERR_NOT_FOUND: no such version is held any more.
 */
enum err export_page_answer(struct work *work, struct request *request, struct answer *answer, bool json,
                            struct export_page *page);

#endif
