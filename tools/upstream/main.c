// A stand-in for an OpenAI-compatible provider, for tests and benchmarks: one thread, one epoll, a few
// microseconds a call, faults by rate or by script. It reads just enough of HTTP/1.1 (RFC 9112) and of
// the JSON; options, scripts and reports are described in README.md beside this file.
#include "upstream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { pending_max = 256 << 10, head_max = 64 << 10, body_max = 64 << 20 };

typedef enum { IDLE, WAITING, STALLED, STREAMING, FLUSHING, CUTTING } phase;

typedef struct {
    int fd, heap_index;  // heap_index -1: no timer
    uint32_t armed;
    phase phase;
    bool close_after, answered_continue, succeeds;
    buffer in, out;
    size_t out_sent;
    int64_t due_us;
    plan plan;
    int chunk;
    model_counts *model;
    char key[80];  // the Authorization header, kept only for plans that quote it
} connection;

static int poller, listener;
static int64_t now_us;
static uint64_t open_calls, open_connections;
static buffer whole_answer, bare_answer, tools_answer, stream_head, stream_role, stream_finish, stream_usage;
static connection **heap;
static int heap_count, heap_capacity;
static volatile sig_atomic_t stopping;

// MARK: timers, a binary heap by due time

static void heap_place(int index, connection *c) {
    heap[index] = c;
    c->heap_index = index;
}

