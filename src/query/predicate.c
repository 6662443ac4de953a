/*
 * Strings are equal by bytes, ints and bools by value, doubles by their bits (so 0 is not -0, and a NaN is
 * found by none).
 */
#include "predicate.h"

#include "store/block.h"

static void add_token(struct predicate *predicate, uint8_t level, const struct attribute *attribute)
{
    uint64_t *const hash = &predicate->tokens[predicate->tokens_count];

    if (block_token(level, attribute->key, (uint8_t)attribute->type, attribute->bytes, attribute->bits, hash))
        predicate->tokens_count++;
}

static void add_text_token(struct predicate *predicate, uint8_t level, const char *key, struct slice text)
{
    const struct attribute attribute = {.key = slice_text(key), .type = VALUE_STRING, .bytes = text};

    if (text.len > 0) add_token(predicate, level, &attribute);
}

void predicate_init(struct predicate *predicate, const struct request *request)
{
    *predicate = (struct predicate){.request = request};
    if (request->has_service) add_text_token(predicate, LEVEL_RESOURCE, "service.name", request->service);
    if (request->has_operation) add_text_token(predicate, TOKEN_LEVEL_INTRINSIC, "name", request->operation);
    predicate->asks_resource = request->has_service;
    for (uint32_t i = 0; i < request->conditions_count; i++) {
        const struct condition *const condition = &request->conditions[i];
        add_token(predicate, (uint8_t)condition->level, &condition->attribute);
        if (condition->level == LEVEL_RESOURCE)
            predicate->asks_resource = true;
        else if (condition->level == LEVEL_SCOPE)
            predicate->asks_scope = true;
        else
            predicate->row_conditions[predicate->row_conditions_count++] = (uint8_t)i;
    }
}

bool condition_holds(const struct condition *condition, const struct attribute *attribute)
{
    const struct attribute *const wanted = &condition->attribute;

    if (attribute->type != wanted->type || !slice_equal(attribute->key, wanted->key)) return false;
    return wanted->type == VALUE_STRING ? slice_equal(attribute->bytes, wanted->bytes)
                                        : attribute->bits == wanted->bits;
}

bool condition_holds_raw(const struct condition *condition, struct slice key_value)
{
    struct attribute attribute;
    struct otlp_fault fault;

    return attribute_decode(key_value, &attribute, &fault) == OK && condition_holds(condition, &attribute);
}

bool predicate_fields(const struct predicate *predicate, uint64_t start_ns, uint64_t duration_ns,
                      int32_t span_kind, int32_t status_code)
{
    const struct request *const request = predicate->request;

    if (start_ns < request->first_ns || start_ns > request->last_ns) return false;
    if (duration_ns < request->duration_min_ns || duration_ns > request->duration_max_ns) return false;
    if (request->has_kind && request->span_kind != span_kind) return false;
    return !request->has_status || request->status == status_code;
}

/* ---- envelopes ------------------------------------------------------------------------------------------
 */

struct envelope_walk {
    const struct request *request;
    enum attribute_level level;
    uint64_t met; /* bit per condition */
};

static enum err meet(void *context, const struct attribute *attribute)
{
    struct envelope_walk *const walk = context;

    for (uint32_t i = 0; i < walk->request->conditions_count; i++)
        if (walk->request->conditions[i].level == walk->level &&
            condition_holds(&walk->request->conditions[i], attribute))
            walk->met |= 1ull << i;
    return OK;
}

static bool all_met(const struct envelope_walk *walk)
{
    for (uint32_t i = 0; i < walk->request->conditions_count; i++)
        if (walk->request->conditions[i].level == walk->level && !(walk->met >> i & 1)) return false;
    return true;
}

bool predicate_resource(const struct predicate *predicate, struct slice message, struct slice service)
{
    const struct request *const request = predicate->request;
    struct envelope_walk walk = {request, LEVEL_RESOURCE, 0};
    const struct envelope_visitor visitor = {meet, &walk};
    struct otlp_fault fault;

    if (request->has_service && !slice_equal(service, request->service)) return false;
    return resource_check(message, &visitor, &fault) == OK && all_met(&walk);
}

bool predicate_scope(const struct predicate *predicate, struct slice message)
{
    struct envelope_walk walk = {predicate->request, LEVEL_SCOPE, 0};
    const struct envelope_visitor visitor = {meet, &walk};
    struct otlp_fault fault;

    return scope_check(message, &visitor, &fault) == OK && all_met(&walk);
}
