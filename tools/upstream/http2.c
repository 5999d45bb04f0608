// The stand-in over cleartext HTTP/2 with prior knowledge (RFC 9113), by nghttp2: whole answers, streams,
// latencies, HTTP errors and stalls as over HTTP/1.1; whatever else a script asks for resets the stream.
#include "upstream.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { window = (1 << 30) - 1, streams_max = 1000 };

typedef struct stream {
    timer timer;  // first: a timer that fires is the stream
    http2 *connection;
    struct stream *previous, *next;  // of the connection
    int32_t id;
    bool begun, is_streaming, ended, deferred, succeeds;
    char script[160], key[80];
    buffer in, out;
    size_t out_sent;
    plan plan;
    int chunk;
    int64_t due_us;
    model_counts *model;
} stream;

struct http2 {
    int fd;
    nghttp2_session *session;
    buffer out;
    size_t out_sent;
    stream *streams;
    bool broken, is_dirty;
    http2 *next_dirty;
};

static http2 *dirty;

static void mark_dirty(http2 *h) {
    if (h->is_dirty) return;
    h->is_dirty = true;
    h->next_dirty = dirty;
    dirty = h;
}

// MARK: one stream

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    (void)session, (void)id, (void)user;
    stream *s = source->ptr;
    size_t left = s->out.length - s->out_sent;
    if (length > left) length = left;
    if (length) memcpy(to, s->out.bytes + s->out_sent, length);
    s->out_sent += length;
    if (s->out_sent == s->out.length) {
        s->out.length = s->out_sent = 0;
        if (s->ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (length == 0) return s->deferred = true, NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)length;
}

#define FIELD(n, v) {(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE}

static void respond(stream *s, int status, const char *type) {
    char status_text[8], retry_text[16], length_text[24];
    snprintf(status_text, sizeof status_text, "%d", status);
    nghttp2_nv fields[4] = {FIELD(":status", status_text), FIELD("content-type", type)};
    size_t fields_count = 2;
    if (s->ended) {
        snprintf(length_text, sizeof length_text, "%zu", s->out.length);
        fields[fields_count++] = (nghttp2_nv)FIELD("content-length", length_text);
    }
    if (s->plan.retry_after_s >= 0) {
        snprintf(retry_text, sizeof retry_text, "%d", s->plan.retry_after_s);
        fields[fields_count++] = (nghttp2_nv)FIELD("retry-after", retry_text);
    }
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    nghttp2_submit_response(s->connection->session, s->id, fields, fields_count, &body);
}

/// Adds the chunks that are due and sets the timer for the next one.
static void pump(stream *s) {
    while (s->chunk < s->plan.chunks) {
        if (s->chunk > 0 && s->plan.interval_us > 0 && now_us < s->due_us) {
            timer_set(&s->timer, s->due_us);
            break;
        }
        add_content(&s->out, s->chunk, &s->plan);
        s->due_us = (s->chunk == 0 ? now_us : s->due_us) + s->plan.interval_us;
        s->chunk++;
        count.chunks++;
    }
    if (s->chunk == s->plan.chunks) {
        add_finish(&s->out);
        if (s->plan.include_usage) add_usage(&s->out);
        add_done(&s->out);
        s->ended = true;
    }
    if (s->deferred) {
        s->deferred = false;
        nghttp2_session_resume_data(s->connection->session, s->id);
    }
    mark_dirty(s->connection);
}

static bool is_plain(const plan *p) {
    return p->kind == PLAN_ANSWER && p->cut_after < 0 && p->error_after < 0 && !p->no_done && !p->tools;
}

