#include <criterion/criterion.h>

#include "otlp.pb-c.h"
#include "proto.h"

Test(proto, writes_what_the_oracle_reads)
{
    struct buffer out = {0};
    char longer[300];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    proto_text(&out, 1, "key");
    const size_t value = proto_open(&out, 2);
    const size_t array = proto_open(&out, 5);
    const size_t element = proto_open(&out, 1);
    proto_text(&out, 1, longer); /* the lengths around it take two bytes */
    proto_close(&out, element);
    const size_t second = proto_open(&out, 1);
    proto_varint(&out, 3, (uint64_t)-5);
    proto_close(&out, second);
    proto_close(&out, array);
    proto_close(&out, value);

    Opentelemetry__Proto__KeyValue *const read = opentelemetry__proto__key_value__unpack(NULL, out.len,
                                                                                         out.ptr);
    cr_assert_not_null(read);
    cr_assert_str_eq(read->key, "key");
    cr_assert_eq(read->value->array_value->n_values, 2);
    cr_assert_str_eq(read->value->array_value->values[0]->string_value, longer);
    cr_assert_eq(read->value->array_value->values[1]->int_value, -5);
    opentelemetry__proto__key_value__free_unpacked(read, NULL);
    buffer_deinit(&out);
}

Test(proto, reads_back_every_wire_type)
{
    struct buffer out = {0};
    struct proto_field field;

    proto_varint(&out, 6, 300);
    proto_fixed64(&out, 7, 0x0123456789abcdefULL);
    proto_fixed32(&out, 16, 0x301);
    proto_bytes(&out, 1, "ab", 2);
    struct proto_reader reader = proto_read(buffer_slice(&out));
    cr_assert(proto_next(&reader, &field) && field.number == 6 && field.value == 300);
    cr_assert(proto_next(&reader, &field) && field.number == 7 && field.value == 0x0123456789abcdefULL);
    cr_assert(proto_next(&reader, &field) && field.number == 16 && field.value == 0x301);
    cr_assert_eq(field.whole.len, 6);
    cr_assert(proto_next(&reader, &field) && slice_is(field.bytes, "ab"));
    cr_assert(!proto_next(&reader, &field) && reader.err == OK);
    buffer_deinit(&out);
}

static bool refused(const char *bytes, size_t len)
{
    struct proto_reader reader = proto_read(slice_of(bytes, len));
    struct proto_field field;

    while (proto_next(&reader, &field))
        ;
    return reader.err == ERR_MALFORMED;
}

Test(proto, refuses_what_is_not_a_message)
{
    cr_assert(refused("\x0a\x05"
                      "abc",
                      5));                                                      /* length beyond the end */
    cr_assert(refused("\x0a", 1));                                              /* no length */
    cr_assert(refused("\x02\x00", 2));                                          /* field 0 */
    cr_assert(refused("\x0b", 1));                                              /* a group */
    cr_assert(refused("\x09\x01\x02", 3));                                      /* half a fixed64 */
    cr_assert(refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)); /* 11 bytes of varint */
    cr_assert(refused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                      "a",
                      12)); /* a length of 2^64 - 1 */
}
