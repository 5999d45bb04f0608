// What the files of the stand-in provider share: the plan of one call, the counters, the options.
// Knows OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat);
// knows nothing of Junction.
#ifndef UPSTREAM_H
#define UPSTREAM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // memmem, accept4, epoll_pwait2; every file includes this one first
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What happens to one call.
typedef enum {
    PLAN_ANSWER,     // a whole answer or a stream, as asked
    PLAN_STATUS,     // an HTTP error
    PLAN_STALL,      // nothing, for ever
    PLAN_CLOSE,      // the connection is closed before any byte
    PLAN_RESET,      // the connection is reset (RST) before any byte
    PLAN_MALFORMED,  // 200 with JSON that breaks off
    PLAN_EMPTY,      // 200 with an empty body
} plan_kind;

typedef struct {
    plan_kind kind;
    int status;
    int retry_after_s;    // Retry-After header; -1: none
    const char *code;     // error.code of the body; NULL: by the status
    bool echo_key;        // the error's message quotes the Authorization header, as real providers do
    int64_t latency_us;   // before the first byte
    int64_t interval_us;  // between chunks; 0: as fast as the peer reads
    int chunks;
    int first_chunk;      // of a stream that goes on with another's text
    int chunk_bytes;      // length of a chunk's content; 0: the usual six bytes
    int cut_after;        // close after so many content chunks; -1: never
    bool cut_role;        // a cut before the first content comes after the role-only chunk
    int error_after;      // an error event after so many content chunks; -1: never
    bool no_done;         // the stream ends without [DONE]
    bool no_usage;        // the answer does not say what it used
    bool crlf;            // event lines end in CRLF, with comments between
    bool tools;           // the model calls a tool
    int drip_bytes;       // so many bytes each 100 us; 0: at once
    bool streaming;
    bool include_usage;
    int texts;            // to become embeddings; 0: a completion is asked for
} plan;

typedef struct {
    int port, latency_ms, latency_spread_ms, chunks, record, timer_step_us;
    double chunk_interval_ms, fail_rate, stall_rate, cut_rate;
    int cut_after;  // of streams cut at random; 0: before the first token
    uint64_t seed;
    int prompt_tokens, completion_tokens;
    const char *name;  // appears in the answers, so that a test sees who answered
} options;

typedef struct {
    char name[96];
    uint64_t calls, succeeded, failed;
} model_counts;

enum { models_max = 256, status_max = 600 };

typedef struct {
    uint64_t connections, calls, calls_streaming, answered_whole, streams_completed;
    uint64_t status[status_max];  // error answers by HTTP status
    uint64_t stalled, cut, malformed, empty, closed, errors_in_stream;
    uint64_t chunks, aborted_by_peer, bytes_in, bytes_out, open_calls_max;
    model_counts models[models_max];
    int models_count;
} counts;

extern options option;
extern counts count;

/// Sets one option by its name without dashes; false when there is none such or the value is wrong.
bool set_option(const char *name, const char *value);

/// Reads a request's JSON, counts it, and decides what happens to it: by its script (header or model name),
/// else by the fault rates.
plan plan_request(const char *script, size_t script_length, const char *body, size_t length, model_counts **model);

/// Counts the end of a call that was answered to its end.
void count_end(const plan *p, model_counts *model, bool succeeded);

/// The entry of a model in `count`, made when new. The last entry takes what does not fit.
model_counts *counts_of(const char *model, size_t length);

/// Growing bytes; used for output and reports.
typedef struct {
    char *bytes;
    size_t length, capacity;
} buffer;

void append(buffer *to, const void *bytes, size_t length);
void append_format(buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void append_json(buffer *to, const char *bytes, size_t length);

/// What is said, without HTTP's framing. `build_answers` after each change of the options.
void build_answers(void);
const buffer *answer_body(const plan *p);
void add_role(buffer *to);
/// Content chunk number `index`: " w0007", so that a test sees loss and order; or a part of a tool's call.
void add_content(buffer *to, int index, const plan *p);
void add_finish(buffer *to);
void add_usage(buffer *to);
void add_done(buffer *to);
void add_broken(buffer *to, bool streaming);
void add_error_event(buffer *to);
/// The body of an HTTP error.
void add_error(buffer *to, const plan *p, const char *key);

/// Something that happens at an instant; zeroed, it is not set.
typedef struct timer {
    int64_t due_us;
    int place;
    void (*fired)(struct timer *);
} timer;

bool timer_is_set(const timer *t);
void timer_set(timer *t, int64_t due_us);
void timer_clear(timer *t);
/// The one that is due first; NULL: none is set.
timer *timer_next(void);

/// Microseconds of a clock that only goes on: the instant of this turn of the loop, and of now.
extern int64_t now_us;
int64_t clock_us(void);
/// Calls under way.
extern uint64_t open_calls;

/// A connection that speaks HTTP/2.
typedef struct http2 http2;
http2 *http2_begin(int fd);
/// Takes bytes that were read already.
void http2_take(http2 *h, const char *bytes, size_t length);
/// Reads and writes what can be; false when the connection is over, and then `h` is gone.
bool http2_ready(http2 *h);
/// Writes what this turn has made.
void http2_flush_all(void);
/// How many texts a request wants as embeddings; 0: it is no such request.
int count_texts(const char *body, size_t length);
/// The embeddings of so many texts, as JSON.
void add_embeddings(buffer *to, int texts, bool no_usage);

/// Keeps a request for GET /requests; head and body as received.
void record(const char *head, size_t head_length, const char *body, size_t body_length);
void report_requests(buffer *to, int last);
void report_counts(buffer *to, uint64_t open_calls, uint64_t open_connections);
#endif
