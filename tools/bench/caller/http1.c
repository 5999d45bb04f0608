// Calls over HTTP/1.1 with keep-alive (RFC 9112), one at a time on a connection: for servers that speak
// OpenAI's JSON. Reads bodies with a length and chunked ones.
#include "caller.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { head_max = 32 << 10 };

typedef enum { HEAD, BODY, CHUNK_LENGTH, CHUNK, CHUNK_END, TRAILERS } phase;

typedef struct {
    call *call;
    phase phase;
    uint64_t left;  // bytes of the body, or of the chunk
    char line[head_max];
    size_t line_length;
} session;

static char *request;
static size_t request_length;

static void build_request(void) {
    size_t capacity = option.body_length + 4096;
    request = malloc(capacity);
    request_length = (size_t)snprintf(request, capacity,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        "Content-Length: %s\r\n%s%s%s%s\r\n",
        option.path, option.port, option.body_length_text, option.header_name ? option.header_name : "",
        option.header_name ? ": " : "", option.header_name ? option.header_value : "",
        option.header_name ? "\r\n" : "");
    memcpy(request + request_length, option.body, option.body_length);
    request_length += option.body_length;
}

static void start_call(connection *c) {
    session *s = c->session;
    s->call = begin_call();
    s->phase = HEAD;
    s->line_length = 0;
}

static void http1_open(connection *c) {
    if (!request) build_request();
    c->session = calloc(1, sizeof(session));
    start_call(c);
}

static void http1_fill(connection *c) {
    session *s = c->session;
    if (!s->call || s->call->body_sent) return;
    s->call->body_sent = option.body_length;
    put(c, request, request_length);
}

static void end_answer(connection *c) {
    session *s = c->session;
    end_call(s->call, true);
    start_call(c);
}

/// Reads status, length and coding; false when there is neither length nor chunks.
static bool read_head(session *s) {
    s->line[s->line_length] = 0;
    if (sscanf(s->line, "HTTP/1.%*d %d", &s->call->http_status) != 1) return false;
    bool is_framed = false;
    for (char *at = strstr(s->line, "\r\n"); at && at[2] != '\r'; at = strstr(at + 2, "\r\n")) {
        if (strncasecmp(at + 2, "content-length:", 15) == 0) {
            s->left = strtoull(at + 17, NULL, 10);
            s->phase = BODY;
            is_framed = true;
        } else if (strncasecmp(at + 2, "transfer-encoding:", 18) == 0) {
            s->phase = CHUNK_LENGTH;
            is_framed = true;
        }
    }
    s->line_length = 0;
    return is_framed;
}

/// Collects bytes until `end` is complete; how many it took. `*done` says whether it is.
static size_t collect(session *s, const uint8_t *at, size_t length, const char *end, bool *done) {
    size_t end_length = strlen(end), taken = 0;
    *done = false;
    while (taken < length && s->line_length < head_max - 1 && !*done) {
        s->line[s->line_length++] = (char)at[taken++];
        *done = s->line_length >= end_length
            && memcmp(s->line + s->line_length - end_length, end, end_length) == 0;
    }
    return taken;
}

static bool http1_receive(connection *c, const uint8_t *at, size_t length) {
    session *s = c->session;
    while (length) {
        if (!s->call) return false;
        size_t taken = 0;
        bool done = false;
        switch (s->phase) {
        case HEAD:
            taken = collect(s, at, length, "\r\n\r\n", &done);
            if ((done && !read_head(s)) || s->line_length == head_max - 1) return false;
            if (done && s->phase == BODY && s->left == 0) end_answer(c);
            break;
        case BODY:
        case CHUNK:
            taken = length < s->left ? length : s->left;
            call_received(s->call, at, taken);
            s->left -= taken;
            if (s->left) break;
            if (s->phase == CHUNK) s->phase = CHUNK_END;
            else end_answer(c);
            break;
        case CHUNK_LENGTH:
        case CHUNK_END:
        case TRAILERS:
            taken = collect(s, at, length, "\r\n", &done);
            if (s->line_length == head_max - 1) return false;
            if (!done) break;
            size_t line_length = s->line_length;
            s->line_length = 0;
            if (s->phase == CHUNK_END) {
                s->phase = CHUNK_LENGTH;
            } else if (s->phase == CHUNK_LENGTH) {
                s->left = strtoull(s->line, NULL, 16);
                s->phase = s->left ? CHUNK : TRAILERS;
            } else if (line_length == 2) {
                end_answer(c);
            }
        }
        at += taken, length -= taken;
    }
    return true;
}

const protocol http1 = {http1_open, http1_receive, http1_fill};
