"""Embeddings: routed, counted, retried and falling back as completions are."""

import grpc
import pytest
import stubs
from programs import Junction, Upstream, command, deployment, eventually
from stubs import pb

PRICES = {"input_cost_per_token": 0.25, "output_cost_per_token": 1}


@pytest.fixture
def provider(start):
    return start(Upstream, prompt_tokens=40)


@pytest.fixture
def router(start, provider):
    groups = [
        provider.deployment("vectors", "text-embedding-3-small", "main", **PRICES),
        provider.deployment("free", "unpriced", "unpriced"),
        provider.deployment("broken", "status-500", "bad"),
        provider.deployment("pair", "status-503", "down", order=1),
        provider.deployment("pair", "text-embedding-3-large", "up", order=2),
        provider.deployment("silent", "stall", "mute"),
        provider.deployment("wrong", "status-400", "strict"),
        provider.deployment("cut", "malformed", "cut"),
        provider.deployment("bare", "no-usage", "bare"),
        provider.deployment("limited", "limited", "limited", rpm=1),
        provider.deployment("small", "small", "small", tpm=30),
        provider.deployment("none", "claude", "claude", custom_llm_provider="anthropic"),
        deployment("mocked", id="mock", mock_response="Hi", **PRICES),
    ]
    return start(Junction, groups, {"num_retries": 0, "disable_cooldowns": True})


@pytest.fixture
def caller(router, caller_of):
    return caller_of(router)


def test_a_vector_for_each_text(caller, provider):
    answer = caller.embed("vectors", "one", 'a "second", [one]', "three", user="me", dimensions=4)
    assert [list(vector.values) for vector in answer.vectors] == [
        pytest.approx([place, 0.5, -0.25, 1e-3]) for place in range(3)
    ]
    assert answer.model == "text-embedding-3-small"
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (40, 0, 40)
    assert not usage.estimated and usage.cost_usd == 10
    route = answer.route
    assert (route.deployment_id, route.provider, route.model_group) == ("main", "openai", "vectors")
    assert stubs.outcomes(route) == ["SUCCESS"] and route.attempts[0].usage.cost_usd == 10
    request = provider.requests(1)[0]
    assert request["path"] == "/v1/embeddings"
    assert provider.bodies()[-1] == {
        "model": "text-embedding-3-small",
        "input": ["one", 'a "second", [one]', "three"],
        "dimensions": 4,
        "user": "me",
    }


def test_it_falls_back(caller):
    routing = pb.Routing(fallbacks=[pb.Fallback(model_group="vectors")])
    answer = caller.embed("broken", "one", routing=routing)
    assert answer.route.deployment_id == "main" and answer.route.fallback_used
    assert stubs.outcomes(answer.route) == ["SERVER_ERROR", "SUCCESS"]


def test_it_retries_elsewhere(caller):
    answer = caller.embed("pair", "one", routing=pb.Routing(num_retries=1))
    assert stubs.outcomes(answer.route) == ["SERVER_ERROR", "SUCCESS"]
    assert answer.route.deployment_id == "up" and not answer.route.fallback_used


@pytest.mark.parametrize(
    "group, code, says",
    [
        ("nowhere", grpc.StatusCode.NOT_FOUND, "embedding.model"),
        ("broken", grpc.StatusCode.UNAVAILABLE, "bad"),
        ("wrong", grpc.StatusCode.INVALID_ARGUMENT, "400"),
        ("cut", grpc.StatusCode.UNAVAILABLE, "not JSON"),
        ("none", grpc.StatusCode.INVALID_ARGUMENT, "embedding"),
        ("small", grpc.StatusCode.RESOURCE_EXHAUSTED, "minute"),
    ],
)
def test_errors(caller, group, code, says):
    error = caller.error(group, "x" * 200, embedding=True)
    assert error.code() == code and says in error.details(), error.details()


@pytest.mark.parametrize(
    "texts, fields, says",
    [
        ([], {}, "embedding.inputs is empty"),
        (["a", ""], {}, "embedding.inputs[1] is empty"),
        (["a"] * 2049, {}, "embedding.inputs has 2049 texts"),
        (["a"], {"dimensions": 0}, "embedding.dimensions is 0"),
        (["a"], {"extra_parameters_json": "[]"}, "embedding.extra_parameters_json is not a JSON object"),
        (["a"], {"extra_parameters_json": '{"input":[]}'}, "embedding.extra_parameters_json has the member"),
    ],
)
def test_bad_input(caller, provider, texts, fields, says):
    error = caller.error("vectors", *texts, embedding=True, **fields)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and says in error.details()
    assert provider.stats()["calls"] == 0, "the provider was asked"


