// What the stand-in says: bodies of answers and events of streams, without HTTP's framing.
#include "upstream.h"
#include <stdio.h>
#include <string.h>

#define CHUNK_START                                                                                  \
    "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion.chunk\",\"created\":1764000000," \
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_7d1c2a9b04\",\"choices\":["

static buffer whole, bare, tools, usage;

void build_answers(void) {
    int sum = option.prompt_tokens + option.completion_tokens;
    whole.length = bare.length = tools.length = usage.length = 0;
    append_format(&whole,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"created\":1764000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"This is the answer of %s. It has a sentence or two, as answers do.\","
        "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,"
        "\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":16},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":8}},\"system_fingerprint\":\"fp_7d1c2a9b04\"}",
        option.name, option.prompt_tokens, option.completion_tokens, sum);
    append_format(&bare,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"This answer says nothing of its usage.\"},"
        "\"finish_reason\":\"stop\"}]}");
    append_format(&tools,
        "{\"id\":\"chatcmpl-9f2c41d07ab84e5f\",\"object\":\"chat.completion\",\"created\":1764000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
        "\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}],"
        "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}",
        option.prompt_tokens, option.completion_tokens, sum);
    append_format(&usage,
        "data: " CHUNK_START
        "],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,"
        "\"prompt_tokens_details\":{\"cached_tokens\":16},\"completion_tokens_details\":{\"reasoning_tokens\":8}}}\n\n",
        option.prompt_tokens, option.completion_tokens, sum);
}

const buffer *answer_body(const plan *p) {
    if (p->texts == 0) return p->tools ? &tools : p->no_usage ? &bare : &whole;
    static buffer embeddings;
    embeddings.length = 0;
    add_embeddings(&embeddings, p->texts, p->no_usage);
    return &embeddings;
}

#define EVENT(to, data) append(to, "data: " data "\n\n", sizeof("data: " data "\n\n") - 1)

void add_role(buffer *to) {
    EVENT(to, CHUNK_START
        "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}");
}

void add_finish(buffer *to) {
    EVENT(to, CHUNK_START "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
}

void add_usage(buffer *to) { append(to, usage.bytes, usage.length); }

void add_done(buffer *to) { EVENT(to, "[DONE]"); }

void add_broken(buffer *to, bool streaming) {
    static const char whole[] = "{\"id\":\"chatcmpl-1\",\"choices\":[{\"in";
    if (streaming) EVENT(to, "{\"choices\":[{\"delta\":{\"content\":");
    else append(to, whole, sizeof whole - 1);
}

void add_error_event(buffer *to) {
    EVENT(to,
        "{\"error\":{\"message\":\"The server had an error while streaming.\",\"type\":\"server_error\","
        "\"param\":null,\"code\":null}}");
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
    append_format(to, "data: %s%s\n\n", CHUNK_START, chunks[index]);
}

void add_content(buffer *to, int index, const plan *p) {
    if (p->tools) return add_tool_chunk(to, index);
    static const char start[] = "data: " CHUNK_START "{\"index\":0,\"delta\":{\"content\":\"";
    static const char end[] = "\"},\"finish_reason\":null}]}";
    char text[16];
    size_t text_length = (size_t)snprintf(text, sizeof text, " w%04d", index);
    if (p->crlf) append(to, ": keep-alive\r\n", 14);
    append(to, start, sizeof start - 1);
    append(to, text, text_length);
    static char x[4096];
    if (x[0] == 0) memset(x, 'x', sizeof x);
    size_t padding = p->chunk_bytes > (int)text_length ? (size_t)p->chunk_bytes - text_length : 0;
    for (size_t part; padding; padding -= part) {
        part = padding < sizeof x ? padding : sizeof x;
        append(to, x, part);
    }
    append(to, end, sizeof end - 1);
    append(to, p->crlf ? "\r\n\r\n" : "\n\n", p->crlf ? 4 : 2);
}

void add_error(buffer *to, const plan *p, const char *key) {
    const char *code = p->code ? p->code
        : p->status == 401 ? "invalid_api_key"
        : p->status == 404 ? "model_not_found"
        : p->status == 429 ? "rate_limit_exceeded" : "none";
    const char *type = p->status >= 500 ? "server_error"
        : p->status == 429 ? (p->code ? "insufficient_quota" : "requests") : "invalid_request_error";
    append_format(to,
        "{\"error\":{\"message\":\"The stand-in provider was asked to fail with %d%s%s.\",\"type\":\"%s\","
        "\"param\":null,\"code\":\"%s\"}}",
        p->status, p->echo_key ? "; key was: " : "", p->echo_key ? key : "", type, code);
}
