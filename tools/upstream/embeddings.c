// Embeddings as OpenAI answers them (https://platform.openai.com/docs/api-reference/embeddings): a vector of
// four numbers a text, its place in the request first, so that a test sees loss and order.
#include "upstream.h"
#include <string.h>

int count_texts(const char *body, size_t length) {
    static const char key[] = "\"input\":[";
    const char *at = memmem(body, length, key, sizeof key - 1), *end = body + length;
    if (!at) return 0;
    int texts = 0;
    bool within = false;
    for (at += sizeof key - 1; at < end && (within || *at != ']'); at++) {
        if (within && *at == '\\') at++;
        else if (*at == '"') texts += within = !within;
    }
    return texts;
}

void add_embeddings(buffer *to, int texts, bool no_usage) {
    append_format(to, "{\"object\":\"list\",\"model\":\"text-embedding-3-small\",\"data\":[");
    for (int i = 0; i < texts; i++)
        append_format(to, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":[%d,0.5,-0.25,1e-3]}",
                      i ? "," : "", i, i);
    append_format(to, "]");
    if (!no_usage)
        append_format(to, ",\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}", option.prompt_tokens,
                      option.prompt_tokens);
    append_format(to, "}");
}
