#include "pins_answer.h"

#include "io/io.h"
#include "order.h"

#include <inttypes.h>
#include <stdio.h>

void put_selector(struct json *json, const struct selector *selector)
{
    if (selector->by_trace) {
        json_key(json, "traceId");
        json_hex(json, slice_of(selector->trace_id.bytes, sizeof selector->trace_id.bytes));
        return;
    }
    json_member_uint_quoted(json, "startUnixNano", selector->start_ns);
    if (selector->end_ns != UINT64_MAX) json_member_uint_quoted(json, "endUnixNano", selector->end_ns);
    if (selector->filter[0] == '\0') return;
    json_key(json, "filter");
    json_text(json, selector->filter);
}

static void put_pin(struct json *json, const struct pin *pin, uint64_t horizon_ns)
{
    json_object_begin(json);
    json_member_uint_quoted(json, "id", pin->id);
    put_selector(json, &pin->selector);
    json_key(json, "owner");
    json_text(json, pin->owner);
    json_key(json, "reason");
    json_text(json, pin->reason);
    json_member_uint_quoted(json, "createdUnixNano", pin->created_ns);
    if (pin->expires_ns != 0) json_member_uint_quoted(json, "expiresUnixNano", pin->expires_ns);
    json_key(json, "inForce");
    json_bool(json, pin_is_live(pin, horizon_ns));
    json_object_end(json);
}

static uint64_t horizon_of(const struct work *work)
{
    return retention_horizon(work->config->keeping, work->io, io_wall_ns(work->io));
}

enum err pins_list_answer(struct work *work, struct answer *answer)
{
    const struct pin_list *const list = pins_acquire(work->config->pins);
    const uint64_t horizon_ns = horizon_of(work);
    struct json *const json = answer_json_begin(answer);

    json_object_begin(json);
    json_key(json, "pins");
    json_array_begin(json);
    for (uint32_t i = 0; i < list->count; i++)
        put_pin(json, &list->pins[i], horizon_ns);
    json_array_end(json);
    json_member_uint(json, "pinsMax", PINS_MAX);
    json_key(json, "damaged");
    json_bool(json, list->damaged);
    json_object_end(json);
    pins_release(work->config->pins, list);
    return answer_json_end(answer);
}

/* What the list of pins says, in words, and as an error that has its status (question.c). */
static enum err explain(struct request *request, enum err err)
{
    const char *const words = err == ERR_FULL ? "there are as many pins as there may be; remove some"
                              : err == ERR_CORRUPT
                                  ? "the list of pins is damaged, and nothing leaves the store; put "
                                    "the file pins back from a backup, or remove it, and start again"
                                  : "the list of pins could not be written; whether the change is "
                                    "there after a restart is not known; try again";

    if (err == OK) return OK;
    snprintf(request->message, sizeof request->message, "%s", words);
    return err == ERR_FULL ? ERR_EXISTS : ERR_READ_ONLY;
}

enum err pins_add_answer(struct work *work, struct request *request, struct answer *answer)
{
    struct order order;
    struct pin pin = {.id = 0};

    if (!order_parse(&order, slice_of(request->text, request->text_len), true, io_wall_ns(work->io),
                     request->message, sizeof request->message))
        return ERR_MALFORMED;
    pin.selector = order.selector;
    pin.expires_ns = order.expires_ns;
    snprintf(pin.owner, sizeof pin.owner, "%s", order.owner);
    snprintf(pin.reason, sizeof pin.reason, "%s", order.reason);
    const uint64_t horizon_ns = horizon_of(work);
    TRY(explain(request, pins_add(work->config->pins, work->io, horizon_ns, &pin)));
    put_pin(answer_json_begin(answer), &pin, horizon_ns);
    return answer_json_end(answer);
}

enum err pins_remove_answer(struct work *work, struct request *request, struct answer *answer)
{
    const enum err err = pins_remove(work->config->pins, work->io, request->id);

    if (err == ERR_NOT_FOUND) {
        snprintf(request->message, sizeof request->message, "there is no pin %" PRIu64, request->id);
        return err;
    }
    TRY(explain(request, err));
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_member_uint_quoted(json, "removed", request->id);
    json_object_end(json);
    return answer_json_end(answer);
}
