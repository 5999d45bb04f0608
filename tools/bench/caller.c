// A caller that loads a router over cleartext HTTP/2 and checks every answer: h2load counts a call as
// succeeded when its HTTP status is 200, which says nothing of gRPC's trailers. Sends one prepared body
// again and again, over several connections with several streams open on each; one thread, one epoll,
// one write per connection and turn. Prints its counts as JSON. Knows gRPC's framing
// (PROTOCOL-HTTP2.md) but no message.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { grpc_codes = 17, none = -1 };

typedef struct {
    int64_t started_us;
    size_t body_sent;
    int http_status, grpc_status;
    bool broken;                 // trailers are there but do not parse, or a frame is wrong
    uint64_t bytes, messages;    // of the answer's body; gRPC messages in it
    uint8_t prefix[5];           // of the message being read
    uint32_t prefix_length, message_left;
} call;

typedef struct {
    int fd;
    nghttp2_session *session;
    char *out;                   // bytes taken from the session and not yet written
    size_t out_length, out_sent, out_capacity;
    bool waits_for_writing;
} connection;

static struct {
    int port, connections, streams, timeout_s;
    uint64_t calls;
    bool grpc;
    const char *path;
    char *body, body_length_text[24];
    size_t body_length;
} option = {.connections = 8, .streams = 8, .calls = 1000, .timeout_s = 120, .grpc = true};

static struct {
    uint64_t started, ended, ok, bytes, messages, lost;
    uint64_t bytes_min, bytes_max, messages_min, messages_max, open, open_max;
    uint64_t grpc[grpc_codes], http[600];
} count = {.bytes_min = UINT64_MAX, .messages_min = UINT64_MAX};
static uint32_t *latencies_us;
static int poller;

static int64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what) {
    fprintf(stderr, "caller: %s: %s\n", what, strerror(errno));
    exit(1);
}

// MARK: one call

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

#define FIELD(n, v) {(uint8_t *)(n), (uint8_t *)(v), sizeof n - 1, strlen(v), NGHTTP2_NV_FLAG_NONE}

static void start_call(connection *connection) {
    if (count.started == option.calls) return;
    call *c = calloc(1, sizeof *c);
    c->started_us = clock_us();
    c->grpc_status = none;
    nghttp2_nv fields[] = {
        FIELD(":method", "POST"), FIELD(":scheme", "http"), FIELD(":path", option.path),
        FIELD(":authority", "127.0.0.1"), FIELD("te", "trailers"),
        FIELD("content-type", option.grpc ? "application/grpc" : "application/json"),
        // A proxy to HTTP/1.1 would send a body of unknown length in chunks.
        FIELD("content-length", option.body_length_text),
    };
    size_t fields_count = sizeof fields / sizeof *fields - (option.grpc ? 1 : 0);
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = read_body};
    if (nghttp2_submit_request(connection->session, NULL, fields, fields_count, &body, c) < 0) {
        free(c);
        count.lost++, count.started++, count.ended++;
        return;
    }
    count.started++;
    if (++count.open > count.open_max) count.open_max = count.open;
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

/// Follows the length-prefixed messages, which know nothing of DATA frames.
static void read_messages(call *c, const uint8_t *at, size_t length) {
    while (length) {
        if (c->message_left) {
            size_t part = length < c->message_left ? length : c->message_left;
            c->message_left -= (uint32_t)part, at += part, length -= part;
        } else {
            c->prefix[c->prefix_length++] = *at++, length--;
            if (c->prefix_length < 5) continue;
            if (c->prefix[0] != 0) c->broken = true;
            c->message_left = (uint32_t)c->prefix[1] << 24 | (uint32_t)c->prefix[2] << 16
                | (uint32_t)c->prefix[3] << 8 | c->prefix[4];
            c->prefix_length = 0;
            c->messages++;
        }
    }
}

static int on_data(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t length, void *user) {
    (void)flags, (void)user;
    call *c = nghttp2_session_get_stream_user_data(session, id);
    if (!c) return 0;
    c->bytes += length;
    if (option.grpc) read_messages(c, data, length);
    return 0;
}

static bool is_good(const call *c, uint32_t error) {
    if (error || c->http_status != 200 || c->broken || c->bytes == 0) return false;
    return !option.grpc || (c->grpc_status == 0 && c->prefix_length == 0 && c->message_left == 0);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    call *c = nghttp2_session_get_stream_user_data(session, id);
    if (!c) return 0;
    if (option.grpc && c->grpc_status >= 0 && c->grpc_status < grpc_codes) count.grpc[c->grpc_status]++;
    if (c->http_status > 0 && c->http_status < 600) count.http[c->http_status]++;
    if (is_good(c, error)) count.ok++;
    count.bytes += c->bytes, count.messages += c->messages;
    if (c->bytes < count.bytes_min) count.bytes_min = c->bytes;
    if (c->bytes > count.bytes_max) count.bytes_max = c->bytes;
    if (c->messages < count.messages_min) count.messages_min = c->messages;
    if (c->messages > count.messages_max) count.messages_max = c->messages;
    latencies_us[count.ended++] = (uint32_t)(clock_us() - c->started_us);
    count.open--;
    free(c);
    start_call(user);
    return 0;
}

// MARK: one connection

static void open_connection(connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (1u << 30) - 1}};
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, (1 << 30) - 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    for (int i = 0; i < option.streams; i++) start_call(c);
}

static void lose(connection *c) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    // What was under way or yet to be started on this connection never ends: the sums show it.
    count.lost += count.open / (uint64_t)option.connections + 1;
}

