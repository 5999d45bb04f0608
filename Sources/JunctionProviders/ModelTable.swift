// What the providers' models cost and how much they read, as data. US dollars a million tokens, as of
// 2026-11-25: the standard tier's list prices as LiteLLM's table of version 1.110.2 has them, from which
// these lines were taken over; Tests/EndToEnd/test_prices.py compares the two row by row where LiteLLM is
// installed. The providers themselves publish their prices at:
//
//     openai.com/api/pricing                        docs.claude.com/en/docs/about-claude/pricing
//     azure.microsoft.com/pricing (Azure OpenAI)    ai.google.dev/gemini-api/docs/pricing
//     cohere.com/pricing                            mistral.ai/pricing
//     groq.com/pricing                              api-docs.deepseek.com/quick_start/pricing
//     docs.x.ai/docs/models                         docs.perplexity.ai/getting-started/pricing
//     together.ai/pricing                           fireworks.ai/pricing
//     docs.hyperbolic.xyz                           aws.amazon.com/bedrock/pricing
//
// Of these, stored copies of Anthropic's (Fable, Mythos, Opus 4.5 to 5, Sonnet 4.5 and 4.6, Haiku 4.5) and of
// DeepSeek's (whose prices here are those of peak hours, twice the other hours') were compared, and agreed;
// the others were not. A configuration ranks above the table: providers change prices, and accounts have
// their own.

