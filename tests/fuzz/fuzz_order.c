/*
 * Orders of pins and deletions as JSON, and lists of them as they lie on the disk: refused with words, or taken; a taken order
 * goes through the list and comes back as it was.
 */
#include "query/selection.h"
#include "../../src/query/order.h"
#include "../../src/store/selector_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_records(struct slice rest)
{
    static char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
    const struct selector_texts texts = {owner, reason, PIN_OWNER_MAX, PIN_REASON_MAX};
    struct selector_record record;
    struct selector selector;

    while (rest.len > 0 && selector_record_read(&rest, &record, &selector, &texts) == OK)
        assert(strlen(selector.filter) <= SELECTOR_FILTER_MAX && strlen(owner) <= PIN_OWNER_MAX);
}

static void go_round(const struct order *order)
{
    static char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
    const struct selector_texts texts = {owner, reason, PIN_OWNER_MAX, PIN_REASON_MAX};
    struct selector_record record = {.id = 1};
    struct list_body body = {.bytes = NULL};
    struct selector selector;

    enum err err = selector_record_write(&body, &record, &order->selector, order->owner, order->reason);
    assert(err == OK);
    struct slice rest = slice_of(body.bytes, body.len);
    err = selector_record_read(&rest, &record, &selector, &texts);
    assert(err == OK && rest.len == 0);
    assert(memcmp(&selector, &order->selector, sizeof selector) == 0);
    assert(strcmp(owner, order->owner) == 0 && strcmp(reason, order->reason) == 0);
    list_body_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char message[512] = "";
    struct order order;

    if (len > ORDER_BYTES_MAX) return 0;
    for (unsigned expires = 0; expires < 2; expires++) {
        const bool taken = order_parse(&order, slice_of(data, len), expires != 0, 1000, message,
                                       sizeof message);
        assert(taken || message[0] != '\0');
        if (taken) go_round(&order);
    }
    read_records(slice_of(data, len));
    return 0;
}
