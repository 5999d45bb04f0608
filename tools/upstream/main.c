// A stand-in for an OpenAI-compatible provider, for tests and benchmarks: one thread, one epoll, a few
// microseconds a call, faults by rate or by script. It reads just enough of HTTP/1.1 (RFC 9112) and of
// the JSON; a connection that begins with HTTP/2's preface is http2.c's. Options, scripts and reports are
// described in README.md beside this file.
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
    timer timer;  // first: a timer that fires is the connection
    int fd;
    uint32_t armed;
    phase phase;
    bool close_after, answered_continue, succeeds;
    buffer in, out;
    size_t out_sent;
    int64_t due_us;  // of the next chunk
    http2 *http2;    // nothing else is used then
    plan plan;
    int chunk;
    model_counts *model;
    char key[80];  // the Authorization header, kept only for plans that quote it
} connection;

static int poller, listener;
int64_t now_us;
uint64_t open_calls;
static uint64_t open_connections;
static volatile sig_atomic_t stopping;

int64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

// MARK: framing

static buffer event;

/// Adds what is in `event` as a chunk.
static void add_chunk(buffer *to) {
    append_format(to, "%zx\r\n", event.length);
    append(to, event.bytes, event.length);
    append(to, "\r\n", 2);
    event.length = 0;
}

static void add_head(buffer *to, size_t length) {
    append_format(
        to, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", length);
}

static void add_stream_head(buffer *to) {
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    append(to, head, sizeof head - 1);
}

static void add_failure(buffer *to, const plan *p, const char *key) {
    add_error(&event, p, key);
    append_format(to, "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                  p->status, event.length);
    if (p->retry_after_s >= 0) append_format(to, "Retry-After: %d\r\n", p->retry_after_s);
    append(to, "\r\n", 2);
    append(to, event.bytes, event.length);
    event.length = 0;
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
    timer_clear(&c->timer);
    close(c->fd);
    open_connections--;
    free(c->in.bytes);
    free(c->out.bytes);
    c->fd = -1;  // freed by whoever called into the connection
}

static void call_ended(connection *c) {
    count_end(&c->plan, c->model, c->succeeds);
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
            timer_set(&c->timer, clock_us() + 100);
            return;
        }
    }
    c->out.length = c->out_sent = 0;
    arm(c, EPOLLIN | EPOLLRDHUP);
    if (c->phase == FLUSHING) call_ended(c);
    else if (c->phase == CUTTING) close_connection(c, false);
}

static void end_stream(connection *c) {
    if (!c->plan.no_done) {
        add_done(&event);
        add_chunk(&c->out);
    }
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
            add_error_event(&event);
            add_chunk(&c->out);
            count.errors_in_stream++;
            c->succeeds = false;
            end_stream(c);
        } else if (c->chunk == p->chunks) {
            if (!p->tools) {
                add_finish(&event);
                add_chunk(&c->out);
            }
            if (p->include_usage && !p->no_usage) {
                add_usage(&event);
                add_chunk(&c->out);
            }
            end_stream(c);
        } else {
            if (p->interval_us > 0 && c->chunk > p->first_chunk) {
                int64_t due_us = c->due_us;
                if (now_us < due_us) {
                    timer_set(&c->timer, due_us);
                    break;
                }
            }
            if (c->out.length - c->out_sent > pending_max) break;
            add_content(&event, c->chunk, p);
            add_chunk(&c->out);
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
    } while (c->fd >= 0 && c->phase == STREAMING && c->out.length == 0 && !timer_is_set(&c->timer)
             && c->plan.interval_us == 0);
}

static void start_answer(connection *c) {
    plan *p = &c->plan;
    c->phase = FLUSHING;
    c->succeeds = false;
    switch (p->kind) {
    case PLAN_STATUS:
        count.status[p->status]++;
        add_failure(&c->out, p, c->key);
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
            add_stream_head(&c->out);
            add_broken(&event, true);
            add_chunk(&c->out);
            end_stream(c);
        } else {
            add_broken(&event, false);
            add_head(&c->out, event.length);
            append(&c->out, event.bytes, event.length);
            event.length = 0;
        }
        break;
    case PLAN_EMPTY:
        count.empty++;
        add_head(&c->out, 0);
        break;
    case PLAN_ANSWER:
        c->succeeds = true;
        if (p->streaming) {
            add_stream_head(&c->out);
            if (p->cut_after != 0 || p->cut_role) {
                add_role(&event);
                add_chunk(&c->out);
            }
            if (p->tools) p->chunks = 4;
            if (p->cut_after >= 0) c->succeeds = false;
            c->phase = STREAMING;
            c->chunk = p->first_chunk;
            pump(c);
            return;
        }
        const buffer *answer = answer_body(p);
        size_t length = answer->length;
        if (p->cut_after >= 0) {
            count.cut++;
            c->succeeds = false;
            c->phase = CUTTING;
            length -= 100;
        }
        add_head(&c->out, answer->length);
        append(&c->out, answer->bytes, length);
    }
    flush(c);
}

static void timer_fired(timer *t) {
    connection *c = (connection *)t;
    if (c->phase == WAITING) {
        start_answer(c);
    } else if (c->out.length > 0) {
        flush(c);
        if (c->fd >= 0 && c->phase == STREAMING && c->out.length == 0) pump(c);
    } else if (c->phase == STREAMING) {
        pump(c);
    }
    if (c->fd >= 0 && c->phase == IDLE) consume(c);
    if (c->fd < 0) free(c);
}

static void add_json_answer(connection *c, buffer *body) {
    add_head(&c->out, body->length);
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
    c->plan = plan_request(fields->script, fields->script_length, body, length, &c->model);
    c->plan.first_chunk = first_chunk(body, length);
    c->close_after = fields->close;
    if (c->plan.echo_key) {
        size_t kept = fields->authorization_length < sizeof c->key ? fields->authorization_length : sizeof c->key - 1;
        if (kept) memcpy(c->key, fields->authorization, kept);
        c->key[kept] = 0;
    }
    if (c->plan.latency_us > 0) {
        c->phase = WAITING;
        timer_set(&c->timer, now_us + c->plan.latency_us);
    } else {
        start_answer(c);
    }
}

/// Hands the connection over to HTTP/2 when it begins with the preface; false while that is open or not so.
static bool begins_http2(connection *c) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (c->in.length < sizeof preface - 1 || memcmp(c->in.bytes, preface, sizeof preface - 1) != 0) return false;
    c->http2 = http2_begin(c->fd);
    // http2.c reads and writes until the socket has no more, so it need be told of changes only.
    arm(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    http2_take(c->http2, c->in.bytes, c->in.length);
    return true;
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
    if (!begins_http2(c)) consume(c);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->timer.fired = timer_fired;
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
        timer *next = timer_next();
        if (next) {
            int64_t left = next->due_us - clock_us();
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
            if (c->http2) {
                if (!http2_ready(c->http2)) close_connection(c, false);
            } else if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                readable(c);
            }
            if (c->fd >= 0 && !c->http2 && events[i].events & EPOLLOUT) {
                if (c->phase == STREAMING) pump(c);
                else flush(c);
                if (c->fd >= 0 && c->phase == IDLE) consume(c);
            }
            if (c->fd < 0) free(c);
        }
        for (timer *next; (next = timer_next()) && next->due_us <= now_us;) {
            timer_clear(next);
            next->fired(next);
        }
        http2_flush_all();
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
    "  --latency-spread-ms N  up to so many more, at random (0)\n"
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
