/*
 * Inflates whole bodies: gzip (RFC 1952, all members), zlib (RFC 1950), zstd (RFC 8878, all frames) and snappy (a
 * block or a framed stream) into one buffer of the caller.
 *
 *   struct inflater *inflater;
 *   inflater_open(&inflater);                                     one per thread, at start-up
 *   capacity = 4 x body, at most inflate_limit(body.len);
 *   while (inflate_gzip(inflater, body, out, capacity, &len, &reason) == ERR_FULL)
 *       grow out x4, at most to inflate_limit(body.len);          each try starts anew: 1.4 x the work in all
 *   inflater_close(inflater);
 *
 * All or nothing: only after OK does out hold a body. Declared sizes are checked, never trusted. An inflater
 * that has failed is as good as a new one.
 */
#ifndef CODEC_INFLATE_H
#define CODEC_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define INFLATE_OUT_MAX         (64ULL << 20) /* bytes that any body may become */
#define INFLATE_RATIO_MAX       200U          /* times its size on the wire, */
#define INFLATE_RATIO_FREE      (1ULL << 20)  /* once it is larger than this */
#define INFLATE_MEMBERS_MAX     256U
#define INFLATE_GZIP_HEADER_MAX 4096U        /* bytes of one member's header */
#define INFLATE_FRAMES_MAX      256U         /* of zstd, those that are skipped included */
#define INFLATE_SKIPPABLE_MAX   (64U << 10)  /* bytes of skippable frames or chunks in one body */
#define INFLATE_WINDOW_MAX      (8ULL << 20) /* that a zstd frame may ask for */

struct inflater;

/* ERR_NO_MEMORY. Not to be shared between threads. */
enum err inflater_open(struct inflater **out);
void inflater_close(struct inflater *inflater);

/* The most bytes that a body of wire_len bytes may become: the smaller of the two limits above. */
size_t inflate_limit(size_t wire_len);

/*
 * Inflates all of `in` into out[0..capacity).
 * OK             *out_len bytes; *reason is untouched
 * ERR_FULL       capacity is too small but below inflate_limit(in.len): try again with more
 * ERR_MALFORMED  *reason tells what and where, static text; bytes after the last member are malformed, too,
 *                and so is an empty `in`
 * ERR_TOO_LARGE  more than inflate_limit(in.len); *reason
 * What out holds after a failure means nothing. `in` and out may not overlap.
 */
enum err inflate_gzip(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason);
/* The same for one zlib stream; Content-Encoding "deflate" and "zlib" both mean this. */
enum err inflate_zlib(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason);
/*
 * The same for zstd frames, one after the other; skippable ones are passed over. A frame that wants a
 * dictionary or a window over INFLATE_WINDOW_MAX is malformed.
 */
enum err inflate_zstd(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason);
/*
 * The same for snappy, without a state: one block, or a framed stream if it begins as one, which no block does.
 * What a block declares is judged before room is asked for.
 */
enum err inflate_snappy(struct slice in, uint8_t *out, size_t capacity, size_t *out_len, const char **reason);

#endif
