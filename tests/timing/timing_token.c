/*
 * Does the time that a token takes tell how much of it was right? Row A9 of tests/CATALOGUE.md. Two measurements, each of
 * questions that differ in nothing but where the first wrong byte stands, asked in turns in an order left to chance:
 *
 *   comparing   credentials_find() over a table whose digests all begin alike, so that one question is ROWS comparisons:
 *               digests that are wrong at the first byte compared, at the last one, and right
 *   deciding    access_decide() with a token whose first or whose last letter is wrong
 *
 * Each is judged by the median of the differences within a round, against what a question takes: it must be more than
 * noise (a sign test) and more than a share of the time, the same way in each of five repetitions. Beside them runs a
 * control: words compared until two differ, which is what memcmp() of a digest becomes. Where that is not found the
 * measurement has no power here, and says so as a failure. No time is judged by itself.
 *
 * Only what is built for release can be measured: under the sanitizers memcmp() itself takes the same time everywhere.
 * Prints a line for each pair, and "N passed, N failed"; the exit code is 1 when one failed.
 */
#include "access/access.h"
#include "base/clock.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ROWS = 64,
    PREFIX = 8, /* bytes by which the table is searched: include/access/credentials.h */
    LAST = DIGEST_BYTES - 1,
    ROUNDS = 4000,
    REPETITIONS = 5,
    FIND_CALLS = 16, /* per sample */
    DECIDE_CALLS = 8,
    TOKENS = 256,
    TOKEN_LETTERS = 43, /* as spanmillctl makes them: 256 bits in base64url */
};

/*
 * Measured, on a busy machine, too: first and last are within 0.03 % of comparing (z up to 3) and 0.2 % of deciding; right
 * takes 1.1 % more, which the answer tells anyway. memcmp() of digests makes 40 % of comparing (z 63), tokens that are
 * compared letter by letter 6.5 % of deciding (z 59).
 */
static const double comparing_max = 0.05, deciding_max = 0.02, sign_z_max = 10.0;

struct sample {
    double of[3]; /* nanoseconds: wrong at first, wrong at last, right */
};
static struct sample samples[ROUNDS];
static uint64_t chance_state = 1;

static uint64_t chance(void)
{
    return hash_mix(chance_state++, 9);
}

/* ---- what is measured ---------------------------------------------------------------------------------------------- */

static struct credentials *credentials;
static struct digest digests[3], plain_rows[ROWS]; /* those of the table, for the control */

static struct credentials *table_of(const char *text)
{
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *table;

    if (credentials_parse(slice_text(text), &table, error) == OK) return table;
    fprintf(stderr, "timing: %s\n", error);
    exit(2);
}

/* All digests alike but for their last byte, which counts the rows; each question is compared with every row. */
static void make_alike(void)
{
    static char text[ROWS * 128];
    const struct credential *last = NULL;
    struct digest digest;
    size_t len = 0;

    memset(digest.bytes, 0xa5, sizeof digest.bytes);
    for (unsigned row = 0; row < ROWS; row++) {
        struct credential credential = {.roles = ACCESS_INGEST, .digest = digest};
        credential.digest.bytes[LAST] = (uint8_t)row;
        plain_rows[row] = credential.digest;
        snprintf(credential.name, sizeof credential.name, "row-%u", row);
        len += credential_format(&credential, text + len);
        text[len++] = '\n';
    }
    credentials = table_of(text);
    for (unsigned i = 0; i < 3; i++)
        digests[i] = digest;
    digests[0].bytes[PREFIX] ^= 1;
    digests[1].bytes[LAST] = ROWS;
    for (unsigned row = 0; row < ROWS; row++) { /* the one that is found last */
        digest.bytes[LAST] = (uint8_t)row;
        const struct credential *const found = credentials_find(credentials, CREDENTIAL_TOKEN, &digest);
        if (found > last) last = found;
    }
    digests[2] = last->digest;
}

static const void *volatile sink;

static void find(unsigned which)
{
    for (unsigned i = 0; i < FIND_CALLS; i++)
        sink = credentials_find(credentials, CREDENTIAL_TOKEN, &digests[which]);
}

/* The control. */
static bool words_equal(const uint8_t *a, const uint8_t *b)
{
    uint64_t x, y;

    for (unsigned at = 0; at < DIGEST_BYTES; at += sizeof x) {
        memcpy(&x, a + at, sizeof x);
        memcpy(&y, b + at, sizeof y);
        if (x != y) return false;
    }
    return true;
}

static void find_plainly(unsigned which)
{
    for (unsigned i = 0; i < FIND_CALLS; i++)
        for (unsigned row = 0; row < ROWS; row++)
            if (words_equal(plain_rows[row].bytes, digests[which].bytes)) sink = &plain_rows[row];
}

