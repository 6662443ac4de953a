#include "target.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char value_plain[] = "-._~:", parameters_plain[] = "-._~:=&%+/,@!*'()";

static void put(struct target *target, const char *text, const char *plain)
{
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        const bool is_plain = isalnum(byte) || strchr(plain, byte) != NULL;
        if (target->len + sizeof "%XX" > sizeof target->text) target->too_long = true;
        if (target->too_long) return;
        target->len += (size_t)snprintf(target->text + target->len, sizeof target->text - target->len,
                                        is_plain ? "%c" : "%%%02X", byte);
    }
}

static void separate(struct target *target)
{
    put(target, strchr(target->text, '?') == NULL ? "?" : "&", "?&");
}

void target_init(struct target *target, const char *path)
{
    target->too_long = strlen(path) >= sizeof target->text;
    target->len = (size_t)snprintf(target->text, sizeof target->text, "%s", target->too_long ? "" : path);
}

void target_text(struct target *target, const char *name, const char *value)
{
    if (value == NULL) return;
    separate(target);
    put(target, name, value_plain);
    put(target, "=", "=");
    put(target, value, value_plain);
}

void target_number(struct target *target, const char *name, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64, value);
    target_text(target, name, digits);
}

void target_parameters(struct target *target, const char *parameters)
{
    separate(target);
    put(target, parameters, parameters_plain);
}
