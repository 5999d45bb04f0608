// A caller that loads a server and checks every answer: h2load counts a call as succeeded when its HTTP
// status is 200, which says nothing of gRPC's trailers. Sends one prepared body again and again, over several
// connections with several calls at once on each; one thread, one epoll, one write per connection and turn.
// Prints its counts as JSON. Knows gRPC's framing (PROTOCOL-HTTP2.md) but no message.
#include "caller.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { grpc_codes = 17 };

options option = {.connections = 8, .streams = 8, .calls = 1000, .timeout_s = 120, .grpc = true};

static struct {
    uint64_t started, ended, ok, bytes, messages, lost, held;
    uint64_t bytes_min, bytes_max, messages_min, messages_max, open, open_max;
    uint64_t grpc[grpc_codes], http[600];
} count = {.bytes_min = UINT64_MAX, .messages_min = UINT64_MAX};
static uint32_t *latencies_us;
static int poller;
static const protocol *spoken = &http2;
static volatile sig_atomic_t stopping;

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

call *begin_call(void) {
    if (count.started == option.calls) return NULL;
    call *c = calloc(1, sizeof *c);
    c->started_us = clock_us();
    c->grpc_status = none;
    count.started++;
    if (++count.open > count.open_max) count.open_max = count.open;
    return c;
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

/// Counts the blank lines, each of which ends an event of a stream.
static void read_events(call *c, const uint8_t *at, size_t length) {
    const uint8_t *end = at + length;
    for (const uint8_t *line; at < end && (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1) {
        if (line == at && c->line_ended) c->messages++, c->line_ended = false;
        else c->line_ended = true;
    }
    if (length && end[-1] != '\n') c->line_ended = false;
}

void call_received(call *c, const uint8_t *data, size_t length) {
    if (c->bytes == 0 && length > 0 && ++count.held == option.calls && option.hold) {
        printf("holding %llu\n", (unsigned long long)count.held);
        fflush(stdout);
    }
    c->bytes += length;
    if (option.grpc) read_messages(c, data, length);
    else read_events(c, data, length);
}

static bool is_good(const call *c, bool is_clean) {
    if (!is_clean || c->http_status != 200 || c->broken || c->bytes == 0) return false;
    return !option.grpc || (c->grpc_status == 0 && c->prefix_length == 0 && c->message_left == 0);
}

void end_call(call *c, bool is_clean) {
    if (option.grpc && c->grpc_status >= 0 && c->grpc_status < grpc_codes) count.grpc[c->grpc_status]++;
    if (c->http_status > 0 && c->http_status < 600) count.http[c->http_status]++;
    if (is_good(c, is_clean)) count.ok++;
    count.bytes += c->bytes, count.messages += c->messages;
    if (c->bytes < count.bytes_min) count.bytes_min = c->bytes;
    if (c->bytes > count.bytes_max) count.bytes_max = c->bytes;
    if (c->messages < count.messages_min) count.messages_min = c->messages;
    if (c->messages > count.messages_max) count.messages_max = c->messages;
    latencies_us[count.ended++] = (uint32_t)(clock_us() - c->started_us);
    count.open--;
    free(c);
}

void lose_call(call *c) {
    count.lost++, count.ended++, count.open--;
    free(c);
}

// MARK: one connection

static void open_connection(connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    spoken->open(c);
}

void put(connection *c, const void *bytes, size_t length) {
    if (c->out_length + length > c->out_capacity) {
        c->out_capacity = (c->out_length + length) * 2;
        c->out = realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_length, bytes, length);
    c->out_length += length;
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
            spoken->fill(c);
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
    if (length <= 0 || !spoken->receive(c, bytes, (size_t)length)) lose(c);
}

static bool run(void) {
    connection *connections = calloc((size_t)option.connections, sizeof *connections);
    for (int i = 0; i < option.connections; i++) open_connection(&connections[i]);
    for (int i = 0; i < option.connections; i++) flush(&connections[i]);
    int64_t give_up_us = clock_us() + (int64_t)option.timeout_s * 1000000;
    struct epoll_event events[256];
    while (count.ended < option.calls && count.lost == 0 && !stopping) {
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

static void read_header(char *text) {
    char *colon = strstr(text, ": ");
    if (!colon) fail("--header takes `name: value`");
    *colon = 0;
    option.header_name = text;
    option.header_value = colon + 2;
}

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
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
    "caller: loads 127.0.0.1:PORT over cleartext HTTP and checks every answer\n"
    "  --port N --path /PATH --body FILE   what is sent: the body as it goes into DATA frames\n"
    "  --calls N          in all (1000)\n"
    "  --connections N    (8)\n"
    "  --streams N        open at once on each connection (8)\n"
    "  --http             a plain POST over HTTP/2: checks :status and body, no gRPC\n"
    "  --http1            a plain POST over HTTP/1.1, one at a time on each connection\n"
    "  --header 'N: V'    one more header\n"
    "  --hold             says `holding N` when each call has got its first bytes; ends on SIGTERM\n"
    "  --timeout N        gives up after so many seconds (120)\n"
    "Prints counts as JSON. Exit code 0 when every call was answered well, 1 when not.\n";

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"body", 1, 0, 'b'}, {"calls", 1, 0, 'n'},
        {"connections", 1, 0, 'c'}, {"streams", 1, 0, 'm'}, {"http", 0, 0, 'h'},
        {"timeout", 1, 0, 't'}, {"http1", 0, 0, '1'}, {"header", 1, 0, 'H'}, {"hold", 0, 0, 'o'},
        {"help", 0, 0, '?'}, {0}};
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (letter) {
        case 'p': option.port = atoi(optarg); break;
        case 'u': option.path = optarg; break;
        case 'b': read_file(optarg); break;
        case 'n': option.calls = strtoull(optarg, NULL, 10); break;
        case 'c': option.connections = atoi(optarg); break;
        case 'm': option.streams = atoi(optarg); break;
        case 'h': option.grpc = false; break;
        case '1': option.grpc = false, spoken = &http1; break;
        case 'H': read_header(optarg); break;
        case 'o': option.hold = true; break;
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
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    poller = epoll_create1(EPOLL_CLOEXEC);
    latencies_us = calloc(option.calls, sizeof *latencies_us);
    int64_t started_us = clock_us();
    bool done = run();
    print_counts(clock_us() - started_us);
    return done && count.ok == option.calls ? 0 : 1;
}