static struct access_view view;
static char tokens[TOKENS][sizeof "Bearer " + TOKEN_LETTERS];

static char letter(void)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return letters[chance() % (sizeof letters - 1)];
}

/* As a server has them: tokens of chance. */
static void make_tokens(void)
{
    static char text[TOKENS * 128];
    struct access *access;
    size_t len = 0;

    for (unsigned i = 0; i < TOKENS; i++) {
        struct credential credential = {.roles = ACCESS_INGEST};
        memcpy(tokens[i], "Bearer ", 7);
        for (unsigned at = 0; at < TOKEN_LETTERS; at++)
            tokens[i][7 + at] = letter();
        credential.digest = digest_of(slice_text(tokens[i] + 7));
        snprintf(credential.name, sizeof credential.name, "token-%u", i);
        len += credential_format(&credential, text + len);
        text[len++] = '\n';
    }
    if (access_open(1, &access) != OK) exit(2);
    access_replace(access, table_of(text));
    access_view_open(access, &view);
}

/* One of the tokens each time, so that where its digest is looked for is left to chance as well. */
static void decide(unsigned which)
{
    char field[sizeof tokens[0]], who[CREDENTIAL_NAME_MAX + 1];
    const size_t place = which == 0 ? 7 : 7 + TOKEN_LETTERS - 1;

    for (unsigned i = 0; i < DECIDE_CALLS; i++) {
        memcpy(field, tokens[chance() % TOKENS], sizeof field);
        const char instead = letter();
        if (which != 2) field[place] = instead == field[place] ? '~' : instead;
        const struct access_request request = {.needs = ACCESS_INGEST, .authorization = slice_text(field)};
        const bool granted = access_decide(&view, &request, who) == ACCESS_GRANTED;
        if (granted != (which == 2)) exit(2);
    }
}

/* ---- judging ------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void measure(void (*ask)(unsigned which))
{
    for (unsigned round = 0; round < ROUNDS + ROUNDS / 10; round++) {
        const unsigned first = (unsigned)(chance() % 3), step = 1 + (unsigned)(chance() % 2);
        for (unsigned i = 0; i < 3; i++) {
            const unsigned which = (first + i * step) % 3;
            const uint64_t begin = clock_ns(CLOCK_MONOTONIC);
            ask(which);
            samples[round % ROUNDS].of[which] = (double)(clock_ns(CLOCK_MONOTONIC) -
                                                         begin); /* the first tenth is overwritten */
        }
    }
}

struct difference {
    double share;  /* of what the first of the pair takes */
    double sign_z; /* deviations from as many up as down */
};

static struct difference difference_of(unsigned a, unsigned b)
{
    static double differences[ROUNDS], times[ROUNDS];
    int up = 0, down = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        times[i] = samples[i].of[a];
        differences[i] = samples[i].of[b] - samples[i].of[a];
        up += differences[i] > 0;
        down += differences[i] < 0;
    }
    return (struct difference){.share = median(differences) / median(times),
                               .sign_z = (up - down) / sqrt(up + down + 1)};
}

/* 0: no difference; else its direction. */
static int verdict(struct difference difference, double limit)
{
    if (fabs(difference.share) <= limit || fabs(difference.sign_z) <= sign_z_max) return 0;
    return difference.share > 0 ? 1 : -1;
}

/* True when each repetition finds the pair different, the same way; the first that does not is the last. */
static bool differ(const char *name, void (*ask)(unsigned), unsigned a, unsigned b, double limit)
{
    static const char *const groups[] = {"wrong at first", "wrong at last", "right"};
    int directions = 0;

    printf("%-12s %s, %s:", name, groups[a], groups[b]);
    for (int i = 0; i < REPETITIONS && abs(directions) == i; i++) {
        measure(ask);
        const struct difference difference = difference_of(a, b);
        directions += verdict(difference, limit);
        printf(" %+.2f %% (z %+.1f)", 100 * difference.share, difference.sign_z);
    }
    return abs(directions) == REPETITIONS;
}

int main(void)
{
    unsigned passed = 0, failed = 0;
    const struct {
        const char *name;
        void (*ask)(unsigned);
        unsigned a, b;
        double limit;
        bool differ;
    } pairs[] = {
        {"A9 control", find_plainly, 0, 1, comparing_max, true},
        {"A9 comparing", find, 0, 1, comparing_max, false},
        {"A9 comparing", find, 1, 2, comparing_max, false},
        {"A9 deciding", decide, 0, 1, deciding_max, false},
    };

    make_alike();
    make_tokens();
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const bool found = differ(pairs[i].name, pairs[i].ask, pairs[i].a, pairs[i].b, pairs[i].limit);
        const bool good = found == pairs[i].differ;
        printf("  %s\n", good ? "ok" : pairs[i].differ ? "FAILED: no power" : "FAILED: time tells");
        passed += good;
        failed += !good;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
