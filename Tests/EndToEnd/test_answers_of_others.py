"""Both directions at once, through the built router: providers' answers, whole and streamed, built with the
models of their own Python packages, with text, reasoning, two parallel calls of tools and all counts; and what
the router asked for them, with images and results of tools, read by the same packages' models."""

import base64
import json
import typing

import pytest
import stubs
from fixed_provider import FixedProvider
from programs import Junction
from stubs import pb
from test_bedrock import frame, path

pydantic = pytest.importorskip("pydantic", reason="tools/setup installs it")

TEXT = "Let me \"see\": né à Paris."
CALLS = [("call_1", "get_weather", {"city": "Paris"}), ("call_2", "now", {})]
PNG = bytes.fromhex("89504e470d0a1a0a")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def as_json(model):
    """What its package would send of a model."""
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def events(*models, end=b""):
    pieces = []
    for model in models:
        value = as_json(model)
        name = f"event: {value['type']}\n" if "type" in value else ""
        pieces.append(f"{name}data: {json.dumps(value)}\n\n".encode())
    return [*pieces, *([end] if end else [])]


class OpenAI:
    model, base, paths = "openai/gpt-4o", "/v1", ["/v1/chat/completions"] * 2
    counts = (30, 12, 8, 5)

    def __init__(self):
        self.chat = pytest.importorskip("openai.types.chat", reason="tools/setup installs it")
        self.usage = {
            "prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }  # fmt: skip
        self.head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06"}

    def whole(self):
        calls = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in CALLS
        ]
        message = {"role": "assistant", "content": TEXT, "tool_calls": calls}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        answer = {**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage}
        return as_json(self.chat.ChatCompletion.model_validate(answer))

    def stream(self):
        def chunk(delta, reason=None):
            return {**self.head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        def call(index, **fragment):
            return chunk({"tool_calls": [{"index": index, **fragment}]})

        chunks = [chunk({"role": "assistant", "content": TEXT[:5]}), chunk({"content": TEXT[5:]})]
        for index, (id, name, arguments) in enumerate(CALLS):
            text = json.dumps(arguments)
            chunks.append(call(index, id=id, type="function", function={"name": name, "arguments": ""}))
            chunks += [call(index, function={"arguments": part}) for part in (text[:4], text[4:]) if part]
        chunks += [chunk({}, "tool_calls"), {**self.head, "choices": [], "usage": self.usage}]
        made = [{**chunk, "object": "chat.completion.chunk"} for chunk in chunks]
        return events(*map(self.chat.ChatCompletionChunk.model_validate, made), end=b"data: [DONE]\n\n")

    def error(self):
        shared = pytest.importorskip("openai.types.shared")
        error = shared.ErrorObject(code="rate_limit_exceeded", message="Slow down.", type="requests")
        return {"error": as_json(error)}

    def read(self, request, is_stream):
        params = self.chat.completion_create_params
        model = params.CompletionCreateParamsStreaming if is_stream else params.CompletionCreateParamsNonStreaming
        assert set(request) <= set(typing.get_type_hints(model))
        pydantic.TypeAdapter(model).validate_python(request)
        assert request["messages"][1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


class Anthropic:
    model, base, paths = "anthropic/claude-sonnet-4-5", "", ["/v1/messages"] * 2
    counts = (30, 12, 8, 0)

    def __init__(self):
        self.types = pytest.importorskip("anthropic.types", reason="tools/setup installs it")
        self.usage = {
            "input_tokens": 20, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 2,
            "output_tokens": 12,
        }  # fmt: skip
        self.message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}

    def whole(self):
        content = [{"type": "text", "text": TEXT}]
        content += [{"type": "tool_use", "id": id, "name": name, "input": input} for id, name, input in CALLS]
        return as_json(
            self.types.Message.model_validate(
                {**self.message, "content": content, "stop_reason": "tool_use", "usage": self.usage}
            )
        )

    def stream(self):
        def block(index, start, *deltas):
            return [
                {"type": "content_block_start", "index": index, "content_block": start},
                *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
                {"type": "content_block_stop", "index": index},
            ]

        def says(text):
            return {"type": "text_delta", "text": text}

        start = {**self.message, "content": [], "usage": {**self.usage, "output_tokens": 1}}
        made = [{"type": "message_start", "message": start}]
        made += block(0, {"type": "text", "text": ""}, says(TEXT[:5]), says(TEXT[5:]))
        for index, (id, name, input) in enumerate(CALLS):
            text = json.dumps(input) if input else ""
            parts = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
            made += block(index + 1, {"type": "tool_use", "id": id, "name": name, "input": {}}, *parts)
        delta = {"stop_reason": "tool_use"}
        made.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 12}})
        made.append({"type": "message_stop"})
        adapter = pydantic.TypeAdapter(self.types.RawMessageStreamEvent)
        return events(*map(adapter.validate_python, made))

    def error(self):
        shared = pytest.importorskip("anthropic.types.shared")
        error = shared.RateLimitError(message="Slow down.", type="rate_limit_error")
        return as_json(shared.ErrorResponse(error=error, type="error"))

    def read(self, request, is_stream):
        params = pytest.importorskip("anthropic.types.message_create_params")
        model = params.MessageCreateParamsStreaming if is_stream else params.MessageCreateParamsNonStreaming
        assert set(request) <= set(typing.get_type_hints(model))
        pydantic.TypeAdapter(model).validate_python(request)
        assert request["messages"][0]["content"][1]["source"]["data"] == base64.b64encode(PNG).decode()


