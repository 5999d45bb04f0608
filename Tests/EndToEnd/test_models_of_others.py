"""The golden files against the models of the providers' own Python packages: what Junction asks has only
members that they know, of the types that they know; what goldens let providers answer, they could have."""

import json
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
# without a message; a chunk of the content filter.
ODD = {"anthropic-schema", "azure-filtered", "azure-stream"}


def goldens(prefix):
    names = sorted(path.name for path in FOLDER.glob(f"{prefix}-*") if path.name not in ODD)
    assert names
    return names


def parts(name):
    text = (FOLDER / name).read_text()
    request, answer = (text.split(f"\n---- their {what}\n")[1] for what in ("request", "answer"))
    head, body = answer.split("\n---- ")[0].split("\n\n", 1)
    return json.loads(request.split("\n---- ")[0]), int(head.split("\n")[0]), body, "\nstream: yes\n" in text


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


@pytest.mark.parametrize("name", goldens("azure"))
def test_azure(name):
    request, status, body, is_stream = parts(name)
    model = chat.completion_create_params.CompletionCreateParamsNonStreaming
    assert set(request) <= set(typing.get_type_hints(model)) | {"stream_options"}
    if status == 200 and is_stream:
        for chunk in objects(body):
            chat.ChatCompletionChunk.model_validate(chunk)
    elif status == 200:
        chat.ChatCompletion.model_validate_json(body)


@pytest.mark.parametrize("name", goldens("cohere"))
def test_cohere(name):
    models = pytest.importorskip("cohere.types", reason="tools/setup installs it")
    request, _, _, _ = parts(name)
    for message in request["messages"]:
        pydantic.TypeAdapter(models.ChatMessageV2).validate_python(message)
    for tool in request.get("tools", []):
        models.ToolV2.model_validate(tool)
    if "response_format" in request:
        pydantic.TypeAdapter(models.ResponseFormatV2).validate_python(request["response_format"])
    if "thinking" in request:
        models.Thinking.model_validate(request["thinking"])


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
