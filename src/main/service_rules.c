#include "service_rules.h"

#include <stdio.h>
#include <string.h>

static enum err refuse(char error[OPTION_ERROR_MAX], const char *what, const char *rule)
{
    snprintf(error, OPTION_ERROR_MAX, "retention.services: '%.100s' %s", rule, what);
    return ERR_MALFORMED;
}

/* rule: its own copy of the text, cut here. */
static enum err read_rule(char *rule, struct service_rules *out, char error[OPTION_ERROR_MAX])
{
    struct retention_service *const made = &out->rules[out->count];
    char *const equals = strrchr(rule, '=');

    if (equals == NULL || equals == rule)
        return refuse(error, "is no rule; write a service and how long its spans are kept, like debug=1d",
                      rule);
    if (out->count == RETENTION_SERVICES_MAX) return refuse(error, "is one too many; 32 may be given", rule);
    if (duration_parse(equals + 1, &made->age_ns) != OK)
        return refuse(error, "has no duration such as 12h or 7d behind its =", rule);
    *equals = '\0';
    made->name = rule;
    out->count++;
    return OK;
}

enum err service_rules_parse(const char *option, struct service_rules *out, char error[OPTION_ERROR_MAX])
{
    char *at = out->text, *rule;

    out->count = 0;
    snprintf(out->text, sizeof out->text, "%s", option);
    while ((rule = strsep(&at, ",")) != NULL) {
        rule += strspn(rule, " ");
        if (*rule != '\0') TRY(read_rule(rule, out, error));
    }
    return OK;
}
