// Decides what happens to a call. A script is words joined by "+", in the header `x-upstream-script` or
// as the model's name: fail-503, status-429-retry-2, slow-200+cut-3, … (all are in README.md beside this
// file). A word that is no script is a model's ordinary name. Without script the fault rates decide.
#include "upstream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

options option = {
    .chunks = 8, .record = 256, .seed = 1, .prompt_tokens = 52, .completion_tokens = 24, .name = "upstream"};
counts count;
static uint64_t random_state;  // 0: not yet made from the seed

bool set_option(const char *name, const char *value) {
    char *end = NULL;
    double number = strtod(value, &end);
    bool numeric = end != value && *end == 0 && number >= 0;
    if (strcmp(name, "name") == 0) {
        if (strlen(value) > 64 || strpbrk(value, "\"\\")) return false;
        option.name = strdup(value);
        return true;
    }
    if (!numeric) return false;
    if (strcmp(name, "port") == 0) option.port = (int)number;
    else if (strcmp(name, "latency-ms") == 0) option.latency_ms = (int)number;
    else if (strcmp(name, "latency-spread-ms") == 0) option.latency_spread_ms = (int)number;
    else if (strcmp(name, "chunks") == 0) option.chunks = (int)number;
    else if (strcmp(name, "chunk-interval-ms") == 0) option.chunk_interval_ms = number;
    else if (strcmp(name, "timer-step-us") == 0) option.timer_step_us = (int)number;
    else if (strcmp(name, "fail-rate") == 0) option.fail_rate = number;
    else if (strcmp(name, "stall-rate") == 0) option.stall_rate = number;
    else if (strcmp(name, "cut-rate") == 0) option.cut_rate = number;
    else if (strcmp(name, "cut-after") == 0) option.cut_after = (int)number;
    else if (strcmp(name, "seed") == 0) option.seed = (uint64_t)number, random_state = 0;
    else if (strcmp(name, "record") == 0) option.record = (int)number;
    else if (strcmp(name, "prompt-tokens") == 0) option.prompt_tokens = (int)number;
    else if (strcmp(name, "completion-tokens") == 0) option.completion_tokens = (int)number;
    else return false;
    return true;
}

/// xorshift64*, so that a seed gives the same faults everywhere.
static double draw(void) {
    if (random_state == 0) random_state = option.seed * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u;
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)((random_state * 0x2545F4914F6CDD1Du) >> 11) / (double)(1ull << 53);
}

model_counts *counts_of(const char *model, size_t length) {
    if (length >= sizeof count.models[0].name) length = sizeof count.models[0].name - 1;
    for (int i = 0; i < count.models_count; i++) {
        model_counts *entry = &count.models[i];
        if (memcmp(entry->name, model, length) == 0 && entry->name[length] == 0) return entry;
    }
    if (count.models_count == models_max) return &count.models[models_max - 1];
    model_counts *entry = &count.models[count.models_count++];
    memset(entry, 0, sizeof *entry);
    memcpy(entry->name, model, length);
    return entry;
}

static bool number_after(const char *word, const char *prefix, int *number) {
    size_t length = strlen(prefix);
    if (strncmp(word, prefix, length) != 0 || word[length] < '0' || word[length] > '9') return false;
    *number = atoi(word + length);
    return true;
}

static void status(plan *p, int code) {
    p->kind = PLAN_STATUS;
    p->status = code >= 100 && code < status_max ? code : 500;
}

