// simdjson's DOM parser behind a C interface: one parser a reader, whose tape Swift walks itself.
#include "junction_json.h"
#include <charconv>
#include <new>
#include <simdjson.h>

struct junction_json {
    simdjson::dom::parser parser;
};

// A parser takes some ten bytes for each byte of its largest text: what one huge answer took is given back.
static constexpr size_t capacity_kept = 1 << 20;

junction_json *junction_json_make(void) { return new (std::nothrow) junction_json; }

void junction_json_free(junction_json *parser) { delete parser; }

int junction_json_parse(
    junction_json *self, const uint8_t *text, size_t count, const uint64_t **tape, const uint8_t **strings) {
    if (count <= capacity_kept && self->parser.capacity() > capacity_kept) self->parser = simdjson::dom::parser();
    simdjson::error_code error = self->parser.parse(text, count, false).error();
    if (error) return error;
    *tape = self->parser.doc.tape.get();
    *strings = self->parser.doc.string_buf.get();
    return 0;
}

size_t junction_json_write_double(double number, char *to) { return std::to_chars(to, to + 32, number).ptr - to; }

size_t junction_json_write_float(float number, char *to) { return std::to_chars(to, to + 32, number).ptr - to; }