enum ModelTable {
    /// A line a model, under a line that says what the models make and whose they are:
    ///
    ///     chat: name, prompt, prompt from cache, prompt into cache, answer, context window, longest answer;
    ///           then from how many tokens on a prompt is long: what it and its answer cost times as much
    ///     embedding: name, prompt, context window
    static let text = """
        chat openai
        gpt-6-astra 10 1 12.5 50 922000 128000 272000*2*1.5
        gpt-6-sol 2 0.2 2.5 10 922000 128000 272000*2*1.5
        gpt-6-luna 0.1 0.01 0.125 0.5 922000 128000 272000*2*1.5
        gpt-6.1-sol 2 0.1 2.5 10 922000 128000 272000*2*1.5
        gpt-6.1-terra 1 0.05 1.25 5 922000 128000 272000*2*1.5
        gpt-5.6 4 0.4 5 20 922000 128000 272000*2*1.5
        gpt-5.6-sol 4 0.4 5 20 922000 128000 272000*2*1.5
        gpt-5.6-terra 2 0.2 2.5 12 922000 128000 272000*2*1.5
        gpt-5.6-luna 0.2 0.02 0.25 1.2 922000 128000 272000*2*1.5
        gpt-5.5 5 0.5 - 30 1050000 128000 272000*2*1.5
        gpt-5.4 2.5 0.25 - 15 1050000 128000 272000*2*1.5
        gpt-5.4-mini 0.75 0.075 - 4.5 272000 128000
        gpt-5.4-nano 0.2 0.02 - 1.25 272000 128000
        gpt-5.3-chat-latest 1.75 0.175 - 14 128000 16384
        gpt-5.2 1.75 0.175 - 14 272000 128000
        gpt-5.2-chat-latest 1.75 0.175 - 14 128000 16384
        gpt-5.1 1.25 0.125 - 10 272000 128000
        gpt-5.1-chat-latest 1.25 0.125 - 10 128000 16384
        gpt-5 1.25 0.125 - 10 272000 128000
        gpt-5-chat-latest 1.25 0.125 - 10 128000 16384
        gpt-5-mini 0.25 0.025 - 2 272000 128000
        gpt-5-nano 0.05 0.005 - 0.4 272000 128000
        gpt-5-search-api 1.25 0.125 - 10 272000 128000
        chat-latest 5 0.5 - 30 400000 128000
        gpt-4.1 2 0.5 - 8 1047576 32768
        gpt-4.1-mini 0.4 0.1 - 1.6 1047576 32768
        gpt-4.1-nano 0.1 0.025 - 0.4 1047576 32768
        gpt-4o 2.5 1.25 - 10 128000 16384
        gpt-4o-2024-05-13 5 - - 15 128000 4096
        gpt-4o-mini 0.15 0.075 - 0.6 128000 16384
        gpt-4o-search-preview 2.5 1.25 - 10 128000 16384
        gpt-4o-mini-search-preview 0.15 0.075 - 0.6 128000 16384
        gpt-audio 2.5 - - 10 128000 16384
        gpt-audio-mini 0.6 - - 2.4 128000 16384
        gpt-4-turbo 10 - - 30 128000 4096
        gpt-4-1106-preview 10 - - 30 128000 4096
        gpt-4 30 - - 60 8192 4096
        gpt-3.5-turbo 0.5 - - 1.5 16385 4096
        gpt-3.5-turbo-1106 1 - - 2 16385 4096
        gpt-3.5-turbo-16k 3 - - 4 16385 4096
        o4-mini 1.1 0.275 - 4.4 200000 100000
        o3 2 0.5 - 8 200000 100000
        o3-mini 1.1 0.55 - 4.4 200000 100000
        o1 15 7.5 - 60 200000 100000
        embedding openai
        text-embedding-3-large 0.13 8191
        text-embedding-3-small 0.02 8191
        text-embedding-ada-002 0.1 8191
        chat azure
        gpt-35-turbo 0.5 - - 1.5 4097 4096
        gpt-4-turbo 11 - - 33 128000 4096
        gpt-4-0125-preview 10 - - 30 128000 4096
        gpt-5.1-chat 1.25 0.125 - 10 111616 16384
        gpt-5.2-chat 1.75 0.175 - 14 111616 16384
        gpt-5.3-chat 1.75 0.175 - 14 111616 16384
        o1-mini 1.1 0.55 - 4.4 128000 65536
        embedding azure
        text-embedding-3-large 0.143 8192
        text-embedding-3-small 0.022 8192
        text-embedding-ada-002 0.11 8192
        chat anthropic
        claude-fable-5 10 1 12.5 50 1000000 128000
        claude-fable-5-1 10 0.25 12.5 50 1000000 128000
        claude-mythos-5 10 1 12.5 50 1000000 128000
        claude-mythos-5-1 10 0.25 12.5 50 1000000 128000
        claude-opus-5-5 4 0.2 5 20 1000000 128000
        claude-opus-5 5 0.5 6.25 25 1000000 128000
        claude-opus-4-8 5 0.5 6.25 25 1000000 128000
        claude-opus-4-7 5 0.5 6.25 25 1000000 128000
        claude-opus-4-6 5 0.5 6.25 25 1000000 128000
        claude-opus-4-5 5 0.5 6.25 25 200000 64000
        claude-sonnet-5-5 2 0.1 2.5 10 1000000 128000
        claude-sonnet-5 2 0.2 2.5 10 1000000 128000
        claude-sonnet-4-6 3 0.3 3.75 15 1000000 128000
        claude-sonnet-4-5 3 0.3 3.75 15 200000 64000
        claude-haiku-5-5 0.1 0.01 0.125 0.5 1000000 128000 100000*5*5
        claude-haiku-4-5 1 0.1 1.25 5 200000 64000
        chat gemini
        gemini-4-argon 2 0.1 - 10 1048576 1048576
        gemini-4-hydrogen 1.5 0.075 - 7.5 1048576 1048576
        gemini-3.8-flash 0.75 0.075 - 3.75 1048576 65536
        gemini-3.7-flash 0.75 0.075 - 3.75 1048576 65536
        gemini-3.6-flash 0.75 0.075 - 3.75 1048576 65536
        gemini-3.5-flash 1.5 0.15 - 9 1048576 65536
        gemini-3.5-flash-lite 0.3 0.03 - 2.5 1048576 65536
        gemini-3.1-pro-preview 2 0.2 - 12 1048576 65536 200000*2*1.5
        gemini-3.1-flash-lite 0.25 0.025 - 1.5 1048576 65536
        gemini-3-flash-preview 0.5 0.05 - 3 1048576 65536
        gemini-2.5-pro 1.25 0.125 - 10 1048576 65536 200000*2*1.5
        gemini-2.5-flash 0.3 0.03 - 2.5 1048576 65536
        gemini-2.5-flash-lite 0.1 0.01 - 0.4 1048576 65536
        gemini-pro-latest 2 0.2 - 12 1048576 65536 200000*2*1.5
        gemini-flash-latest 0.75 0.075 - 3.75 1048576 65536
        gemini-flash-lite-latest 0.3 0.03 - 2.5 1048576 65536
        embedding gemini
        gemini-embedding-001 0.15 2048
        gemini-embedding-2 0.2 8192
        chat cohere
        command-a-03-2025 2.5 - - 10 256000 8000
        command-r-plus-08-2024 2.5 - - 10 128000 4096
        command-r-08-2024 0.15 - - 0.6 128000 4096
        command-r7b-12-2024 0.0375 - - 0.15 128000 4096
        c4ai-aya-expanse-32b 0.5 - - 1.5 128000 4000
        embedding cohere
        embed-v5.0-pro 0.12 128000
        embed-v5.0-fast 0.08 128000
        embed-v4.0 0.12 128000
        embed-english-v3.0 0.1 512
        embed-english-light-v3.0 0.1 512
        embed-multilingual-v3.0 0.1 512
        chat mistral
        mistral-large-4 0.7 0.07 - 2.1 1048576 1048576
        mistral-large-latest 0.5 0.05 - 1.5 262144 262144
        mistral-large-3 0.5 0.05 - 1.5 262144 262144
        mistral-large-2512 0.5 0.05 - 1.5 262144 262144
        mistral-medium-3-5 1.5 0.15 - 7.5 262144 262144
        mistral-medium-3 1.5 0.15 - 7.5 262144 262144
        mistral-medium-2604 1.5 0.15 - 7.5 262144 262144
        mistral-medium 1.5 0.15 - 7.5 262144 262144
        mistral-small 0.1 0.01 - 0.3 32000 8191
        mistral-small-2603 0.15 0.015 - 0.6 262144 262144
        mistral-small-latest 0.15 0.015 - 0.6 262144 262144
        magistral-medium-latest 1.5 0.15 - 7.5 262144 262144
        magistral-small-latest 0.15 0.015 - 0.6 262144 262144
        ministral-14b-latest 0.2 0.02 - 0.2 262144 262144
        ministral-8b-latest 0.15 0.015 - 0.15 262144 262144
        ministral-3b-latest 0.1 0.01 - 0.1 131072 131072
        codestral-latest 0.3 0.03 - 0.9 128000 128000
        codestral-2508 0.3 0.03 - 0.9 128000 128000
        devstral-latest 0.4 0.04 - 2 256000 256000
        devstral-medium-latest 0.4 0.04 - 2 256000 256000
        devstral-small-latest 0.1 0.01 - 0.3 256000 256000
        pixtral-large-latest 2 0.2 - 6 128000 128000
        open-mistral-nemo 0.3 0.03 - 0.3 128000 128000
        voxtral-small-latest 0.1 0.01 - 0.4 32768 32768
        embedding mistral
        mistral-embed 0.1 8192
        codestral-embed 0.15 8192
        chat groq
        openai/gpt-oss-120b 0.15 0.075 - 0.6 131072 65536
        openai/gpt-oss-20b 0.075 0.0375 - 0.3 131072 65536
        openai/gpt-oss-safeguard-20b 0.075 0.037 - 0.3 131072 65536
        qwen/qwen3.8-27b 0.8 - - 4 131072 16384
        chat deepseek
        deepseek-flash 0.3 0.006 - 1.2 1000000 393216
        deepseek-v4-flash 0.3 0.006 - 1.2 1000000 393216
        deepseek-v4-pro 1.32 0.044 - 3.96 1000000 393216
        deepseek-chat 0.28 0.028 - 0.42 131072 8192
        deepseek-reasoner 0.28 0.028 - 0.42 131072 65536
        chat xai
        grok-4.7 2 0.5 - 6 500000 500000 200000*2*2
        grok-4.6 2 0.5 - 6 500000 500000 200000*2*2
        grok-4.5 2 0.3 - 6 500000 500000 200000*2*2
        grok-4.3 1.25 0.2 - 2.5 1000000 1000000 200000*2*2
        grok-4.20 1.25 0.2 - 2.5 1000000 1000000 200000*2*2
        grok-build-latest 2 0.3 - 6 500000 500000 200000*2*2
        grok-code-fast-1 1 0.2 - 2 256000 256000 200000*2*2
        chat perplexity
        sonar 1 - - 1 128000 128000
        sonar-pro 3 - - 15 200000 8000
        sonar-reasoning 1 - - 5 128000 128000
        sonar-reasoning-pro 2 - - 8 128000 128000
        sonar-deep-research 2 - - 8 128000 128000
        chat together_ai
        openai/gpt-oss-120b 0.15 - - 0.6 131072 131072
        openai/gpt-oss-20b 0.05 - - 0.2 131072 131072
        meta-llama/Llama-3.3-70B-Instruct-Turbo 1.04 - - 1.04 131072 131072
        meta-models/Muse-Spark-Open-816B-A42B 1.25 0.15 - 4.25 1048576 1048576
        meta-models/Muse-Glimmer-30B 0.35 0.04 - 1.5 131072 131072
        deepseek-ai/DeepSeek-V4.1-Flash 0.3 0.006 - 1.2 1048576 1048576
        deepseek-ai/DeepSeek-V4-Pro-0813 1.32 0.13 - 3.96 1048576 1048576
        deepseek-ai/DeepSeek-R1-0528 3 - - 7 163840 -
        moonshotai/Kimi-K3.1-Pro 2 0.2 - 10 1048576 1048576
        moonshotai/Kimi-K3 3 0.3 - 15 1048576 1048576
        moonshotai/Kimi-K2.7-Code 0.95 0.19 - 4 262144 262144
        moonshotai/Kimi-K2.6 1.2 0.2 - 4.5 262144 262144
        MiniMaxAI/MiniMax-M3.1-Flash 0.15 0.015 - 0.6 1048576 1048576
        MiniMaxAI/MiniMax-M3 0.3 0.06 - 1.2 524288 524288
        zai-org/GLM-5.3 1.4 0.26 - 4.4 1048575 128000
        zai-org/GLM-5.3-Flash 0.15 0.03 - 0.5 1048575 128000
        zai-org/GLM-5.2 1.4 0.26 - 4.4 1048575 128000
        Qwen/Qwen3.8-Flash 0.15 - - 0.47 1000000 1000000
        Qwen/Qwen3.7-Max 2.5 0.5 - 7.5 1000000 1000000
        Qwen/Qwen3.7-Plus 0.32 - - 1.28 1000000 1000000
        Qwen/Qwen3.5-9B 0.17 - - 0.25 262144 262144
        thinkingmachines/Inkling 1 0.17 - 4.05 524288 524288
        mistralai/Ministral-3-14B-Instruct-2512 0.2 - - 0.2 262144 -
        embedding together_ai
        BAAI/bge-base-en-v1.5 0.008 512
        chat fireworks_ai
        accounts/fireworks/models/gpt-oss-120b 0.15 0.015 - 0.6 131072 32768
        accounts/fireworks/models/gpt-oss-20b 0.07 0.035 - 0.3 131072 32768
        accounts/fireworks/models/deepseek-v4p1-flash 0.3 0.006 - 1.2 1048576 393216
        accounts/fireworks/models/kimi-k3p1-pro 2 0.2 - 10 1048576 131072
        accounts/fireworks/models/kimi-k3 3 0.3 - 15 1048576 131072
        accounts/fireworks/models/kimi-k2p7-code 0.95 0.19 - 4 262144 32768
        accounts/fireworks/models/kimi-k2p6 0.95 0.16 - 4 262144 32768
        accounts/fireworks/models/glm-5p3 1.4 0.26 - 4.4 1048576 128000
        accounts/fireworks/models/glm-5p3-flash 0.15 0.03 - 0.5 1048576 1048576
        accounts/fireworks/models/glm-5p2 1.4 0.14 - 4.4 1048576 131072
        accounts/fireworks/models/minimax-m3p1-flash 0.15 0.015 - 0.6 1048576 1048576
        accounts/fireworks/models/minimax-m3 0.3 0.06 - 1.2 512000 512000
        accounts/fireworks/models/qwen3p8-max 2 0.25 - 6 262144 -
        accounts/fireworks/models/qwen3p7-plus 0.4 0.08 - 1.6 262144 65536
        accounts/fireworks/models/muse-spark-open 1.25 0.15 - 4.25 1048576 -
        embedding fireworks_ai
        nomic-ai/nomic-embed-text-v1.5 0.008 8192
        thenlper/gte-large 0.016 512
        accounts/fireworks/models/qwen3-embedding-8b 0.1 40960
        chat hyperbolic
        Qwen/QwQ-32B 0.2 - - 0.2 131072 131072
        Qwen/Qwen2.5-72B-Instruct 0.12 - - 0.3 131072 131072
        Qwen/Qwen3-235B-A22B 2 - - 2 131072 131072
        deepseek-ai/DeepSeek-R1-0528 0.25 - - 0.25 131072 131072
        deepseek-ai/DeepSeek-V3-0324 0.4 - - 0.4 32768 32768
        meta-llama/Llama-3.3-70B-Instruct 0.12 - - 0.3 131072 131072
        meta-llama/Meta-Llama-3.1-405B-Instruct 0.12 - - 0.3 32768 32768
        meta-llama/Meta-Llama-3.1-70B-Instruct 0.12 - - 0.3 32768 32768
        meta-llama/Meta-Llama-3.1-8B-Instruct 0.12 - - 0.3 32768 32768
        moonshotai/Kimi-K2-Instruct 2 - - 2 131072 131072
        chat bedrock
        anthropic.claude-fable-5-1 10 0.25 12.5 50 1000000 128000
        anthropic.claude-fable-5 10 1 12.5 50 1000000 128000
        anthropic.claude-opus-5-5 4 0.2 5 20 1000000 128000
        anthropic.claude-opus-5 5 0.5 6.25 25 1000000 128000
        anthropic.claude-opus-4-8 5 0.5 6.25 25 1000000 128000
        anthropic.claude-opus-4-7 5 0.5 6.25 25 1000000 128000
        anthropic.claude-opus-4-6-v1 5 0.5 6.25 25 1000000 128000
        anthropic.claude-opus-4-5-20251101-v1:0 5 0.5 6.25 25 200000 64000
        anthropic.claude-sonnet-5-5 2 0.1 2.5 10 1000000 128000
        anthropic.claude-sonnet-5 2 0.2 2.5 10 1000000 128000
        anthropic.claude-sonnet-4-6 3 0.3 3.75 15 1000000 64000
        anthropic.claude-sonnet-4-5-20250929-v1:0 3 0.3 3.75 15 200000 64000 200000*2*1.5
        anthropic.claude-haiku-5-5 0.1 0.01 0.125 0.5 1000000 128000 100000*5*5
        anthropic.claude-haiku-4-5-20251001-v1:0 1 0.1 1.25 5 200000 64000
        anthropic.claude-sonnet-4-20250514-v1:0 3 0.3 3.75 15 200000 64000 200000*2*1.5
        anthropic.claude-opus-4-1-20250805-v1:0 15 1.5 18.75 75 200000 32000
        anthropic.claude-3-7-sonnet-20250219-v1:0 3 0.3 3.75 15 200000 8192
        anthropic.claude-3-5-haiku-20241022-v1:0 0.8 0.08 1 4 200000 8192
        amazon.nova-2-lite-v1:0 0.3 0.075 - 2.5 1000000 64000
        amazon.nova-premier-v1:0 2.5 0.625 - 12.5 1000000 10000
        amazon.nova-pro-v1:0 0.8 0.2 - 3.2 300000 10000
        amazon.nova-lite-v1:0 0.06 0.015 - 0.24 300000 10000
        amazon.nova-micro-v1:0 0.035 0.00875 - 0.14 128000 10000
        meta.llama4-maverick-17b-instruct-v1:0 0.24 - - 0.97 1000000 8192
        meta.llama4-scout-17b-instruct-v1:0 0.17 - - 0.66 10000000 8192
        meta.llama3-3-70b-instruct-v1:0 0.72 - - 0.72 128000 4096
        meta.llama3-1-70b-instruct-v1:0 0.72 - - 0.72 128000 4096
        meta.llama3-1-8b-instruct-v1:0 0.22 - - 0.22 128000 4096
        mistral.mistral-large-3-675b-instruct 0.5 - - 1.5 256000 32000
        mistral.pixtral-large-2502-v1:0 2 - - 6 128000 16384
        openai.gpt-6-sol 2 0.2 2.5 10 922000 128000 272000*2*1.5
        openai.gpt-6-luna 0.1 0.01 0.125 0.5 922000 128000 272000*2*1.5
        openai.gpt-oss-120b-1:0 0.15 - - 0.6 128000 16384
        openai.gpt-oss-20b-1:0 0.07 - - 0.3 128000 16384
        deepseek.v3.2 0.62 - - 1.85 156000 8000
        deepseek.r1-v1:0 1.35 - - 5.4 128000 8192
        moonshotai.kimi-k3 3.3 0.33 4.125 16.5 1000000 131072
        qwen.qwen3-235b-a22b-2507-v1:0 0.22 - - 0.88 262144 8192
        qwen.qwen3-coder-480b-a35b-v1:0 0.45 - - 1.8 262144 16384
        zai.glm-5 1 - - 3.2 200000 128000
        us.anthropic.claude-opus-5-5 4.4 0.22 5.5 22 1000000 128000
        us.anthropic.claude-opus-5 5.5 0.55 6.875 27.5 1000000 128000
        us.anthropic.claude-opus-4-8 5.5 0.55 6.875 27.5 1000000 128000
        us.anthropic.claude-opus-4-5-20251101-v1:0 5.5 0.55 6.875 27.5 200000 64000
        us.anthropic.claude-sonnet-5-5 2.2 0.11 2.75 11 1000000 128000
        us.anthropic.claude-sonnet-5 2.2 0.22 2.75 11 1000000 128000
        us.anthropic.claude-sonnet-4-6 3.3 0.33 4.125 16.5 1000000 64000
        us.anthropic.claude-sonnet-4-5-20250929-v1:0 3.3 0.33 4.125 16.5 200000 64000 200000*2*1.5
        us.anthropic.claude-haiku-5-5 0.11 0.011 0.1375 0.55 1000000 128000 100000*5*5
        us.anthropic.claude-haiku-4-5-20251001-v1:0 1.1 0.11 1.375 5.5 200000 64000
        eu.anthropic.claude-opus-5-5 4.4 0.22 5.5 22 1000000 128000
        eu.anthropic.claude-opus-5 5.5 0.55 6.875 27.5 1000000 128000
        eu.anthropic.claude-sonnet-5-5 2.2 0.11 2.75 11 1000000 128000
        eu.anthropic.claude-sonnet-5 2.2 0.22 2.75 11 1000000 128000
        eu.anthropic.claude-sonnet-4-6 3.3 0.33 4.125 16.5 1000000 64000
        eu.anthropic.claude-sonnet-4-5-20250929-v1:0 3.3 0.33 4.125 16.5 200000 64000 200000*2*1.5
        eu.anthropic.claude-haiku-5-5 0.11 0.011 0.1375 0.55 1000000 128000 100000*5*5
        eu.anthropic.claude-haiku-4-5-20251001-v1:0 1.1 0.11 1.375 5.5 200000 64000
        us.amazon.nova-2-lite-v1:0 0.33 0.0825 - 2.75 1000000 64000
        us.amazon.nova-pro-v1:0 0.8 0.2 - 3.2 300000 10000
        us.amazon.nova-lite-v1:0 0.06 0.015 - 0.24 300000 10000
        us.amazon.nova-micro-v1:0 0.035 0.00875 - 0.14 128000 10000
        us.meta.llama4-maverick-17b-instruct-v1:0 0.24 - - 0.97 1000000 8192
        us.meta.llama3-3-70b-instruct-v1:0 0.72 - - 0.72 128000 4096
        us.deepseek.r1-v1:0 1.35 - - 5.4 128000 8192
        embedding bedrock
        amazon.titan-embed-text-v2:0 0.02 8192
        amazon.titan-embed-text-v1 0.1 8192
        amazon.nova-2-multimodal-embeddings-v1:0 0.135 8172
        cohere.embed-v4:0 0.12 128000
        cohere.embed-english-v3 0.1 512
        cohere.embed-multilingual-v3 0.1 512
        """
}
