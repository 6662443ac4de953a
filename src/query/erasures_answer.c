#include "erasures_answer.h"

#include "io/io.h"
#include "order.h"
#include "pins_answer.h"
#include "store/erasures.h"

#include <inttypes.h>
#include <stdio.h>

static void put_erasure(struct json *json, const struct erasure *erasure)
{
    static const char *const states[ERASURE_STATES] = {"pending", "done", "incomplete"};

    json_object_begin(json);
    json_member_uint_quoted(json, "id", erasure->id);
    json_key(json, "status");
    json_text(json, states[erasure->state]);
    put_selector(json, &erasure->selector);
    json_key(json, "owner");
    json_text(json, erasure->owner);
    json_key(json, "reason");
    json_text(json, erasure->reason);
    json_member_uint_quoted(json, "createdUnixNano", erasure->created_ns);
    if (erasure->state != ERASURE_PENDING) json_member_uint_quoted(json, "endedUnixNano", erasure->ended_ns);
    json_member_uint_quoted(json, "erasedSpans", erasure->spans);
    json_member_uint_quoted(json, "rewrittenSegments", erasure->segments);
    json_member_uint_quoted(json, "unreadableSegments", erasure->unreadable);
    json_key(json, "pins");
    json_text(json, "erasure wins over pins");
    json_object_end(json);
}

enum err erasures_list_answer(struct work *work, struct answer *answer)
{
    const struct erasure_list *const list = erasures_acquire(work->config->erasures);
    struct json *const json = answer_json_begin(answer);

    json_object_begin(json);
    json_key(json, "deletions");
    json_array_begin(json);
    for (uint32_t i = list->count; i-- > 0;)
        put_erasure(json, &list->erasures[i]);
    json_array_end(json);
    json_member_uint(json, "deletionsMax", ERASURES_MAX);
    json_key(json, "damaged");
    json_bool(json, list->damaged);
    json_object_end(json);
    erasures_release(work->config->erasures, list);
    return answer_json_end(answer);
}

enum err erasure_answer(struct work *work, struct request *request, struct answer *answer)
{
    const struct erasure_list *const list = erasures_acquire(work->config->erasures);
    uint32_t place = 0;

    while (place < list->count && list->erasures[place].id != request->id)
        place++;
    const bool found = place < list->count;
    if (found) put_erasure(answer_json_begin(answer), &list->erasures[place]);
    erasures_release(work->config->erasures, list);
    if (found) return answer_json_end(answer);
    snprintf(request->message, sizeof request->message, "there is no deletion %" PRIu64 ", or none any more",
             request->id);
    return ERR_NOT_FOUND;
}

static enum err explain(struct request *request, enum err err)
{
    const char *const words = err == ERR_FULL
                                  ? "as many deletions are pending as may be; wait for some to end"
                              : err == ERR_CORRUPT
                                  ? "the list of deletions is damaged; put the file erasures back "
                                    "from a backup, or remove it, and start again"
                                  : "the list of deletions could not be written; whether the job is "
                                    "there after a restart is not known; try again";

    if (err == OK) return OK;
    snprintf(request->message, sizeof request->message, "%s", words);
    return err == ERR_FULL ? ERR_EXISTS : ERR_READ_ONLY;
}

enum err erasure_add_answer(struct work *work, struct request *request, struct answer *answer)
{
    struct order order;
    struct erasure erasure = {.id = 0};

    if (!order_parse(&order, slice_of(request->text, request->text_len), false, io_wall_ns(work->io),
                     request->message, sizeof request->message))
        return ERR_MALFORMED;
    erasure.selector = order.selector;
    snprintf(erasure.owner, sizeof erasure.owner, "%s", order.owner);
    snprintf(erasure.reason, sizeof erasure.reason, "%s", order.reason);
    TRY(explain(request, erasures_add(work->config->erasures, work->io, &erasure)));
    put_erasure(answer_json_begin(answer), &erasure);
    return answer_json_end(answer);
}