static void heap_up(int index) {
    connection *c = heap[index];
    while (index > 0 && heap[(index - 1) / 2]->due_us > c->due_us) {
        heap_place(index, heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_place(index, c);
}

static void heap_down(int index) {
    connection *c = heap[index];
    for (int child; (child = 2 * index + 1) < heap_count; index = child) {
        if (child + 1 < heap_count && heap[child + 1]->due_us < heap[child]->due_us) child++;
        if (heap[child]->due_us >= c->due_us) break;
        heap_place(index, heap[child]);
    }
    heap_place(index, c);
}

static void timer_clear(connection *c) {
    int index = c->heap_index;
    if (index < 0) return;
    c->heap_index = -1;
    connection *last = heap[--heap_count];
    if (last == c) return;
    heap_place(index, last);
    heap_up(index);
    heap_down(last->heap_index);
}

static void timer_set(connection *c, int64_t due_us) {
    timer_clear(c);
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity * 2 + 64;
        heap = realloc(heap, (size_t)heap_capacity * sizeof *heap);
    }
    c->due_us = due_us;
    heap[heap_count] = c;
    heap_up(heap_count++);
}

static int64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

// MARK: answers

static void add_event(buffer *to, const char *data, size_t length) {
    append_format(to, "%zx\r\ndata: ", length + 8);
    append(to, data, length);
    append(to, "\n\n\r\n", 4);
}

#define EVENT(to, text) add_event(to, text, sizeof text - 1)
#define CHUNK_START                                                                                  \
    "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion.chunk\",\"created\":1764000000," \
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_7d1c2a9b04\",\"choices\":["

static void build_answers(void) {
    char body[1024];
    int length = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"created\":1764000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"This is the answer of %s. It has a sentence or two, as answers do.\","
        "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,"
        "\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":16},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":8}},\"system_fingerprint\":\"fp_7d1c2a9b04\"}",
        option.name, option.prompt_tokens, option.completion_tokens,
        option.prompt_tokens + option.completion_tokens);
    whole_answer.length = 0;
    append_format(&whole_answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_1\r\nContent-Length: %d\r\n\r\n%s",
        length, body);
    length = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"This answer says nothing of its usage.\"},"
        "\"finish_reason\":\"stop\"}]}");
    bare_answer.length = 0;
    append_format(&bare_answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
    length = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"created\":1764000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
        "\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}],"
        "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}",
        option.prompt_tokens, option.completion_tokens, option.prompt_tokens + option.completion_tokens);
    tools_answer.length = 0;
    append_format(&tools_answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
    stream_head.length = stream_role.length = stream_finish.length = stream_usage.length = 0;
    append_format(&stream_head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
    EVENT(&stream_role, CHUNK_START
        "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}");
    EVENT(&stream_finish, CHUNK_START "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    length = snprintf(body, sizeof body, CHUNK_START
        "],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,"
        "\"prompt_tokens_details\":{\"cached_tokens\":16},\"completion_tokens_details\":{\"reasoning_tokens\":8}}}",
        option.prompt_tokens, option.completion_tokens, option.prompt_tokens + option.completion_tokens);
    add_event(&stream_usage, body, (size_t)length);
}

/// Adds content chunk number `index`: " w0007", so that a test sees loss and order.
static void add_content(buffer *to, int index, const plan *p) {
    static const char start[] = CHUNK_START "{\"index\":0,\"delta\":{\"content\":\"";
    static const char end[] = "\"},\"finish_reason\":null}]}";
    char text[16];
    size_t text_length = (size_t)snprintf(text, sizeof text, " w%04d", index);
    size_t padding = p->chunk_bytes > (int)text_length ? (size_t)p->chunk_bytes - text_length : 0;
    size_t line = p->crlf ? 4 : 2, comment = p->crlf ? 14 : 0;
    char length[32];
    size_t length_bytes = (size_t)snprintf(length, sizeof length, "%zx\r\n%sdata: ",
        6 + sizeof start - 1 + text_length + padding + sizeof end - 1 + line + comment,
        p->crlf ? ": keep-alive\r\n" : "");
    append(to, length, length_bytes);
    append(to, start, sizeof start - 1);
    append(to, text, text_length);
    static char x[4096];
    if (x[0] == 0) memset(x, 'x', sizeof x);
    for (size_t left = padding, part; left; left -= part) {
        part = left < sizeof x ? left : sizeof x;
        append(to, x, part);
    }
    append(to, end, sizeof end - 1);
    append(to, p->crlf ? "\r\n\r\n\r\n" : "\n\n\r\n", line + 2);
}

static void add_tool_chunk(buffer *to, int index) {
    static const char *const chunks[] = {
        "{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"get_weather\",\"arguments\":\"\"}}]},\"finish_reason\":null}]}",
        "{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"city\\\":\"}}]},"
        "\"finish_reason\":null}]}",
        "{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"Paris\\\"}\"}}]},"
        "\"finish_reason\":null}]}",
        "{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}",
    };
    char text[1024];
    int length = snprintf(text, sizeof text, "%s%s", CHUNK_START, chunks[index]);
    add_event(to, text, (size_t)length);
}

static void add_error(connection *c) {
    const plan *p = &c->plan;
    const char *code = p->code ? p->code
        : p->status == 401 ? "invalid_api_key"
        : p->status == 404 ? "model_not_found"
        : p->status == 429 ? "rate_limit_exceeded" : "none";
    const char *type = p->status >= 500 ? "server_error"
        : p->status == 429 ? (p->code ? "insufficient_quota" : "requests") : "invalid_request_error";
    char body[512];
    int length = snprintf(body, sizeof body,
        "{\"error\":{\"message\":\"The stand-in provider was asked to fail with %d%s%s.\",\"type\":\"%s\","
        "\"param\":null,\"code\":\"%s\"}}",
        p->status, p->echo_key ? "; key was: " : "", p->echo_key ? c->key : "", type, code);
    append_format(&c->out, "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
                  p->status, length);
    if (p->retry_after_s >= 0) append_format(&c->out, "Retry-After: %d\r\n", p->retry_after_s);
    append_format(&c->out, "\r\n%s", body);
}

// MARK: one connection

static void pump(connection *c);
static void consume(connection *c);

static void arm(connection *c, uint32_t events) {
    if (c->armed == events) return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->armed = events;
}

static void close_connection(connection *c, bool by_peer) {
    if (c->phase != IDLE) {
        open_calls--;
        if (by_peer) count.aborted_by_peer++;
        if (!c->succeeds || by_peer) c->model->failed++;
    }
    timer_clear(c);
    close(c->fd);
    open_connections--;
    free(c->in.bytes);
    free(c->out.bytes);
    c->fd = -1;  // freed by whoever called into the connection
}

static void call_ended(connection *c) {
    open_calls--;
    if (c->succeeds) {
        c->model->succeeded++;
        if (c->plan.streaming) count.streams_completed++;
        else count.answered_whole++;
    } else {
        c->model->failed++;
    }
    c->phase = IDLE;
    if (c->close_after) {
        close_connection(c, false);
    } else if (c->out.capacity > pending_max) {
        free(c->out.bytes);
        c->out = (buffer){0};
    }
}

/// Writes what is there. What happens when all is written depends on the phase.
static void flush(connection *c) {
    while (c->out_sent < c->out.length) {
        size_t length = c->out.length - c->out_sent;
        bool drip = c->phase != IDLE && c->plan.drip_bytes > 0 && length > (size_t)c->plan.drip_bytes;
        if (drip) length = (size_t)c->plan.drip_bytes;
        ssize_t sent = send(c->fd, c->out.bytes + c->out_sent, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) {
                arm(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
                return;
            }
            close_connection(c, true);
            return;
        }
        c->out_sent += (size_t)sent;
        count.bytes_out += (uint64_t)sent;
        if (drip) {
            timer_set(c, clock_us() + 100);
            return;
        }
    }
    c->out.length = c->out_sent = 0;
    arm(c, EPOLLIN | EPOLLRDHUP);
    if (c->phase == FLUSHING) call_ended(c);
    else if (c->phase == CUTTING) close_connection(c, false);
}

static void end_stream(connection *c) {
    if (!c->plan.no_done) add_event(&c->out, "[DONE]", 6);
    append(&c->out, "0\r\n\r\n", 5);
    c->phase = FLUSHING;
}

/// Adds the chunks that are due, up to the limit of bytes waiting.
static void add_due_chunks(connection *c) {
    plan *p = &c->plan;
    while (c->phase == STREAMING) {
        if (p->cut_after == c->chunk) {
            count.cut++;
            c->phase = CUTTING;
        } else if (p->error_after == c->chunk) {
            static const char error[] =
                "{\"error\":{\"message\":\"The server had an error while streaming.\",\"type\":\"server_error\","
                "\"param\":null,\"code\":null}}";
            add_event(&c->out, error, sizeof error - 1);
            count.errors_in_stream++;
            c->succeeds = false;
            end_stream(c);
        } else if (c->chunk == p->chunks) {
            if (!p->tools) append(&c->out, stream_finish.bytes, stream_finish.length);
            if (p->include_usage && !p->no_usage) append(&c->out, stream_usage.bytes, stream_usage.length);
            end_stream(c);
        } else {
            if (p->interval_us > 0 && c->chunk > p->first_chunk) {
                int64_t due_us = c->due_us;
                if (now_us < due_us) {
                    timer_set(c, due_us);
                    break;
                }
            }
            if (c->out.length - c->out_sent > pending_max) break;
            if (p->tools) add_tool_chunk(&c->out, c->chunk);
            else add_content(&c->out, c->chunk, p);
            c->due_us = (c->chunk == p->first_chunk ? now_us : c->due_us) + p->interval_us;
            c->chunk++;
            count.chunks++;
        }
    }
}

/// Sends a stream's chunks as they are due, as long as the peer reads. A peer that reads as fast as we
/// write never makes EPOLLOUT come, hence the loop.
static void pump(connection *c) {
    do {
        add_due_chunks(c);
        flush(c);
    } while (c->fd >= 0 && c->phase == STREAMING && c->out.length == 0 && c->heap_index < 0
             && c->plan.interval_us == 0);
}

static void start_answer(connection *c) {
    plan *p = &c->plan;
    c->phase = FLUSHING;
    c->succeeds = false;
    switch (p->kind) {
    case PLAN_STATUS:
        count.status[p->status]++;
        add_error(c);
        break;
    case PLAN_STALL:
        count.stalled++;
        c->phase = STALLED;
        return;
    case PLAN_CLOSE:
    case PLAN_RESET:
        count.closed++;
        if (p->kind == PLAN_RESET)
            setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        close_connection(c, false);
        return;
    case PLAN_MALFORMED:
        count.malformed++;
        if (p->streaming) {
            append(&c->out, stream_head.bytes, stream_head.length);
            EVENT(&c->out, "{\"choices\":[{\"delta\":{\"content\":");
            end_stream(c);
        } else {
            static const char broken[] = "{\"id\":\"chatcmpl-1\",\"choices\":[{\"in";
            append_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          sizeof broken - 1, broken);
        }
        break;
    case PLAN_EMPTY:
        count.empty++;
        append_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n");
        break;
    case PLAN_ANSWER:
        c->succeeds = true;
        if (p->streaming) {
            append(&c->out, stream_head.bytes, stream_head.length);
            if (p->cut_after != 0 || p->cut_role) append(&c->out, stream_role.bytes, stream_role.length);
            if (p->tools) p->chunks = 4;
            if (p->cut_after >= 0) c->succeeds = false;
            c->phase = STREAMING;
            c->chunk = p->first_chunk;
            pump(c);
            return;
        }
        buffer *answer = p->tools ? &tools_answer : p->no_usage ? &bare_answer : &whole_answer;
        if (p->cut_after >= 0) {
            count.cut++;
            c->succeeds = false;
            c->phase = CUTTING;
            append(&c->out, answer->bytes, answer->length - 100);
        } else {
            append(&c->out, answer->bytes, answer->length);
        }
    }
    flush(c);
}

