// What tests read back: the counters and the last requests, as JSON.
#include "upstream.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *bytes;
    size_t head_length, body_length, capacity;
} kept;

static kept *ring;
static uint64_t kept_count;

void append(buffer *to, const void *bytes, size_t length) {
    if (to->length + length > to->capacity) {
        to->capacity = (to->length + length) * 2 + 256;
        to->bytes = realloc(to->bytes, to->capacity);
        if (!to->bytes) abort();
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

void append_format(buffer *to, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    append(to, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

void append_json(buffer *to, const char *bytes, size_t length) {
    append(to, "\"", 1);
    for (size_t i = 0, start = 0; i <= length; i++) {
        unsigned char c = i < length ? (unsigned char)bytes[i] : 0;
        if (i < length && c >= 0x20 && c != '"' && c != '\\') continue;
        append(to, bytes + start, i - start);
        if (i < length) append_format(to, "\\u%04x", c);
        start = i + 1;
    }
    append(to, "\"", 1);
}

void record(const char *head, size_t head_length, const char *body, size_t body_length) {
    if (option.record == 0) return;
    if (!ring) ring = calloc((size_t)option.record, sizeof *ring);
    kept *slot = &ring[kept_count++ % (uint64_t)option.record];
    if (slot->capacity < head_length + body_length) {
        slot->capacity = head_length + body_length;
        slot->bytes = realloc(slot->bytes, slot->capacity);
    }
    memcpy(slot->bytes, head, head_length);
    memcpy(slot->bytes + head_length, body, body_length);
    slot->head_length = head_length;
    slot->body_length = body_length;
}

static void report_request(buffer *to, const kept *request) {
    const char *at = request->bytes, *end = request->bytes + request->head_length;
    const char *line_end = memmem(at, request->head_length, "\r\n", 2);
    const char *space = memchr(at, ' ', (size_t)(line_end - at));
    const char *second = memchr(space + 1, ' ', (size_t)(line_end - space - 1));
    if (!second) second = line_end;
    append(to, "{\"method\":", 10);
    append_json(to, at, (size_t)(space - at));
    append(to, ",\"path\":", 8);
    append_json(to, space + 1, (size_t)(second - space - 1));
    append(to, ",\"headers\":[", 12);
    for (at = line_end + 2; at + 2 < end; at = line_end + 2) {
        line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line_end || line_end == at) break;
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (!colon) continue;
        const char *value = colon + 1;
        while (value < line_end && *value == ' ') value++;
        append(to, to->bytes[to->length - 1] == '[' ? "[" : ",[", to->bytes[to->length - 1] == '[' ? 1 : 2);
        append_json(to, at, (size_t)(colon - at));
        append(to, ",", 1);
        append_json(to, value, (size_t)(line_end - value));
        append(to, "]", 1);
    }
    append(to, "],\"body\":", 9);
    append_json(to, request->bytes + request->head_length, request->body_length);
    append(to, "}", 1);
}

void report_requests(buffer *to, int last) {
    uint64_t held = kept_count < (uint64_t)option.record ? kept_count : (uint64_t)option.record;
    uint64_t wanted = last >= 0 && (uint64_t)last < held ? (uint64_t)last : held;
    append(to, "[", 1);
    for (uint64_t i = kept_count - wanted; i < kept_count; i++) {
        if (i > kept_count - wanted) append(to, ",", 1);
        report_request(to, &ring[i % (uint64_t)option.record]);
    }
    append(to, "]", 1);
}

void report_counts(buffer *to, uint64_t open_calls, uint64_t open_connections) {
#define FIELD(name) append_format(to, "\"" #name "\":%llu,", (unsigned long long)count.name)
    append(to, "{", 1);
    FIELD(connections);
    FIELD(calls);
    FIELD(calls_streaming);
    FIELD(answered_whole);
    FIELD(streams_completed);
    FIELD(stalled);
    FIELD(cut);
    FIELD(malformed);
    FIELD(empty);
    FIELD(closed);
    FIELD(errors_in_stream);
    FIELD(chunks);
    FIELD(aborted_by_peer);
    FIELD(bytes_in);
    FIELD(bytes_out);
    FIELD(open_calls_max);
#undef FIELD
    append_format(to, "\"open_calls\":%llu,\"open_connections\":%llu,\"failed\":{",
                  (unsigned long long)open_calls, (unsigned long long)open_connections);
    uint64_t failed = 0;
    for (int i = 0; i < status_max; i++) {
        if (!count.status[i]) continue;
        append_format(to, "%s\"%d\":%llu", failed ? "," : "", i, (unsigned long long)count.status[i]);
        failed += count.status[i];
    }
    append_format(to, "},\"failed_total\":%llu,\"models\":{", (unsigned long long)failed);
    for (int i = 0; i < count.models_count; i++) {
        model_counts *model = &count.models[i];
        if (i) append(to, ",", 1);
        append_json(to, model->name, strlen(model->name));
        append_format(to, ":{\"calls\":%llu,\"succeeded\":%llu,\"failed\":%llu}", (unsigned long long)model->calls,
                      (unsigned long long)model->succeeded, (unsigned long long)model->failed);
    }
    append(to, "}}", 2);
}