def test_no_embedding_and_no_model(caller):
    for request, field in ((pb.EmbedRequest(), "embedding"), (stubs.embed_request("", "a"), "embedding.model")):
        with pytest.raises(grpc.RpcError) as caught:
            caller.stub.Embed(request, timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details().startswith(field + " ")


def test_the_deadline_holds(caller, provider):
    error = caller.error("silent", "one", embedding=True, timeout=0.5)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: provider.stats()["aborted_by_peer"] == 1, "the provider is told")


def test_a_caller_that_leaves(caller, provider):
    call = caller.stub.Embed.future(stubs.embed_request("silent", "one"), timeout=30)
    eventually(lambda: provider.stats()["stalled"] == 1, "the provider is asked")
    call.cancel()
    eventually(lambda: provider.stats()["aborted_by_peer"] == 1, "the provider is told")


def test_requests_and_tokens_count(caller):
    caller.embed("limited", "one")
    assert caller.error("limited", "one", embedding=True).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    # The estimate lets the first one pass, the provider's 40 tokens fill the minute.
    caller.embed("small", "one")
    assert caller.error("small", "one", embedding=True).code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_usage_is_estimated_where_the_provider_tells_none(caller):
    usage = caller.embed("bare", "x" * 10, "y" * 5).usage
    assert usage.estimated and usage.prompt_tokens == 4 and usage.completion_tokens == 0


def test_an_unknown_price_makes_no_cost(caller):
    assert not caller.embed("free", "one").usage.HasField("cost_usd")


def test_a_mock_embeds(caller):
    one, two, again = (list(vector.values) for vector in caller.embed("mocked", "a", "b", "a").vectors)
    assert one == again != two and len(one) == 8
    usage = caller.embed("mocked", "abcd").usage
    assert usage.prompt_tokens == 1 and usage.cost_usd == 0.25


def test_the_command(router):
    def embed(*arguments, **named):
        return command("embed", "--address", router.address, "--model", *arguments, **named)

    code, out, err = embed("vectors", "one", "two")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("4 numbers, length 1.1456: 1.0000, 0.5000, -0.2500, 0.0010")
    code, out, err = embed("vectors", "--json", "--route", "-", input="one\ntwo\nthree\n")
    assert code == 0 and out.splitlines()[2] == "[2.0,0.5,-0.25,0.001]"
    assert "route: main" in err and "tokens: 40 prompt" in err and "cost: $10.000000" in err
    assert embed("nowhere", "one")[0] == 69
    assert embed("vectors", "")[0] == 64
    assert embed("vectors", "--dimensions", "0", "one")[0] == 64


def test_cost_of_completions(start, caller_of):
    provider = start(Upstream, prompt_tokens=52, completion_tokens=24)
    prices = {"input_cost_per_token": 1, "output_cost_per_token": 10, "cache_read_input_token_cost": 0.5}
    router = start(
        Junction,
        [
            provider.deployment("chat", "gpt-4o", "priced", **prices),
            provider.deployment("table", "gpt-4o", "listed"),
            provider.deployment("unknown", "nobody-knows", "unlisted"),
            provider.deployment("flaky", "status-500", "bad", order=1),
            provider.deployment("flaky", "gpt-4o-mini", "good", order=2, **prices),
        ],
    )
    caller = caller_of(router)
    # 16 of the 52 tokens come from the provider's cache.
    cost = 36 * 1 + 16 * 0.5 + 24 * 10
    answer = caller.complete("chat")
    assert answer.usage.cost_usd == cost and answer.route.attempts[0].usage.cost_usd == cost
    assert caller.stream_all("chat")[-1].usage.cost_usd == cost
    listed = caller.complete("table").usage
    assert listed.cost_usd == pytest.approx((36 * 2.5 + 16 * 1.25 + 24 * 10) / 1e6)
    assert not caller.complete("unknown").usage.HasField("cost_usd")
    route = caller.complete("flaky").route
    assert not route.attempts[0].HasField("usage") and route.attempts[1].usage.cost_usd == cost