static void timer_fired(connection *c) {
    if (c->phase == WAITING) {
        start_answer(c);
    } else if (c->out.length > 0) {
        flush(c);
        if (c->fd >= 0 && c->phase == STREAMING && c->out.length == 0) pump(c);
    } else if (c->phase == STREAMING) {
        pump(c);
    }
    if (c->fd >= 0 && c->phase == IDLE) consume(c);
}

static void add_json_answer(connection *c, buffer *body) {
    append_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                  body->length);
    append(&c->out, body->bytes, body->length);
    free(body->bytes);
}

/// GET: the reports, and `/options?name=value&…` which changes options while running.
static void answer_get(connection *c, char *path) {
    buffer body = {0};
    char *query = strchr(path, '?');
    if (query) *query++ = 0;
    if (strcmp(path, "/stats") == 0) {
        report_counts(&body, open_calls, open_connections);
        if (query && strcmp(query, "reset") == 0 && open_calls == 0) memset(&count, 0, sizeof count);
    } else if (strcmp(path, "/requests") == 0) {
        report_requests(&body, query && strncmp(query, "last=", 5) == 0 ? atoi(query + 5) : -1);
    } else if (strcmp(path, "/options") == 0) {
        bool good = true;
        char *rest = NULL;
        for (char *pair = query ? strtok_r(query, "&", &rest) : NULL; pair; pair = strtok_r(NULL, "&", &rest)) {
            char *value = strchr(pair, '=');
            if (value) *value++ = 0;
            // The ring of requests has been made by the first option; its size stays.
            good &= value && strcmp(pair, "record") != 0 && set_option(pair, value);
        }
        build_answers();
        append_format(&body, "{\"ok\":%s}", good ? "true" : "false");
    } else {
        static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\"}]}";
        append(&body, models, sizeof models - 1);
    }
    add_json_answer(c, &body);
    flush(c);
}

