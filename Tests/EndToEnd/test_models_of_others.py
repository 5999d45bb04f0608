"""The golden files against the models of the providers' own Python packages: what Junction asks has only
members that they know, of the types that they know; what goldens let providers answer, they could have."""

import base64
import inspect
import json
import re
import typing

import programs
import pytest

pydantic = pytest.importorskip("pydantic", reason="tools/setup installs it")
chat = pytest.importorskip("openai.types.chat", reason="tools/setup installs it")
anthropic = pytest.importorskip("anthropic.types", reason="tools/setup installs it")
asked = pytest.importorskip("anthropic.types.message_create_params")

FOLDER = programs.ROOT / "Tests/JunctionProvidersTests/Goldens"
# Newer versions of the package leave these to older ones; older models take them.
KNOWN_ELSEWHERE = {"temperature", "top_p", "top_k"}
# They show what is not as documented: members by `extra_parameters_json` that no provider has; a choice
# without a message; a chunk of the content filter; a finish reason to come; a chunk that is cut; a whole answer
# in a stream's stead.
ODD = {
    *("anthropic-schema", "azure-filtered", "azure-stream"),
    *("openai-schema", "openai-zeros", "openai-stream-cut"),
    *("anthropic-stream-unasked", "bedrock-stream-unasked"),
}


def goldens(prefix):
    names = sorted(path.name for path in FOLDER.glob(f"{prefix}-*") if path.name not in ODD)
    assert names
    return names


def parts(name):
    text = (FOLDER / name).read_text()
    request, answer = (text.split(f"\n---- their {what}\n")[1] for what in ("request", "answer"))
    head, body = answer.split("\n---- ")[0].split("\n\n", 1)
    return json.loads(request.split("\n---- ")[0]), int(head.split("\n")[0]), body, "\nstream: yes\n" in text


def head_of(name):
    answer = (FOLDER / name).read_text().split("\n---- their answer\n")[1]
    fields = (line.split(": ", 1) for line in answer.split("\n\n", 1)[0].split("\n")[1:])
    return dict(fields)


def model_of(name):
    return re.search(r"^deployment: \w+/(?:converse/)?(.*)$", (FOLDER / name).read_text(), re.MULTILINE)[1]