class Cohere:
    model, base, paths = "cohere/command-a-03-2025", "", ["/v2/chat"] * 2
    counts = (30, 12, 0, 0)

    def __init__(self):
        self.types = pytest.importorskip("cohere.types", reason="tools/setup installs it")
        self.v2 = pytest.importorskip("cohere.v2.types")
        self.usage = {
            "billed_units": {"input_tokens": 3, "output_tokens": 2},
            "tokens": {"input_tokens": 30, "output_tokens": 12},
        }

    def calls(self):
        return [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in CALLS
        ]

    def whole(self):
        content = [{"type": "text", "text": TEXT}]
        message = {"role": "assistant", "content": content, "tool_calls": self.calls()}
        answer = {"id": "c1", "finish_reason": "TOOL_CALL", "message": message, "usage": self.usage}
        return as_json(self.v2.V2ChatResponse.model_validate(answer))

    def stream(self):
        def content(type, text):
            return {"type": type, "index": 0, "delta": {"message": {"content": {"type": "text", "text": text}}}}

        made = [{"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}}]
        made += [content("content-start", ""), content("content-delta", TEXT[:5])]
        made += [content("content-delta", TEXT[5:]), {"type": "content-end", "index": 0}]
        for index, call in enumerate(self.calls()):
            text = call["function"]["arguments"]
            begun = {**call, "function": {**call["function"], "arguments": ""}}
            made.append({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": begun}}})
            for part in (text[:4], text[4:]):
                gained = {"message": {"tool_calls": {"function": {"arguments": part}}}}
                made.append({"type": "tool-call-delta", "index": index, "delta": gained})
            made.append({"type": "tool-call-end", "index": index})
        end = {"finish_reason": "TOOL_CALL", "usage": self.usage}
        made.append({"type": "message-end", "id": "c1", "delta": end})
        adapter = pydantic.TypeAdapter(self.v2.V2ChatStreamResponse)
        return events(*map(adapter.validate_python, made))

    def error(self):
        return {"id": "e1", "message": "Slow down."}

    def read(self, request, is_stream):
        for message in request["messages"]:
            pydantic.TypeAdapter(self.types.ChatMessageV2).validate_python(message)
        for tool in request["tools"]:
            self.types.ToolV2.model_validate(tool)
        assert request["messages"][1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


class Gemini:
    model, base = "gemini/gemini-2.5-flash", "/v1beta"
    paths = [
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ]
    counts = (30, 12, 8, 5)

    def __init__(self):
        self.types = pytest.importorskip("google.genai.types", reason="tools/setup installs it")

    def answer(self, parts, reason=None, usage=True):
        types = self.types
        return types.GenerateContentResponse(
            response_id="r1",
            model_version="gemini-2.5-flash",
            candidates=[
                types.Candidate(
                    index=0, content=types.Content(role="model", parts=parts), finish_reason=reason
                )
            ],
            usage_metadata=types.GenerateContentResponseUsageMetadata(
                prompt_token_count=30, candidates_token_count=7, thoughts_token_count=5,
                cached_content_token_count=8, total_token_count=42,
            ) if usage else None,
        )  # fmt: skip

    def calls(self):
        types = self.types
        return [
            types.Part(function_call=types.FunctionCall(id=id, name=name, args=args)) for id, name, args in CALLS
        ]

    def whole(self):
        return as_json(self.answer([self.types.Part(text=TEXT), *self.calls()], "STOP"))

    def stream(self):
        first, second = self.calls()
        part = self.types.Part
        return events(
            self.answer([part(text=TEXT[:5])], usage=False), self.answer([part(text=TEXT[5:]), first]),
            self.answer([second]), self.answer([part(text="")], "STOP"),
        )  # fmt: skip

    def error(self):
        error = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}
        errors = pytest.importorskip("google.genai.errors")
        assert errors.ClientError(429, error).status == "RESOURCE_EXHAUSTED"
        return error

    def read(self, request, is_stream):
        types = self.types
        for content in [*request["contents"], request["systemInstruction"]]:
            types.Content.model_validate(content)
        for tool in request["tools"]:
            types.Tool.model_validate(tool)
        types.GenerationConfig.model_validate(request["generationConfig"])
        content = types.Content.model_validate(request["contents"][0])
        assert content.parts[1].inline_data.data == PNG


class Bedrock:
    """botocore has no models to build with, but tells what is not as its model of the service has it."""

    model, base = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", ""
    paths = [path(model[8:]), path(model[8:], is_stream=True)]
    counts = (30, 12, 8, 0)

    def __init__(self):
        session = pytest.importorskip("botocore.session", reason="tools/setup installs it")
        self.validate = pytest.importorskip("botocore.validate")
        self.service = session.get_session().get_service_model("bedrock-runtime")
        self.usage = {
            "inputTokens": 20, "outputTokens": 12, "totalTokens": 42, "cacheReadInputTokens": 8,
            "cacheWriteInputTokens": 2,
        }  # fmt: skip

    def checked(self, value, shape):
        report = self.validate.ParamValidator().validate(value, shape)
        assert not report.has_errors(), report.generate_report()
        return value

    def whole(self):
        content = [{"text": TEXT}]
        content += [{"toolUse": {"toolUseId": id, "name": name, "input": input}} for id, name, input in CALLS]
        answer = {
            "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use",
            "usage": self.usage, "metrics": {"latencyMs": 1},
        }  # fmt: skip
        return self.checked(answer, self.service.operation_model("Converse").output_shape)

    def stream(self):
        made = [("messageStart", {"role": "assistant"})]
        for text in (TEXT[:5], TEXT[5:]):
            made.append(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}))
        made.append(("contentBlockStop", {"contentBlockIndex": 0}))
        for index, (id, name, input) in enumerate(CALLS, 1):
            place, text = {"contentBlockIndex": index}, json.dumps(input) if input else ""
            made.append(("contentBlockStart", {**place, "start": {"toolUse": {"toolUseId": id, "name": name}}}))
            for part in (text[:4], text[4:]):
                made.append(("contentBlockDelta", {**place, "delta": {"toolUse": {"input": part}}}))
            made.append(("contentBlockStop", place))
        made.append(("messageStop", {"stopReason": "tool_use"}))
        made.append(("metadata", {"usage": self.usage, "metrics": {"latencyMs": 1}}))
        shapes = self.service.operation_model("ConverseStream").output_shape.members["stream"].members
        return [frame("event", name, self.checked(value, shapes[name])) for name, value in made]

    def error(self):
        return self.checked({"message": "Slow down."}, self.service.shape_for("ThrottlingException"))

    def read(self, request, is_stream):
        name = "ConverseStream" if is_stream else "Converse"
        image = request["messages"][0]["content"][1]["image"]["source"]
        image["bytes"] = base64.b64decode(image["bytes"])
        assert image["bytes"] == PNG
        self.checked({"modelId": "m", **request}, self.service.operation_model(name).input_shape)


PROVIDERS = [OpenAI, Anthropic, Cohere, Gemini, Bedrock]


def completion():
    image = pb.ContentPart(image=pb.ImagePart(data=PNG, media_type="image/png"))
    parts = [pb.ContentPart(text="Weather here?"), image]
    asked = pb.ToolCall(id="call_0", function=pb.FunctionCall(name="now", arguments_json="{}"))
    tools = [
        pb.FunctionTool(name="get_weather", description="The weather", parameters_json=json.dumps(SCHEMA)),
        pb.FunctionTool(name="now"),
    ]
    return pb.Completion(
        model="group",
        messages=[
            pb.Message(role=pb.ROLE_SYSTEM, content="Use tools."),
            pb.Message(role=pb.ROLE_USER, parts=parts),
            pb.Message(role=pb.ROLE_ASSISTANT, tool_calls=[asked]),
            pb.Message(role=pb.ROLE_TOOL, tool_call_id="call_0", content="noon"),
        ],
        tools=[pb.Tool(function=tool) for tool in tools],
        tool_choice=pb.ToolChoice(mode=pb.TOOL_CHOICE_MODE_REQUIRED),
        max_tokens=100,
        stop=["END"],
    )


def counted(usage):
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens


@pytest.fixture(params=PROVIDERS, ids=lambda kind: kind.__name__)
def pair(request, start, caller_of):
    kind = request.param()
    provider = start(FixedProvider, {})
    parameters = {"model": kind.model, "api_key": "k", "api_base": provider.base + kind.base}
    group = {"model_name": "group", "litellm_params": parameters}
    return kind, provider, caller_of(start(Junction, [group], {"num_retries": 0, "disable_cooldowns": True}))


def test_a_whole_answer(pair):
    kind, provider, caller = pair
    provider.answers[kind.paths[0]] = (200, kind.whole())
    answer = caller.stub.Complete(pb.CompleteRequest(completion=completion()), timeout=30)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (TEXT, pb.FINISH_REASON_TOOL_CALLS)
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments_json))
        for call in choice.message.tool_calls
    ]
    assert calls == CALLS and counted(answer.usage) == kind.counts
    assert answer.usage.cost_usd > 0
    kind.read(provider.requests[0][2], is_stream=False)