static const char *find_value(const char *body, size_t length, const char *key, size_t *value_length) {
    const char *at = memmem(body, length, key, strlen(key));
    if (!at) return NULL;
    at += strlen(key);
    const char *end = body + length;
    while (at < end && (*at == ' ' || *at == ':')) at++;
    if (at < end && *at == '"') {
        at++;
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote) return NULL;
        *value_length = (size_t)(quote - at);
    } else {
        *value_length = (size_t)(end - at);
    }
    return at;
}

typedef struct {
    const char *script;
    size_t script_length, content_length;
    bool close, expects_continue, chunked;
    const char *authorization;
    size_t authorization_length;
} head_fields;

static head_fields read_head(const char *head, size_t length) {
    head_fields fields = {0};
    const char *at = memchr(head, '\n', length), *end = head + length;
    while (at && ++at < end && *at != '\r') {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        if (!line_end) break;
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (colon) {
            size_t name = (size_t)(colon - at);
            const char *value = colon + 1;
            while (value < line_end && *value == ' ') value++;
            size_t value_length = (size_t)(line_end - value);
            if (name == 14 && strncasecmp(at, "content-length", 14) == 0) {
                fields.content_length = strtoul(value, NULL, 10);
            } else if (name == 17 && strncasecmp(at, "x-upstream-script", 17) == 0) {
                fields.script = value;
                fields.script_length = value_length;
            } else if (name == 10 && strncasecmp(at, "connection", 10) == 0) {
                fields.close = value_length == 5 && strncasecmp(value, "close", 5) == 0;
            } else if (name == 6 && strncasecmp(at, "expect", 6) == 0) {
                fields.expects_continue = true;
            } else if (name == 17 && strncasecmp(at, "transfer-encoding", 17) == 0) {
                fields.chunked = true;
            } else if (name == 13 && strncasecmp(at, "authorization", 13) == 0) {
                fields.authorization = value;
                fields.authorization_length = value_length;
            }
        }
        at = memchr(line_end, '\n', (size_t)(end - line_end));
    }
    return fields;
}

