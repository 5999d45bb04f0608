// Calls over cleartext HTTP/2, several at once on a connection; with gRPC's headers and trailers, or as a
// plain POST.
#include "caller.h"
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    (void)session, (void)id, (void)user;
    call *c = source->ptr;
    size_t left = option.body_length - c->body_sent;
    if (length > left) length = left;
    memcpy(to, option.body + c->body_sent, length);
    c->body_sent += length;
    if (c->body_sent == option.body_length) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

#define FIELD(n, v) {(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE}

static void start_call(connection *connection) {
    call *c = begin_call();
    if (!c) return;
    nghttp2_nv fields[9] = {
        FIELD(":method", "POST"), FIELD(":scheme", "http"), FIELD(":path", option.path),
        FIELD(":authority", "127.0.0.1"), FIELD("te", "trailers"),
        FIELD("content-type", option.grpc ? "application/grpc" : "application/json"),
    };
    size_t count = 6;
    // A proxy to HTTP/1.1 would send a body of unknown length in chunks.
    if (!option.grpc) fields[count++] = (nghttp2_nv)FIELD("content-length", option.body_length_text);
    if (option.header_name) fields[count++] = (nghttp2_nv)FIELD(option.header_name, option.header_value);
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = read_body};
    if (nghttp2_submit_request(connection->session, NULL, fields, count, &body, c) < 0) lose_call(c);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    (void)flags, (void)user, (void)value_length;
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!c) return 0;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) c->http_status = atoi((const char *)value);
    else if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0) c->grpc_status = atoi((const char *)value);
    return 0;
}

static int on_data(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t length, void *user) {
    (void)flags, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, id);
    if (c) call_received(c, data, length);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    call *c = nghttp2_session_get_stream_user_data(session, id);
    if (!c) return 0;
    end_call(c, error == 0);
    start_call(user);
    return 0;
}

static void http2_open(connection *c) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session *session;
    nghttp2_session_client_new(&session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (1u << 30) - 1}};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, (1 << 30) - 1);
    c->session = session;
    for (int i = 0; i < option.streams; i++) start_call(c);
}

static bool http2_receive(connection *c, const uint8_t *bytes, size_t length) {
    return nghttp2_session_mem_recv(c->session, bytes, length) >= 0;
}

static void http2_fill(connection *c) {
    const uint8_t *bytes;
    ssize_t length;
    while (c->out_length < 256 << 10 && (length = nghttp2_session_mem_send(c->session, &bytes)) > 0)
        put(c, bytes, (size_t)length);
}

const protocol http2 = {http2_open, http2_receive, http2_fill};
