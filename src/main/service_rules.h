/*
 * retention.services: how long spans of some services are kept, as text: "debug=1d, payments=365d, audit=0s". The first rule
 * with a service's name counts; 0s: for ever.
 */
#ifndef MAIN_SERVICE_RULES_H
#define MAIN_SERVICE_RULES_H

#include "option.h"
#include "store/retention.h"

struct service_rules {
    char text[OPTION_TEXT_MAX]; /* the names point into it */
    struct retention_service rules[RETENTION_SERVICES_MAX];
    uint32_t count;
};
/* ERR_MALFORMED: error says what to write. Not to be moved afterwards. */
enum err service_rules_parse(const char *option, struct service_rules *out, char error[OPTION_ERROR_MAX]);

#endif
