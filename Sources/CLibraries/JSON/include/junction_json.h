// simdjson for Swift: reads a JSON text into simdjson's tape, which Swift then walks by itself.
// The tape's format: https://github.com/simdjson/simdjson/blob/v3.0.1/doc/tape.md
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parser and the document it read last. Keeps its memory across documents.
typedef struct junction_json junction_json;

junction_json *junction_json_make(void);
void junction_json_free(junction_json *parser);

/// How many bytes behind a text must be readable; what they hold does not matter.
#define JUNCTION_JSON_PADDING 64

/// Reads the whole text, strictly (RFC 8259, UTF-8 checked). Returns 0, else simdjson's error code.
/// On success the tape and the strings stay valid until the next call.
int junction_json_parse(
    junction_json *parser, const uint8_t *text, size_t count, const uint64_t **tape, const uint8_t **strings);

/// Writes the shortest decimal form that reads back as the same number; returns the bytes written, at most
/// 32. The number must be finite.
size_t junction_json_write_double(double number, char *to);
size_t junction_json_write_float(float number, char *to);

#ifdef __cplusplus
}
#endif