def objects(body):
    lines = (line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("name", goldens("anthropic"))
def test_anthropic(name):
    request, status, body, is_stream = parts(name)
    model = asked.MessageCreateParamsStreaming if is_stream else asked.MessageCreateParamsNonStreaming
    assert set(request) <= set(typing.get_type_hints(model)) | KNOWN_ELSEWHERE
    pydantic.TypeAdapter(model).validate_python(request)
    if status != 200:
        answer = json.loads(body)
        assert answer["type"] == "error" and set(answer["error"]) == {"type", "message"}
    elif is_stream:
        events = pydantic.TypeAdapter(anthropic.RawMessageStreamEvent)
        for event in objects(body):
            if event["type"] not in ("ping", "error", "later_event"):
                events.validate_python(event)
    else:
        anthropic.Message.model_validate_json(body)


@pytest.mark.parametrize("name", [*goldens("azure"), *goldens("openai")])
def test_openai_and_azure(name):
    request, status, body, is_stream = parts(name)
    params = chat.completion_create_params
    model = params.CompletionCreateParamsStreaming if is_stream else params.CompletionCreateParamsNonStreaming
    assert set(request) <= set(typing.get_type_hints(model))
    pydantic.TypeAdapter(model).validate_python(request)
    if status == 200 and is_stream:
        for chunk in objects(body):
            if "error" not in chunk:
                chat.ChatCompletionChunk.model_validate(chunk)
    elif status == 200:
        chat.ChatCompletion.model_validate_json(body)


@pytest.mark.parametrize("name", goldens("cohere"))
def test_cohere(name):
    models = pytest.importorskip("cohere.types", reason="tools/setup installs it")
    request, status, body, is_stream = parts(name)
    for message in request["messages"]:
        pydantic.TypeAdapter(models.ChatMessageV2).validate_python(message)
    for tool in request.get("tools", []):
        models.ToolV2.model_validate(tool)
    if "response_format" in request:
        pydantic.TypeAdapter(models.ResponseFormatV2).validate_python(request["response_format"])
    if "thinking" in request:
        models.Thinking.model_validate(request["thinking"])
    if status != 200:
        return
    v2 = pytest.importorskip("cohere.v2.types")
    if is_stream:
        for event in objects(body):
            pydantic.TypeAdapter(v2.V2ChatStreamResponse).validate_python(event)
    else:
        v2.V2ChatResponse.model_validate_json(body)


@pytest.mark.parametrize("name", goldens("gemini"))
def test_gemini(name):
    """These models refuse members that they do not know."""
    models = pytest.importorskip("google.genai.types", reason="tools/setup installs it")
    request, status, body, is_stream = parts(name)
    for content in [*request["contents"], request.get("systemInstruction", {})]:
        models.Content.model_validate(content)
    models.GenerationConfig.model_validate(request.get("generationConfig", {}))
    models.ToolConfig.model_validate(request.get("toolConfig", {}))
    for tool in request.get("tools", []):
        models.Tool.model_validate(tool)
    if status == 200:
        for answer in objects(body) if is_stream else [json.loads(body)]:
            if "error" not in answer:
                models.GenerateContentResponse.model_validate(answer)


@pytest.fixture(scope="module")
def converse():
    """botocore's model of Bedrock's runtime."""
    session = pytest.importorskip("botocore.session", reason="tools/setup installs it")
    return session.get_session().get_service_model("bedrock-runtime")


def with_bytes(value, key=None):
    """JSON as botocore's parameters: blobs are bytes."""
    if isinstance(value, dict):
        return {name: with_bytes(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_bytes(inner) for inner in value]
    return base64.b64decode(value) if key in ("bytes", "redactedContent") else value


@pytest.mark.parametrize("name", goldens("bedrock"))
def test_bedrocks_requests(converse, name):
    """botocore makes of the same parameters the same request."""
    serialize = pytest.importorskip("botocore.serialize")
    validate = pytest.importorskip("botocore.validate")
    request, _, _, is_stream = parts(name)
    operation = converse.operation_model("ConverseStream" if is_stream else "Converse")
    parameters = {"modelId": model_of(name), **with_bytes(request)}
    report = validate.ParamValidator().validate(parameters, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    made = serialize.create_serializer("rest-json").serialize_to_request(parameters, operation)
    assert json.loads(made["body"]) == request


@pytest.mark.parametrize("name", goldens("bedrock"))
def test_bedrocks_answers(converse, name):
    """botocore reads the answers, and finds in them what Junction finds."""
    parsers = pytest.importorskip("botocore.parsers")
    eventstream = pytest.importorskip("botocore.eventstream")
    bedrock = pytest.importorskip("test_bedrock")
    _, status, body, is_stream = parts(name)
    said = (FOLDER / name).read_text().split("\n---- our answer\n")[1]
    text = "".join(json.loads(f'"{part}"') for part in re.findall(r'^ +content: "(.*)"$', said, re.MULTILINE))
    whole = converse.operation_model("Converse").output_shape
    if status != 200:
        answer = {"body": body.encode(), "headers": head_of(name), "status_code": status}
        parsed = parsers.create_parser("rest-json").parse(answer, whole)
        error = parsed["Error"]
        # What stands before every service of Amazon's refuses in words that Junction does not pass on.
        if body and status != 403:
            assert error["Message"] in said and error["Code"] in converse.shape_names
        return
    if not is_stream:
        answer = {"body": body.encode(), "headers": {}, "status_code": 200}
        parsed = parsers.create_parser("rest-json").parse(answer, whole)
        blocks = parsed["output"]["message"]["content"]
        assert text == "".join(block.get("text", "") for block in blocks)
        count = sum("toolUse" in block for block in blocks)
        assert count == len(re.findall(r"^ +toolCalls$", said, re.MULTILINE))
        return
    lines = [line.split(" ", 2) for line in body.split("\n") if line]
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(b"".join(bedrock.frame(kind, type, json.loads(payload)) for kind, type, payload in lines))
    shape = converse.operation_model("ConverseStream").output_shape.members["stream"]
    events = [
        parsers.EventStreamJSONParser().parse(message.to_response_dict(), shape) for message in buffer
    ]
    assert len(events) == len(lines)
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert text == "".join(delta.get("text", "") for delta in deltas)
    if lines[-1][0] == "exception":
        assert events[-1]["Error"]["Message"] in said


@pytest.mark.parametrize("name", goldens("embed"))
def test_embeddings(name):
    request, status, body, _ = parts(name)
    request.pop("truncate", None)  # the caller's, by `extra_parameters_json`
    answer = json.loads(body)
    for text in request.get("requests", []):
        text.pop("truncate", None)
    provider = name.split("-")[1]
    if provider in ("openai", "azure", "mistral", "ollama"):
        openai = pytest.importorskip("openai.types", reason="tools/setup installs it")
        model = openai.EmbeddingCreateParams
        assert set(request) - {"output_dimension"} <= set(typing.get_type_hints(model))
        pydantic.TypeAdapter(model).validate_python(request)
        if status == 200:
            for item in answer["data"]:
                # The package decodes base64 before it makes its models.
                if isinstance(item["embedding"], str):
                    item["embedding"] = []
            openai.CreateEmbeddingResponse.model_validate(answer)
    elif "cohere" in name:
        cohere = pytest.importorskip("cohere", reason="tools/setup installs it")
        taken = inspect.signature(cohere.ClientV2.embed).parameters
        assert set(request) <= set(taken)
        pydantic.TypeAdapter(cohere.EmbedInputType).validate_python(request["input_type"])
        if status == 200:
            cohere.EmbedByTypeResponse.model_validate(answer)
    elif provider == "gemini":
        models = pytest.importorskip("google.genai.types", reason="tools/setup installs it")
        for text in request["requests"]:
            models.Content.model_validate(text.pop("content"))
            assert text.pop("model").startswith("models/")
            models.EmbedContentConfig.model_validate(text)
        if status == 200:
            models.EmbedContentResponse.model_validate(answer)
