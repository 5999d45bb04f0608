"""LiteLLM's proxy as a provider, with answers that it makes up itself: over OpenAI's wire format and over
Anthropic's. Skipped where it is not installed: it is large. Put it into an environment of its own,

    python3 -m venv /tmp/litellm && /tmp/litellm/bin/pip install 'litellm[proxy]'

and say where: LITELLM=/tmp/litellm/bin/litellm
"""

import contextlib
import json
import os
import shutil
import socket
import tempfile
import urllib.request

import pytest
import stubs
from programs import Junction, Program, eventually

LITELLM = os.environ.get("LITELLM") or shutil.which("litellm")
ANSWER = "Hello from LiteLLM, with \"some\" words: né à Paris."


class Proxy(Program):
    def __init__(self):
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        models = [
            {"model_name": name, "litellm_params": {"model": model, "api_key": "x", "mock_response": ANSWER}}
            for name, model in [("gpt", "openai/gpt-4o"), ("claude", "anthropic/claude-3-5-sonnet-20240620")]
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            json.dump({"model_list": models, "litellm_settings": {"telemetry": False}}, file)
        command = [LITELLM, "--config", file.name, "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
        super().__init__(command, "", environment)
        self.base = f"http://127.0.0.1:{self.port}"

        def is_up():
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(self.base + "/health/liveliness", timeout=5).status == 200

        eventually(is_up, lambda: f"the proxy is up: {self.output()}", 240)


@pytest.fixture(scope="module")
def proxy():
    if not LITELLM:
        pytest.skip("litellm is not installed: see the top of test_litellm.py")
    with Proxy() as proxy:
        yield proxy


@pytest.mark.parametrize(
    "group, model, path", [("gpt", "litellm_proxy/gpt", "/v1"), ("claude", "anthropic/claude", "")]
)
def test_its_answers_are_read(proxy, start, caller_of, group, model, path):
    parameters = {"model": model, "api_key": "x", "api_base": proxy.base + path}
    router = start(Junction, [{"model_name": group, "litellm_params": parameters}], {"num_retries": 0})
    caller = caller_of(router)
    answer = caller.complete(group, timeout=60)
    assert answer.choices[0].message.content == ANSWER and answer.usage.total_tokens > 0
    pieces = caller.stream_all(group, timeout=60)
    assert stubs.text_of(pieces) == ANSWER and pieces[-1].route.deployment_id