def test_a_stream(pair):
    kind, provider, caller = pair
    provider.answers[kind.paths[1]] = (200, kind.stream())
    pieces = list(caller.stub.Stream(pb.StreamRequest(completion=completion()), timeout=30))
    calls = {}
    for delta in (call for piece in pieces for choice in piece.choices for call in choice.tool_calls):
        id, name, arguments = calls.get(delta.index, ("", "", ""))
        calls[delta.index] = (id + delta.id, name + delta.name, arguments + delta.arguments_json)
    assert stubs.text_of(pieces) == TEXT
    assert [(*calls[index][:2], json.loads(calls[index][2])) for index in sorted(calls)] == CALLS
    reasons = [choice.finish_reason for piece in pieces for choice in piece.choices if choice.finish_reason]
    assert reasons == [pb.FINISH_REASON_TOOL_CALLS]
    assert counted(pieces[-1].usage) == kind.counts and pieces[-1].usage.cost_usd > 0
    kind.read(provider.requests[0][2], is_stream=True)


def test_a_stream_that_is_cut(pair):
    kind, provider, caller = pair
    provider.answers[kind.paths[1]] = (200, kind.stream()[:-2])
    error = caller.error("group", streaming=True)
    assert error.code().name == "UNAVAILABLE" and "before its end marker" in error.details()


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error(pair, is_stream):
    kind, provider, caller = pair
    provider.answers[kind.paths[is_stream]] = (429, kind.error())
    error = caller.error("group", streaming=is_stream)
    assert error.code().name == "RESOURCE_EXHAUSTED" and "Slow down." in error.details()


def test_an_error_within_a_200(pair):
    kind, provider, caller = pair
    for is_stream in (False, True):
        provider.answers[kind.paths[is_stream]] = (200, kind.error())
        error = caller.error("group", streaming=is_stream)
        assert error.code().name in ("RESOURCE_EXHAUSTED", "UNAVAILABLE") and "Slow down." in error.details()