static void flush(connection *c) {
    for (;;) {
        if (c->out_sent == c->out_length) {
            c->out_sent = c->out_length = 0;
            const uint8_t *bytes;
            ssize_t length;
            while (c->out_length < 256 << 10 && (length = nghttp2_session_mem_send(c->session, &bytes)) > 0) {
                if (c->out_length + (size_t)length > c->out_capacity) {
                    c->out_capacity = (c->out_length + (size_t)length) * 2;
                    c->out = realloc(c->out, c->out_capacity);
                }
                memcpy(c->out + c->out_length, bytes, (size_t)length);
                c->out_length += (size_t)length;
            }
            if (c->out_length == 0) break;
        }
        ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_length - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) return lose(c);
        c->out_sent += (size_t)sent;
    }
    bool waits = c->out_sent < c->out_length;
    if (waits != c->waits_for_writing) {
        c->waits_for_writing = waits;
        struct epoll_event event = {.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void receive(connection *c) {
    static uint8_t bytes[256 << 10];
    ssize_t length = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0 || nghttp2_session_mem_recv(c->session, bytes, (size_t)length) < 0) lose(c);
}

static bool run(void) {
    connection *connections = calloc((size_t)option.connections, sizeof *connections);
    for (int i = 0; i < option.connections; i++) open_connection(&connections[i]);
    for (int i = 0; i < option.connections; i++) flush(&connections[i]);
    int64_t give_up_us = clock_us() + (int64_t)option.timeout_s * 1000000;
    struct epoll_event events[256];
    while (count.ended < option.calls && count.lost == 0) {
        int ready = epoll_wait(poller, events, 256, 1000);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) receive(c);
            if (c->fd >= 0) flush(c);
        }
        if (clock_us() > give_up_us) return false;
    }
    return count.lost == 0;
}

// MARK: the command

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_counts(int64_t elapsed_us) {
    qsort(latencies_us, count.ended, sizeof *latencies_us, by_value);
#define QUANTILE(q) (count.ended ? latencies_us[(uint64_t)((double)(count.ended - 1) * q)] : 0)
#define EACH(n) (unsigned long long)n
    printf("{\"calls\":%llu,\"ended\":%llu,\"ok\":%llu,\"lost\":%llu,\"open_max\":%llu,\"messages\":%llu,"
           "\"messages_min\":%llu,\"messages_max\":%llu,\"bytes\":%llu,\"bytes_min\":%llu,\"bytes_max\":%llu,"
           "\"elapsed_us\":%lld,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"grpc\":{",
           EACH(option.calls), EACH(count.ended), EACH(count.ok), EACH(count.lost), EACH(count.open_max),
           EACH(count.messages), EACH(count.messages_min), EACH(count.messages_max), EACH(count.bytes),
           EACH(count.bytes_min), EACH(count.bytes_max), (long long)elapsed_us, QUANTILE(0.5), QUANTILE(0.99),
           QUANTILE(1));
    const char *comma = "";
    for (int i = 0; i < grpc_codes; i++)
        if (count.grpc[i]) printf("%s\"%d\":%llu", comma, i, EACH(count.grpc[i])), comma = ",";
    printf("},\"http\":{");
    comma = "";
    for (int i = 0; i < 600; i++)
        if (count.http[i]) printf("%s\"%d\":%llu", comma, i, EACH(count.http[i])), comma = ",";
    printf("}}\n");
}

static void read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    option.body_length = (size_t)ftell(file);
    rewind(file);
    option.body = malloc(option.body_length + 1);
    if (fread(option.body, 1, option.body_length, file) != option.body_length) fail(path);
    fclose(file);
    snprintf(option.body_length_text, sizeof option.body_length_text, "%zu", option.body_length);
}

static const char usage[] =
    "caller: loads 127.0.0.1:PORT over cleartext HTTP/2 and checks every answer\n"
    "  --port N --path /PATH --body FILE   what is sent: the body as it goes into DATA frames\n"
    "  --calls N          in all (1000)\n"
    "  --connections N    (8)\n"
    "  --streams N        open at once on each connection (8)\n"
    "  --http             a plain POST: checks :status and body, no gRPC\n"
    "  --timeout N        gives up after so many seconds (120)\n"
    "Prints counts as JSON. Exit code 0 when every call was answered well, 1 when not.\n";

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"body", 1, 0, 'b'}, {"calls", 1, 0, 'n'},
        {"connections", 1, 0, 'c'}, {"streams", 1, 0, 'm'}, {"http", 0, 0, 'h'},
        {"timeout", 1, 0, 't'}, {"help", 0, 0, '?'}, {0}};
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (letter) {
        case 'p': option.port = atoi(optarg); break;
        case 'u': option.path = optarg; break;
        case 'b': read_file(optarg); break;
        case 'n': option.calls = strtoull(optarg, NULL, 10); break;
        case 'c': option.connections = atoi(optarg); break;
        case 'm': option.streams = atoi(optarg); break;
        case 'h': option.grpc = false; break;
        case 't': option.timeout_s = atoi(optarg); break;
        default: fputs(usage, stderr); return 64;
        }
    }
    if (!option.path || !option.body || !option.port || !option.calls || option.connections < 1 || option.streams < 1) {
        fputs(usage, stderr);
        return 64;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    latencies_us = calloc(option.calls, sizeof *latencies_us);
    int64_t started_us = clock_us();
    bool done = run();
    print_counts(clock_us() - started_us);
    return done && count.ok == option.calls ? 0 : 1;
}
