"""What a caller gets, and what the provider gets asked, when all goes well."""

import json

import pytest
import stubs
from programs import Junction, Upstream, deployment
from stubs import pb


def test_a_whole_answer(caller, upstream):
    answer = caller.complete()
    assert answer.choices[0].message.content.startswith("This is the answer of upstream.")
    assert answer.choices[0].message.role == pb.ROLE_ASSISTANT
    assert answer.choices[0].finish_reason == pb.FINISH_REASON_STOP
    assert answer.id == "chatcmpl-9f2c41d07ab84e5f"
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.system_fingerprint == "fp_7d1c2a9b04"
    assert answer.created_unix_seconds == 1764000000
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (52, 24, 76)
    assert (usage.cached_tokens, usage.reasoning_tokens, usage.estimated) == (16, 8, False)
    route = answer.route
    assert (route.deployment_id, route.provider, route.model_group, route.fallback_used) == (
        "main",
        "openai",
        "gpt-4o",
        False,
    )
    assert stubs.outcomes(route) == ["SUCCESS"]
    assert route.attempts[0].http_status == 200 and 0 < route.attempts[0].duration_us < 10_000_000
    assert upstream.stats()["answered_whole"] == 1


def test_a_stream(caller, upstream):
    pieces = caller.stream_all("chunks-64")
    assert stubs.text_of(pieces) == stubs.chunk_text(64)
    assert pieces[0].id == "chatcmpl-9f2c41d07ab84e5f" and pieces[0].model == "gpt-4o-mini-2024-07-18"
    reasons = [choice.finish_reason for piece in pieces for choice in piece.choices if choice.finish_reason]
    assert reasons == [pb.FINISH_REASON_STOP]
    last = pieces[-1]
    assert not last.choices and last.usage.total_tokens == 76 and not last.usage.estimated
    assert last.route.deployment_id == "only-chunks-64" and stubs.outcomes(last.route) == ["SUCCESS"]
    assert last.route.attempts[0].time_to_first_token_us > 0
    assert not any(piece.HasField("usage") or piece.HasField("route") for piece in pieces[:-1])
    assert upstream.stats()["streams_completed"] == 1
    assert upstream.bodies()[-1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("group, chunks", [("crlf+chunks-5", 5), ("drip-7+chunks-4", 4)])
def test_a_stream_however_it_is_written(caller, group, chunks):
    assert stubs.text_of(caller.stream_all(group)) == stubs.chunk_text(chunks)


def test_usage_is_estimated_where_the_provider_tells_none(caller):
    group = "no-usage+chunks-4"
    whole, last = caller.complete(group), caller.stream_all(group)[-1]
    content = whole.choices[0].message.content
    for usage, text in ((whole.usage, content), (last.usage, stubs.chunk_text(4))):
        assert usage.estimated and usage.prompt_tokens > 0
        assert usage.completion_tokens == -(-len(text) // 4)
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_large_pieces_arrive_whole(caller):
    text = stubs.text_of(caller.stream_all("size-2000+chunks-3"))
    assert text == "".join(f" w{n:04}" + "x" * 1994 for n in range(3))


def test_pieces_come_as_they_are_made(caller, upstream):
    stream = caller.stream("chunks-200+interval-20")
    first = next(stream)
    assert stubs.text_of([first]).startswith(" w0000")
    assert upstream.stats()["chunks"] < 100, "the stream was held back"
    stream.cancel()


WEATHER = pb.Tool(
    function=pb.FunctionTool(
        name="get_weather",
        description="The weather of a city.",
        parameters_json='{"type":"object","properties":{"city":{"type":"string"}}}',
    )
)


def test_a_tool_call(caller, upstream):
    answer = caller.complete(
        "tools",
        tools=[WEATHER],
        tool_choice=pb.ToolChoice(mode=pb.TOOL_CHOICE_MODE_FUNCTION, function_name="get_weather"),
    )
    choice = answer.choices[0]
    assert choice.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    assert choice.message.tool_calls[0] == pb.ToolCall(
        id="call_1", function=pb.FunctionCall(name="get_weather", arguments_json='{"city":"Paris"}')
    )
    asked = upstream.bodies()[-1]
    assert asked["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather of a city.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}


def test_a_streamed_tool_call(caller):
    pieces = caller.stream_all("tools", tools=[WEATHER])
    deltas = [delta for piece in pieces for choice in piece.choices for delta in choice.tool_calls]
    assert (deltas[0].id, deltas[0].name, deltas[0].index) == ("call_1", "get_weather", 0)
    assert json.loads("".join(delta.arguments_json for delta in deltas)) == {"city": "Paris"}


def test_a_tool_result_reaches_the_provider(caller, upstream):
    messages = [
        pb.Message(role=pb.ROLE_USER, content="The weather?"),
        pb.Message(
            role=pb.ROLE_ASSISTANT,
            tool_calls=[
                pb.ToolCall(
                    id="call_1",
                    function=pb.FunctionCall(name="get_weather", arguments_json='{"city":"Paris"}'),
                )
            ],
        ),
        pb.Message(role=pb.ROLE_TOOL, tool_call_id="call_1", content='{"celsius":21}'),
    ]
    caller.stub.Complete(
        pb.CompleteRequest(completion=pb.Completion(model="gpt-4o", messages=messages)), timeout=30
    )
    asked = upstream.bodies()[-1]["messages"]
    assert asked[1]["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
        }
    ]
    assert asked[2] == {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius":21}'}


def test_every_parameter_reaches_the_provider(caller, upstream):
    completion = pb.Completion(
        model="gpt-4o",
        temperature=0,
        top_p=0.5,
        max_tokens=77,
        stop=["END", "\n"],
        n=1,
        seed=-3,
        presence_penalty=-2,
        frequency_penalty=1.5,
        logprobs=True,
        top_logprobs=4,
        parallel_tool_calls=False,
        reasoning_effort="low",
        user="someone",
        logit_bias={50256: -100},
        metadata={"team": "search"},
        extra_parameters_json='{"service_tier":"flex","nested":{"a":[1,2]}}',
        response_format=pb.ResponseFormat(
            type=pb.RESPONSE_FORMAT_TYPE_JSON_SCHEMA,
            json_schema=pb.JsonSchema(name="answer", schema_json='{"type":"object"}', strict=True),
        ),
        messages=[
            pb.Message(
                role=pb.ROLE_SYSTEM, content='Quote " backslash \\ newline \n tab \t nul-free \x01 é 😀'
            ),
            pb.Message(
                role=pb.ROLE_USER,
                name="ann",
                parts=[
                    pb.ContentPart(text="What is this?"),
                    pb.ContentPart(image=pb.ImagePart(url="https://example.com/a.png", detail="low")),
                    pb.ContentPart(image=pb.ImagePart(data=b"\x89PNG", media_type="image/png")),
                ],
            ),
        ],
    )
    caller.stub.Complete(pb.CompleteRequest(completion=completion), timeout=30)
    asked = upstream.bodies()[-1]
    # max_tokens has a newer name at the provider; either is right.
    assert asked.pop("max_completion_tokens", None) == 77 or asked.pop("max_tokens") == 77
    asked.pop("stream", None)
    assert asked == {
        "model": "gpt-4o",
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["END", "\n"],
        "n": 1,
        "seed": -3,
        "presence_penalty": -2,
        "frequency_penalty": 1.5,
        "logprobs": True,
        "top_logprobs": 4,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "user": "someone",
        "logit_bias": {"50256": -100},
        "metadata": {"team": "search"},
        "service_tier": "flex",
        "nested": {"a": [1, 2]},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "messages": [
            {"role": "system", "content": 'Quote " backslash \\ newline \n tab \t nul-free \x01 é 😀'},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
        ],
    }


def test_absent_parameters_are_left_out(caller, upstream):
    caller.complete()
    asked = upstream.bodies()[-1]
    asked.pop("stream", None)
    assert asked == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def test_the_request_is_what_providers_expect(caller, upstream):
    caller.complete()
    request = upstream.requests(1)[0]
    assert (request["method"], request["path"]) == ("POST", "/v1/chat/completions")
    assert request["headers"]["authorization"] == "Bearer sk-configured"
    assert request["headers"]["content-type"] == "application/json"
    assert "expect" not in request["headers"]


def test_connections_to_the_provider_are_used_again(caller, upstream):
    for _ in range(20):
        caller.complete()
    assert upstream.stats()["connections"] <= 2  # one, and one that asked for the counters


def test_a_request_of_3_mib(caller, upstream):
    prompt = "All work and no play. é\n" * ((3 << 20) // 25)
    assert len(prompt.encode()) > 3_000_000
    answer = caller.complete(prompt=prompt, timeout=60)
    assert answer.choices[0].message.content
    assert upstream.bodies()[-1]["messages"][0]["content"] == prompt


def test_1000_concurrent_calls(caller, upstream):
    calls = [caller.stub.Complete.future(stubs.complete_request("slow-300"), timeout=60) for _ in range(1000)]
    assert sum(call.result().choices[0].finish_reason == pb.FINISH_REASON_STOP for call in calls) == 1000
    stats = upstream.stats()
    assert stats["answered_whole"] == 1000
    print("open at once at the provider:", stats["open_calls_max"])
    assert stats["open_calls_max"] >= 100


def test_several_threads_serve_side_by_side(start, caller_of):
    upstream = start(Upstream, latency_ms=20)
    router = start(Junction, [upstream.deployment("gpt-4o")], threads=4)
    callers = [caller_of(router) for _ in range(32)]
    # Each connection goes to one of the listeners; all of them have to answer.
    for _ in range(5):
        calls = [caller.stub.Complete.future(stubs.complete_request(), timeout=30) for caller in callers]
        assert all(call.result().route.deployment_id for call in calls)
    assert upstream.stats()["answered_whole"] == 160


def test_a_limit_counts_over_all_threads(start, caller_of):
    upstream = start(Upstream)
    router = start(Junction, [upstream.deployment("gpt-4o", rpm=10)], {"num_retries": 0}, threads=4)
    callers = [caller_of(router) for _ in range(40)]
    calls = [caller.stub.Complete.future(stubs.complete_request(), timeout=30) for caller in callers]
    answered = sum(call.exception() is None for call in calls)
    # Twice ten when the minute turns in between.
    assert answered in (10, 20) and upstream.stats()["calls"] == answered


def test_a_mock_deployment_needs_no_provider(start, caller_of):
    mock = deployment(
        "gpt-4o",
        id="mocked",
        mock_response="Hello from the mock, “quoted”.",
        api_base="http://127.0.0.1:9/v1",
    )
    caller = caller_of(start(Junction, [mock]))
    assert caller.complete().choices[0].message.content == "Hello from the mock, “quoted”."
    pieces = caller.stream_all()
    assert stubs.text_of(pieces) == "Hello from the mock, “quoted”." and len(pieces) > 3
    assert pieces[-1].route.deployment_id == "mocked" and pieces[-1].usage.completion_tokens > 0