static void refuse(connection *c, const char *status_line) {
    append_format(&c->out, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status_line);
    flush(c);
    if (c->fd >= 0) close_connection(c, false);
}

/// The chunk to begin with: the one after those that the last message has, where it is to be gone on with.
static int first_chunk(const char *body, size_t length) {
    if (!memmem(body, length, "\"continue_final_message\":true", 29) && !memmem(body, length, "\"prefix\":true", 13))
        return 0;
    const char *end = body + length, *last = body;
    for (const char *at = body; (at = memmem(at, (size_t)(end - at), "\"assistant\"", 11)); at++) last = at;
    int chunk = 0;
    for (char next[8]; snprintf(next, sizeof next, " w%04d", chunk % 10000); chunk++)
        if (!memmem(last, (size_t)(end - last), next, strlen(next))) break;
    return chunk;
}

static void answer_call(connection *c, const head_fields *fields, const char *body, size_t length) {
    count.calls++;
    count.bytes_in += length;
    open_calls++;
    if (open_calls > count.open_calls_max) count.open_calls_max = open_calls;
    size_t model_length = 0, value_length = 0;
    const char *model = find_value(body, length, "\"model\"", &model_length);
    if (!model) model = "", model_length = 0;
    const char *stream = find_value(body, length, "\"stream\"", &value_length);
    bool streaming = stream && value_length >= 4 && memcmp(stream, "true", 4) == 0;
    if (streaming) count.calls_streaming++;
    c->model = counts_of(model, model_length);
    c->plan = plan_call(fields->script, fields->script_length, model, model_length, streaming);
    const char *usage = streaming ? find_value(body, length, "\"include_usage\"", &value_length) : NULL;
    c->plan.first_chunk = first_chunk(body, length);
    c->plan.include_usage = usage && value_length >= 4 && memcmp(usage, "true", 4) == 0;
    c->close_after = fields->close;
    if (c->plan.echo_key) {
        size_t kept = fields->authorization_length < sizeof c->key ? fields->authorization_length : sizeof c->key - 1;
        if (kept) memcpy(c->key, fields->authorization, kept);
        c->key[kept] = 0;
    }
    if (c->plan.latency_us > 0) {
        c->phase = WAITING;
        timer_set(c, now_us + c->plan.latency_us);
    } else {
        start_answer(c);
    }
}

