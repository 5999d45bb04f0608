// What the files of the caller share: the call, the connection, the options. A protocol (http1.c, http2.c)
// turns calls into bytes and bytes into calls; sockets, counts and the clock are main.c's.
#ifndef CALLER_H
#define CALLER_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // memmem, accept4; every file includes this one first
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { none = -1 };

/// One call under way, made by `begin_call`.
typedef struct {
    int64_t started_us;
    size_t body_sent;
    int http_status, grpc_status;
    bool broken;                 // trailers are there but do not parse, or a frame is wrong
    bool line_ended;             // the last byte seen ended a line; a blank line ends an event of an SSE stream
    uint64_t bytes, messages;    // of the answer's body; gRPC messages, or events, in it
    uint8_t prefix[5];           // of the message being read
    uint32_t prefix_length, message_left;
} call;

/// A connection: bytes to be written, and what the protocol keeps.
typedef struct {
    int fd;
    void *session;
    char *out;
    size_t out_length, out_sent, out_capacity;
    bool waits_for_writing;
} connection;

/// How calls travel.
typedef struct {
    /// Makes the session and begins as many calls as may be under way on one connection.
    void (*open)(connection *);
    /// Takes bytes that came; false when they are no protocol.
    bool (*receive)(connection *, const uint8_t *, size_t);
    /// Puts into `out` what is to be sent; it is empty when this is called.
    void (*fill)(connection *);
} protocol;

extern const protocol http1, http2;

typedef struct {
    int port, connections, streams, timeout_s;
    uint64_t calls;
    bool grpc, hold;
    const char *path;
    char *header_name, *header_value;  // one more header of the request; NULL: none
    char *body, body_length_text[24];
    size_t body_length;
} options;

extern options option;

/// Makes a call; NULL when all have been made.
call *begin_call(void);
/// Counts bytes of an answer's body.
void call_received(call *, const uint8_t *, size_t);
/// Counts how a call ended, and frees it.
void end_call(call *, bool is_clean);
/// A call that could not even be sent.
void lose_call(call *);

void put(connection *, const void *, size_t);
#endif