/// Reads one word of a script into the plan; false when it is not one.
static bool read_word(plan *p, const char *word, model_counts *model) {
    int n = 0, m = 0;
    if (sscanf(word, "status-%d-retry-%d", &n, &m) == 2) {
        status(p, n);
        p->retry_after_s = m;
    } else if (sscanf(word, "status-%d-ech%1[o]", &n, (char[2]){0}) == 2) {
        status(p, n);
        p->echo_key = true;
    } else if (number_after(word, "fail-", &n) || number_after(word, "status-", &n)) {
        status(p, n);
    } else if (number_after(word, "flaky-", &n)) {
        if (model->calls <= (uint64_t)n) status(p, 500);
    } else if (strcmp(word, "quota") == 0) {
        status(p, 429);
        p->code = "insufficient_quota";
    } else if (strcmp(word, "context") == 0) {
        status(p, 400);
        p->code = "context_length_exceeded";
    } else if (strcmp(word, "content-policy") == 0) {
        status(p, 400);
        p->code = "content_policy_violation";
    } else if (strcmp(word, "stall") == 0) {
        p->kind = PLAN_STALL;
    } else if (strcmp(word, "close") == 0) {
        p->kind = PLAN_CLOSE;
    } else if (strcmp(word, "reset") == 0) {
        p->kind = PLAN_RESET;
    } else if (strcmp(word, "malformed") == 0) {
        p->kind = PLAN_MALFORMED;
    } else if (strcmp(word, "empty") == 0) {
        p->kind = PLAN_EMPTY;
    } else if (number_after(word, "slow-", &n)) {
        p->latency_us = (int64_t)n * 1000;
    } else if (number_after(word, "cut-", &n)) {
        p->cut_after = n;
    } else if (strcmp(word, "role-only-then-cut") == 0) {
        p->cut_after = 0;
        p->cut_role = true;
    } else if (number_after(word, "error-in-stream-", &n)) {
        p->error_after = n;
    } else if (strcmp(word, "error-in-stream") == 0) {
        p->error_after = 0;
    } else if (number_after(word, "chunks-", &n)) {
        p->chunks = n;
    } else if (number_after(word, "interval-", &n)) {
        p->interval_us = (int64_t)n * 1000;
    } else if (number_after(word, "size-", &n)) {
        p->chunk_bytes = n;
    } else if (number_after(word, "drip-", &n)) {
        p->drip_bytes = n;
    } else if (strcmp(word, "no-done") == 0) {
        p->no_done = true;
    } else if (strcmp(word, "no-usage") == 0) {
        p->no_usage = true;
    } else if (strcmp(word, "crlf") == 0) {
        p->crlf = true;
    } else if (strcmp(word, "tools") == 0) {
        p->tools = true;
    } else {
        return false;
    }
    return true;
}

static bool read_script(plan *p, const char *script, size_t length, model_counts *model) {
    char text[160];
    if (length == 0 || length >= sizeof text) return false;
    memcpy(text, script, length);
    text[length] = 0;
    bool any = false;
    for (char *rest = NULL, *word = strtok_r(text, "+", &rest); word; word = strtok_r(NULL, "+", &rest))
        any |= read_word(p, word, model);
    return any;
}

static plan plan_call(
    const char *script, size_t script_length, const char *model, size_t model_length, bool streaming) {
    plan p = {
        .kind = PLAN_ANSWER, .retry_after_s = -1, .latency_us = (int64_t)option.latency_ms * 1000,
        .interval_us = (int64_t)(option.chunk_interval_ms * 1000), .chunks = option.chunks, .cut_after = -1,
        .error_after = -1, .streaming = streaming,
    };
    if (option.latency_spread_ms) p.latency_us += (int64_t)(draw() * option.latency_spread_ms * 1000);
    model_counts *entry = counts_of(model, model_length);
    entry->calls += 1;
    if (read_script(&p, script, script_length, entry)) return p;
    if (read_script(&p, model, model_length, entry)) return p;
    if (option.fail_rate + option.stall_rate + option.cut_rate == 0) return p;
    static const int kinds[] = {500, 503, 429};
    double drawn = draw();
    if (drawn < option.fail_rate) {
        status(&p, kinds[(int)(draw() * 3)]);
    } else if (drawn < option.fail_rate + option.stall_rate) {
        p.kind = PLAN_STALL;
    } else if (drawn < option.fail_rate + option.stall_rate + option.cut_rate && streaming) {
        p.cut_after = option.cut_after;
        p.cut_role = draw() < 0.5;
    }
    return p;
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

plan plan_request(
    const char *script, size_t script_length, const char *body, size_t length, model_counts **entry) {
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
    *entry = counts_of(model, model_length);
    plan p = plan_call(script, script_length, model, model_length, streaming);
    const char *usage = streaming ? find_value(body, length, "\"include_usage\"", &value_length) : NULL;
    p.include_usage = usage && value_length >= 4 && memcmp(usage, "true", 4) == 0;
    p.texts = count_texts(body, length);
    return p;
}

void count_end(const plan *p, model_counts *model, bool succeeded) {
    open_calls--;
    if (succeeded) {
        model->succeeded++;
        if (p->streaming) count.streams_completed++;
        else count.answered_whole++;
    } else {
        model->failed++;
    }
}