/// Reads whole requests from the connection's bytes, one answer at a time.
static void consume(connection *c) {
    while (c->fd >= 0 && c->phase == IDLE && c->in.length > 0) {
        char *end = memmem(c->in.bytes, c->in.length, "\r\n\r\n", 4);
        if (!end) {
            if (c->in.length > head_max) refuse(c, "431 Request Header Fields Too Large");
            return;
        }
        size_t head_length = (size_t)(end - c->in.bytes) + 4;
        head_fields fields = read_head(c->in.bytes, head_length);
        if (fields.chunked) return refuse(c, "411 Length Required");
        if (fields.content_length > body_max) return refuse(c, "413 Content Too Large");
        size_t total = head_length + fields.content_length;
        if (c->in.length < total) {
            if (fields.expects_continue && !c->answered_continue) {
                c->answered_continue = true;
                append(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
                flush(c);
            }
            return;
        }
        c->answered_continue = false;
        if (memcmp(c->in.bytes, "GET ", 4) == 0) {
            char *path_end = memchr(c->in.bytes + 4, ' ', head_length - 4);
            char path[512];
            size_t path_length = path_end ? (size_t)(path_end - c->in.bytes) - 4 : 0;
            if (path_length >= sizeof path) return refuse(c, "414 URI Too Long");
            memcpy(path, c->in.bytes + 4, path_length);
            path[path_length] = 0;
            answer_get(c, path);
        } else {
            record(c->in.bytes, head_length, c->in.bytes + head_length, fields.content_length);
            answer_call(c, &fields, c->in.bytes + head_length, fields.content_length);
        }
        if (c->fd < 0) return;
        c->in.length -= total;
        if (c->in.length) memmove(c->in.bytes, c->in.bytes + total, c->in.length);
    }
}

static void readable(connection *c) {
    for (;;) {
        if (c->in.capacity - c->in.length < 4096) {
            c->in.capacity = c->in.capacity * 2 + 8192;
            c->in.bytes = realloc(c->in.bytes, c->in.capacity);
            if (!c->in.bytes) abort();
        }
        size_t room = c->in.capacity - c->in.length;
        ssize_t received = recv(c->fd, c->in.bytes + c->in.length, room, 0);
        if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR)) {
            close_connection(c, true);
            return;
        }
        if (received < 0) break;
        c->in.length += (size_t)received;
        if ((size_t)received < room) break;
        if (c->phase != IDLE && c->in.length > body_max) break;
    }
    consume(c);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->heap_index = -1;
        c->armed = EPOLLIN | EPOLLRDHUP;
        struct epoll_event event = {.events = c->armed, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        count.connections++;
        open_connections++;
    }
}

static void run(void) {
    struct epoll_event events[256];
    while (!stopping) {
        struct timespec wait, *timeout = NULL;
        if (heap_count) {
            int64_t left = heap[0]->due_us - clock_us();
            if (left < 0) left = 0;
            int64_t step = option.timer_step_us;
            if (step) left = (left + step - 1) / step * step;
            wait = (struct timespec){.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
            timeout = &wait;
        }
        int ready = epoll_pwait2(poller, events, 256, timeout, NULL);
        if (ready < 0 && errno != EINTR) {
            perror("upstream: epoll_pwait2");
            exit(1);
        }
        now_us = clock_us();
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            if (!c) {
                accept_all();
                continue;
            }
            if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) readable(c);
            if (c->fd >= 0 && events[i].events & EPOLLOUT) {
                if (c->phase == STREAMING) pump(c);
                else flush(c);
                if (c->fd >= 0 && c->phase == IDLE) consume(c);
            }
            if (c->fd < 0) free(c);
        }
        while (heap_count && heap[0]->due_us <= now_us) {
            connection *c = heap[0];
            timer_clear(c);
            timer_fired(c);
            if (c->fd < 0) free(c);
        }
    }
}

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

static const char usage[] =
    "upstream: a stand-in for an OpenAI-compatible provider, on 127.0.0.1\n"
    "  --port N               0 (default): any free port; printed as `listening on PORT`\n"
    "  --latency-ms N         before the first byte of each answer (0)\n"
    "  --chunks N             content chunks of a stream (8)\n"
    "  --chunk-interval-ms N  between them, may be a fraction (0: as fast as the peer reads)\n"
    "  --timer-step-us N      timers fire in steps of so many us, many at once (0: each when due)\n"
    "  --fail-rate F          share of calls answered 500, 503 or 429 (0)\n"
    "  --stall-rate F         share of calls never answered (0)\n"
    "  --cut-rate F           share of streams cut (0), after --cut-after N content chunks (0)\n"
    "  --seed N               of the faults (1)\n"
    "  --record N             requests kept for GET /requests?last=N (256)\n"
    "  --prompt-tokens N --completion-tokens N --name TEXT   what the answers say\n"
    "Per call: model name or header x-upstream-script, see tools/upstream/README.md.\n";

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc || !set_option(argv[i] + 2, argv[i + 1])) {
            fprintf(stderr, "upstream: do not understand `%s`\n%s", argv[i], usage);
            return 64;
        }
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    build_answers();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0) {
        fprintf(stderr, "upstream: cannot listen on 127.0.0.1:%d: %s\n", option.port, strerror(errno));
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &length);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    run();
    return 0;
}
