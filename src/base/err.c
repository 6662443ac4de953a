/*
 * The one table that turns an error value into words, an HTTP status and a google.rpc.Code.
 */
#include "base/err.h"

#include <errno.h>

static const struct {
    const char *text;
    int http_status;
    int rpc_code;
} rows[ERR_COUNT] = {
#define X(name, text, http, rpc) [name] = {text, http, rpc},
    ERR_TABLE(X)
#undef X
};

const char *err_text(enum err err)
{
    assert(err < ERR_COUNT);
    return rows[err].text;
}

int err_http_status(enum err err)
{
    assert(err < ERR_COUNT);
    return rows[err].http_status;
}

int err_rpc_code(enum err err)
{
    assert(err < ERR_COUNT);
    return rows[err].rpc_code;
}

enum err err_from_errno(int error_number)
{
    assert(error_number > 0);

    switch (error_number) {
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case ENOMEM: return ERR_NO_MEMORY;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case EACCES:
    case EPERM: return ERR_DENIED;
    case EROFS: return ERR_READ_ONLY;
    case EAGAIN:
    case EBUSY: return ERR_BUSY;
    case ENOBUFS: return ERR_FULL;
    case ECANCELED: return ERR_CANCELLED;
    case EPIPE:
    case ECONNRESET: return ERR_PEER_GONE;
    case ENOSYS:
    case EOPNOTSUPP:
    case EINVAL: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}
