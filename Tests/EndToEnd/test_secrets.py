"""No secret leaves the router but to the provider that it is for: a canary in every place that holds one."""

import pytest
from programs import Junction, Upstream, command
from stubs import pb

CANARIES = {
    "key": "sk-canary-key-0d9f1c",
    "header": "canary-header-77ab20",
    "environment": "sk-canary-env-51e8d3",
    "override": "sk-canary-override-c4b7aa",
    "password": "canary-redis-password-90ce44",
}


def leaks(text):
    return [name for name, canary in CANARIES.items() if canary in text]


@pytest.fixture
def upstream(start):
    return start(Upstream)


@pytest.fixture
def groups(upstream):
    secrets = {"api_key": CANARIES["key"], "extra_headers": {"x-token": CANARIES["header"]}}
    names = [
        "status-401-echo",
        "status-500-echo",
        "status-400-echo",
        "status-429-echo",
        "malformed",
        "reset",
        "stall",
    ]
    groups = [upstream.deployment(name, name, timeout=0.5, **secrets) for name in names]
    groups.append(upstream.deployment("environment", "status-401-echo", api_key="os.environ/CANARY_KEY"))
    groups.append(
        {
            "model_name": "nowhere",
            "litellm_params": {"model": "openai/x", "api_base": "http://nowhere.invalid:1/v1", **secrets},
        }
    )
    return groups


@pytest.fixture
def environment():
    return {"CANARY_KEY": CANARIES["environment"]}


def test_errors_and_output_hold_no_secret(start, caller_of, upstream, groups, environment):
    router = start(
        Junction,
        groups,
        {"num_retries": 1, "retry_after": 0},
        {"allowed_api_bases": [upstream.base]},
        environment=environment,
    )
    caller = caller_of(router)
    said = []
    routings = [
        None,
        *(
            pb.Routing(fallbacks=[pb.Fallback(override=pb.DeploymentOverride(**fields))])
            for fields in (
                {"api_key": CANARIES["override"], "model": "status-401-echo"},
                {
                    "api_key": CANARIES["override"],
                    "api_base": upstream.base,
                    "model": "openai/status-500-echo",
                },
                {"api_key": CANARIES["override"] + "\r\n"},
                {"api_key": CANARIES["override"], "api_base": f"http://{CANARIES['override']}@127.0.0.1/v1"},
            )
        ),
    ]
    for group in [entry["model_name"] for entry in groups]:
        for routing in routings:
            for streaming in (False, True):
                error = caller.error(group, routing=routing, streaming=streaming, timeout=10)
                said.append(f"{error.details()} {error.trailing_metadata()} {error.initial_metadata()}")
    assert not leaks("\n".join(said))
    router.terminate()
    assert not leaks(router.output())
    seen = upstream.requests()
    assert any(CANARIES["key"] in str(request) for request in seen), "the canary never got where it belongs"


def test_check_prints_no_secret(start, groups, environment):
    router = start(
        Junction,
        groups,
        {"redis_host": "localhost", "redis_password": CANARIES["password"]},
        environment=environment,
    )
    code, out, err = command("check", router.file.name, environment=environment)
    assert code == 0 and "status-401-echo" in out
    assert not leaks(out + err)


@pytest.mark.parametrize(
    "line",
    [
        "api_key: [KEY]",
        "api_key: {a: KEY}",
        "api_keey: KEY",
        "timeout: KEY",
        "api_base: http://KEY@host/v1",
        "api_key: KEY\n      api_key: KEY",
        "extra_headers: KEY",
        "extra_headers: {x: [KEY]}",
        'api_key: "KEY\\nx"',
        "api_key: 'KEY",
    ],
)
def test_diagnostics_print_no_secret(tmp_path, line):
    file = tmp_path / "router_config.yaml"
    file.write_text(
        "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n      "
        + line.replace("KEY", CANARIES["key"])
        + "\n"
    )
    _, out, err = command("check", file)
    secret_value = not line.startswith("timeout")  # what stands at a key that holds no secret may be quoted
    assert not (secret_value and leaks(out + err)), err


def test_complete_and_stream_print_no_secret(start, groups, environment):
    router = start(Junction, groups, environment=environment)
    for subcommand in ("complete", "stream"):
        code, out, err = command(
            subcommand, "--model", "status-401-echo", "--address", router.address, "--route", "Hello"
        )
        assert code == 64 + 14 and not leaks(out + err)
