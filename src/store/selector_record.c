/* What a reader refuses stands in FORMAT.md; a list with one bad record is refused as a whole. */
#include "selector_record.h"

#include <string.h>

static size_t padded(size_t len)
{
    return (len + 7) / 8 * 8;
}

static bool take_text(const uint8_t **at, size_t len, char *to, size_t max)
{
    if (len > max || memchr(*at, 0, len) != NULL) return false;
    memcpy(to, *at, len);
    to[len] = '\0';
    *at += len;
    return true;
}

static bool is_sound(const struct selector_record *record, size_t room)
{
    const size_t texts = (size_t)record->filter_bytes + record->owner_bytes + record->reason_bytes;

    return record->bytes <= room && record->bytes == padded(sizeof *record + texts) &&
           record->kind <= SELECTOR_BY_TRACE && record->reserved[0] == 0 && record->reserved[1] == 0 &&
           record->reserved[2] == 0;
}

enum err selector_record_read(struct slice *rest, struct selector_record *record, struct selector *selector,
                              const struct selector_texts *texts)
{
    if (rest->len < sizeof *record) return ERR_CORRUPT;
    memcpy(record, rest->ptr, sizeof *record);
    if (!is_sound(record, rest->len)) return ERR_CORRUPT;
    *selector = (struct selector){.by_trace = record->kind == SELECTOR_BY_TRACE,
                                  .start_ns = record->start_ns,
                                  .end_ns = record->end_ns};
    memcpy(selector->trace_id.bytes, record->trace_id, sizeof record->trace_id);
    const uint8_t *at = rest->ptr + sizeof *record;
    if (!take_text(&at, record->filter_bytes, selector->filter, SELECTOR_FILTER_MAX) ||
        !take_text(&at, record->owner_bytes, texts->owner, texts->owner_max) ||
        !take_text(&at, record->reason_bytes, texts->reason, texts->reason_max))
        return ERR_CORRUPT;
    *rest = slice_of(rest->ptr + record->bytes, rest->len - record->bytes);
    return OK;
}

static uint8_t *put_text(uint8_t *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

enum err selector_record_write(struct list_body *body, const struct selector_record *record,
                               const struct selector *selector, const char *owner, const char *reason)
{
    const size_t filter_len = strlen(selector->filter), owner_len = strlen(owner),
                 reason_len = strlen(reason);
    const size_t bytes = padded(sizeof *record + filter_len + owner_len + reason_len);
    struct selector_record whole = *record;
    uint8_t *const at = list_body_add(body, bytes);

    if (at == NULL) return ERR_NO_MEMORY;
    whole.bytes = (uint16_t)bytes;
    whole.kind = selector->by_trace ? SELECTOR_BY_TRACE : SELECTOR_BY_RANGE;
    whole.filter_bytes = (uint16_t)filter_len;
    whole.owner_bytes = (uint16_t)owner_len;
    whole.reason_bytes = (uint16_t)reason_len;
    whole.start_ns = selector->start_ns;
    whole.end_ns = selector->end_ns;
    memcpy(whole.trace_id, selector->trace_id.bytes, sizeof whole.trace_id);
    memcpy(at, &whole, sizeof whole);
    put_text(put_text(put_text(at + sizeof whole, selector->filter, filter_len), owner, owner_len), reason,
             reason_len);
    return OK;
}
