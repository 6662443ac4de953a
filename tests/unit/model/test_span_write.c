/*
 * Spans written backwards: the fields in their order, zeros and empty strings left out, and what comes out of
 * span_decode() again (rows B13 and B15).
 */
#include "message.h"

#include "model/otlp.h"
#include "model/span_write.h"

#include <criterion/criterion.h>

static const struct trace_id trace_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const struct span_id span_id = {{1, 1, 1, 1, 1, 1, 1, 1}};
static const struct span_id parent_id = {{2, 2, 2, 2, 2, 2, 2, 2}};

static void write_span(struct wire_writer *writer, const struct span_head *head)
{
    span_write_tail(writer, head);
    span_write_middle(writer, head);
    span_write_dropped_attributes(writer, head);
    span_write_head(writer, head);
}

Test(span_write, leaves_out_what_is_zero)
{
    const struct span_head head = {.trace_id = &trace_id, .span_id = &span_id};
    struct message expected = {0};
    uint8_t room[256];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    write_span(&writer, &head);
    message_bytes(&expected, 1, slice_of(trace_id.bytes, 16));
    message_bytes(&expected, 2, slice_of(span_id.bytes, 8));
    cr_assert(slice_equal(wire_writer_bytes(&writer), message_slice(&expected)));
    message_free(&expected);
}

Test(span_write, writes_every_field_in_the_order_of_its_number)
{
    const struct span_head head = {.trace_id = &trace_id,
                                   .span_id = &span_id,
                                   .parent_span_id = &parent_id,
                                   .trace_state = slice_text("a=b"),
                                   .name = slice_text("GET /"),
                                   .status_message = slice_text("broke"),
                                   .kind = -1,
                                   .status_code = 2,
                                   .status_present = true,
                                   .flags = 0x301,
                                   .start_ns = 5,
                                   .end_ns = UINT64_MAX,
                                   .dropped_attributes_count = 1,
                                   .dropped_events_count = UINT32_MAX,
                                   .dropped_links_count = 3};
    struct message expected = {0}, status = {0};
    uint8_t room[256];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    write_span(&writer, &head);
    message_bytes(&expected, 1, slice_of(trace_id.bytes, 16));
    message_bytes(&expected, 2, slice_of(span_id.bytes, 8));
    message_text(&expected, 3, "a=b");
    message_bytes(&expected, 4, slice_of(parent_id.bytes, 8));
    message_text(&expected, 5, "GET /");
    message_varint(&expected, 6, UINT64_MAX); /* an enum is an int32: ten bytes for -1 */
    message_fixed64(&expected, 7, 5);
    message_fixed64(&expected, 8, UINT64_MAX);
    message_varint(&expected, 10, 1);
    message_varint(&expected, 12, UINT32_MAX);
    message_varint(&expected, 14, 3);
    message_text(&status, 2, "broke");
    message_varint(&status, 3, 2);
    message_put(&expected, 15, &status);
    message_fixed32(&expected, 16, 0x301);
    cr_assert(slice_equal(wire_writer_bytes(&writer), message_slice(&expected)));
    message_free(&expected);
}

Test(span_write, an_empty_status_that_was_sent_is_written)
{
    const struct span_head head = {.trace_id = &trace_id, .span_id = &span_id, .status_present = true};
    uint8_t room[64];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    write_span(&writer, &head);
    const struct slice bytes = wire_writer_bytes(&writer);
    cr_assert_eq(bytes.ptr[bytes.len - 2], 0x7a);
    cr_assert_eq(bytes.ptr[bytes.len - 1], 0);
}

Test(span_write, B13_B15_odd_numbers_come_back_from_a_decoded_span)
{
    const struct span_head head = {.trace_id = &trace_id,
                                   .span_id = &span_id,
                                   .kind = INT32_MIN,
                                   .status_code = INT32_MAX,
                                   .status_present = true,
                                   .flags = UINT32_MAX,
                                   .start_ns = UINT64_MAX,
                                   .end_ns = 1};
    struct otlp_decoder *decoder;
    struct span_view view;
    struct otlp_fault fault;
    uint8_t room[128];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    cr_assert_eq(otlp_decoder_open(&decoder), OK);
    write_span(&writer, &head);
    cr_assert_eq(span_decode(decoder, wire_writer_bytes(&writer), &view, &fault), OK);
    cr_assert_eq(view.kind, INT32_MIN);
    cr_assert_eq(view.status_code, INT32_MAX);
    cr_assert_eq(view.flags, UINT32_MAX);
    cr_assert_eq(view.start_ns, UINT64_MAX);
    cr_assert_eq(view.end_ns, 1);
    cr_assert_not(view.parent_present);
    otlp_decoder_close(decoder);
}

Test(span_write, events_and_links_with_and_without_their_fields)
{
    struct message expected = {0}, event = {0}, link = {0};
    uint8_t room[256];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    link_write_tail(&writer, 7, 2);
    link_write_head(&writer, &trace_id, &span_id, slice_text("s"));
    wire_close_message(&writer, 13, 0);
    size_t mark = writer.len;
    link_write_tail(&writer, 0, 0);
    link_write_head(&writer, NULL, NULL, (struct slice){0});
    wire_close_message(&writer, 13, mark);
    mark = writer.len;
    event_write_tail(&writer, 4);
    event_write_head(&writer, 9, slice_text("e"));
    wire_close_message(&writer, 11, mark);
    mark = writer.len;
    event_write_tail(&writer, 0);
    event_write_head(&writer, 0, (struct slice){0});
    wire_close_message(&writer, 11, mark);

    message_put(&expected, 11, &event); /* an empty one */
    message_fixed64(&event, 1, 9);
    message_text(&event, 2, "e");
    message_varint(&event, 4, 4);
    message_put(&expected, 11, &event);
    message_put(&expected, 13, &link);
    message_bytes(&link, 1, slice_of(trace_id.bytes, 16));
    message_bytes(&link, 2, slice_of(span_id.bytes, 8));
    message_text(&link, 3, "s");
    message_varint(&link, 5, 2);
    message_fixed32(&link, 6, 7);
    message_put(&expected, 13, &link);
    cr_assert(slice_equal(wire_writer_bytes(&writer), message_slice(&expected)));
    message_free(&expected);
}
