/* Splits a path where the io room wants it: a directory, and a name in it. */
#include "place.h"

#include <stdio.h>
#include <string.h>

static const char *advice(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND: return "there is no such file or directory: is the path right?";
    case ERR_DENIED:
        return "permission denied: run as the user that the server runs as; links are not followed";
    case ERR_UNSUPPORTED: return "not a regular file";
    case ERR_VERSION: return "written by a newer version: use its spanmillctl";
    case ERR_BUSY: return "a server works in this directory: stop it first";
    case ERR_IO: return "the device reports an error: look at the kernel's log, and copy what can be read";
    default: return err_text(err);
    }
}

void place_complain(const char *path, enum err err)
{
    fprintf(stderr, "spanmillctl: %.200s: %s\n", path, advice(err));
}

static enum err open_dir(struct place *place, const char *path, size_t len)
{
    char dir[PLACE_PATH_MAX];

    if (len >= sizeof dir) return ERR_TOO_LARGE;
    memcpy(dir, path, len);
    dir[len] = '\0';
    return io_dir_open(place->io, NULL, len > 0 ? dir : ".", false, &place->dir);
}

static enum err open_file(struct place *place, const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const name = slash != NULL ? slash + 1 : path;

    if (strlen(name) >= sizeof place->name || *name == '\0') return ERR_UNSUPPORTED;
    memcpy(place->name, name, strlen(name) + 1);
    /* the slash belongs to the directory: "/name" lies in "/" */
    TRY(open_dir(place, path, slash != NULL ? (size_t)(slash - path) + 1 : 0));
    return io_file_open(place->io, place->dir, name, 0, &place->file);
}

static bool settle(struct place *place, const char *path, enum err err)
{
    if (err == OK) return true;
    place_complain(path, err);
    place_close(place);
    return false;
}

bool place_open(struct place *place, const char *path)
{
    *place = (struct place){.io = NULL};
    enum err err = io_open_plain(&place->io);
    if (err == OK) err = open_file(place, path);
    return settle(place, path, err);
}

bool place_open_dir(struct place *place, const char *path)
{
    *place = (struct place){.io = NULL};
    enum err err = io_open_plain(&place->io);
    if (err == OK) err = open_dir(place, path, strlen(path));
    return settle(place, path, err);
}

void place_close(struct place *place)
{
    if (place->file != NULL) io_file_close(place->io, place->file);
    if (place->dir != NULL) io_dir_close(place->io, place->dir);
    if (place->io != NULL) io_close(place->io);
    *place = (struct place){.io = NULL};
}