static void answer(stream *s) {
    plan *p = &s->plan;
    mark_dirty(s->connection);
    if (p->kind == PLAN_STATUS) {
        count.status[p->status]++;
        add_error(&s->out, p, s->key);
        s->ended = true;
        respond(s, p->status, "application/json");
    } else if (p->kind == PLAN_STALL) {
        count.stalled++;
    } else if (!is_plain(p)) {
        count.closed++;
        nghttp2_submit_rst_stream(s->connection->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
    } else if (p->streaming) {
        s->succeeds = s->is_streaming = true;
        add_role(&s->out);
        respond(s, 200, "text/event-stream; charset=utf-8");
        pump(s);
    } else {
        const buffer *body = answer_body(p);
        s->succeeds = s->ended = true;
        append(&s->out, body->bytes, body->length);
        respond(s, 200, "application/json");
    }
}

static void fired(timer *t) {
    stream *s = (stream *)t;
    if (s->is_streaming) pump(s);
    else answer(s);
}

static void begin(stream *s) {
    s->plan = plan_request(s->script, strlen(s->script), s->in.bytes, s->in.length, &s->model);
    s->begun = true;
    if (s->plan.latency_us > 0) timer_set(&s->timer, now_us + s->plan.latency_us);
    else answer(s);
}

// MARK: what nghttp2 tells

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    stream *s = calloc(1, sizeof *s);
    s->connection = user;
    s->id = frame->hd.stream_id;
    s->timer.fired = fired;
    s->next = s->connection->streams;
    if (s->next) s->next->previous = s;
    s->connection->streams = s;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static void keep(char *to, size_t capacity, const uint8_t *value, size_t length) {
    if (length >= capacity) length = capacity - 1;
    memcpy(to, value, length);
    to[length] = 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    (void)flags, (void)user;
    stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s) return 0;
    if (name_length == 17 && memcmp(name, "x-upstream-script", 17) == 0)
        keep(s->script, sizeof s->script, value, value_length);
    else if (name_length == 13 && memcmp(name, "authorization", 13) == 0)
        keep(s->key, sizeof s->key, value, value_length);
    return 0;
}

static int on_data(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t length, void *user) {
    (void)flags, (void)user;
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s) append(&s->in, data, length);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) begin(s);
    return 0;
}

static void end(stream *s, bool is_clean) {
    timer_clear(&s->timer);
    if (s->next) s->next->previous = s->previous;
    if (s->previous) s->previous->next = s->next;
    else s->connection->streams = s->next;
    if (s->begun && is_clean && s->ended) {
        count_end(&s->plan, s->model, s->succeeds);
    } else if (s->begun) {
        // A stream that we reset has been counted as closed; any other was left by the peer.
        if (s->plan.kind == PLAN_STALL || s->plan.kind == PLAN_STATUS || is_plain(&s->plan)) count.aborted_by_peer++;
        open_calls--;
        s->model->failed++;
    }
    free(s->in.bytes);
    free(s->out.bytes);
    free(s);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    (void)user;
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s) end(s, error == 0);
    return 0;
}

// MARK: one connection

http2 *http2_begin(int fd) {
    http2 *h = calloc(1, sizeof *h);
    h->fd = fd;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&h->session, callbacks, h);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, window);
    return h;
}

void http2_take(http2 *h, const char *bytes, size_t length) {
    if (nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, length) < 0) h->broken = true;
    mark_dirty(h);
}

/// Writes until the socket takes no more.
static void flush(http2 *h) {
    while (!h->broken) {
        if (h->out_sent == h->out.length) {
            h->out.length = h->out_sent = 0;
            const uint8_t *bytes;
            ssize_t length;
            while (h->out.length < 256 << 10 && (length = nghttp2_session_mem_send(h->session, &bytes)) > 0)
                append(&h->out, bytes, (size_t)length);
            if (h->out.length == 0) return;
        }
        ssize_t sent = send(h->fd, h->out.bytes + h->out_sent, h->out.length - h->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) h->broken = true;
        else h->out_sent += (size_t)sent, count.bytes_out += (uint64_t)sent;
    }
}

void http2_flush_all(void) {
    while (dirty) {
        http2 *h = dirty;
        dirty = h->next_dirty;
        h->is_dirty = false;
        flush(h);
        // One that broke is told by the poller, which has its socket's end to report.
        if (h->broken) shutdown(h->fd, SHUT_RDWR);
    }
}

static void forget(http2 *h) {
    while (h->streams) end(h->streams, false);
    http2 **at = &dirty;
    while (*at && *at != h) at = &(*at)->next_dirty;
    if (*at) *at = h->next_dirty;
    nghttp2_session_del(h->session);
    free(h->out.bytes);
    free(h);
}

bool http2_ready(http2 *h) {
    static char bytes[256 << 10];
    while (!h->broken) {
        ssize_t length = recv(h->fd, bytes, sizeof bytes, 0);
        if (length < 0 && errno == EAGAIN) break;
        if (length <= 0) h->broken = true;
        else http2_take(h, bytes, (size_t)length);
        if (length < (ssize_t)sizeof bytes) break;
    }
    if (!h->broken) return flush(h), true;
    forget(h);
    return false;
}
