"""What becomes of parameters that a model does not take: refused, sent elsewhere, dropped, or passed on."""

import grpc
import pytest
import stubs
from programs import Junction, Upstream
from stubs import pb

# What an o-series model refuses, as OpenAI documents it.
COLD = {"temperature": 0.25}


@pytest.fixture
def provider(start):
    return start(Upstream)


@pytest.fixture
def caller_for(start, provider, caller_of):
    def made(*entries, **settings):
        groups = [provider.deployment(*entry[:3], **entry[3]) for entry in entries]
        return caller_of(start(Junction, groups, {"num_retries": 0, "disable_cooldowns": True, **settings}))

    return made


def entry(model, id, **parameters):
    return ("group", model, id, parameters)


def test_it_is_refused_by_name(caller_for, provider):
    caller = caller_for(entry("o3", "reasoner"))
    for streaming in (False, True):
        error = caller.error("group", streaming=streaming, stop=["END"], **COLD)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "completion.temperature" in error.details() and "completion.stop" in error.details()
    assert provider.stats()["calls"] == 0
    assert caller.complete("group", temperature=1).choices


def test_another_deployment_takes_it(caller_for):
    caller = caller_for(entry("o3", "reasoner", order=1), entry("gpt-4o", "other", order=2))
    answer = caller.complete("group", **COLD)
    assert answer.route.deployment_id == "other" and stubs.outcomes(answer.route) == ["SUCCESS"]
    assert caller.complete("group").route.deployment_id == "reasoner"


def test_a_fallback_takes_it(caller_for):
    caller = caller_for(entry("o3", "reasoner"), ("spare", "gpt-4o", "other", {}))
    routing = pb.Routing(fallbacks=[pb.Fallback(model_group="spare")])
    answer = caller.complete("group", routing=routing, **COLD)
    assert answer.route.deployment_id == "other" and answer.route.fallback_used


def test_it_is_dropped(caller_for, provider):
    caller = caller_for(entry("o3", "reasoner", drop_params=True, additional_drop_params=["seed"]))
    caller.complete("group", stop=["END"], seed=7, max_tokens=5, **COLD)
    body = provider.bodies()[-1]
    assert body["max_completion_tokens"] == 5
    assert not {"temperature", "stop", "seed", "max_tokens"} & set(body)


def test_it_is_passed_on(caller_for, provider):
    caller = caller_for(entry("o3", "reasoner", allowed_openai_params=["temperature"]))
    caller.complete("group", **COLD)
    assert provider.bodies()[-1]["temperature"] == 0.25
    error = caller.error("group", stop=["END"], **COLD)
    assert "completion.stop" in error.details() and "completion.temperature" not in error.details()


def test_a_deployments_own_parameters(caller_for, provider):
    own = {"temperature": 0.5, "top_p": 0.25, "max_tokens": 9, "stop": ["END"], "seed": 3, "logit_bias": {"7": -1}}
    caller = caller_for(entry("gpt-4o", "main", **own))
    caller.complete("group", temperature=0, max_tokens=4)
    body = provider.bodies()[-1]
    assert {name: body[name] for name in own} == {**own, "temperature": 0, "max_tokens": 4}
    list(caller.stream("group"))
    assert provider.bodies()[-1]["temperature"] == 0.5


def test_what_an_override_does_not_take_is_refused(start, provider, caller_of):
    router = start(
        Junction,
        [provider.deployment("group", "status-500", "broken")],
        {"num_retries": 0},
        {"allowed_api_bases": [provider.base]},
    )
    override = pb.DeploymentOverride(model="openai/o3", api_key="k", api_base=provider.base)
    routing = pb.Routing(fallbacks=[pb.Fallback(override=override)])
    error = caller_of(router).error("group", routing=routing, **COLD)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "completion.temperature" in error.details()


def test_a_model_for_embeddings_completes_nothing(caller_for):
    caller = caller_for(entry("text-embedding-3-small", "vectors"), ("chat", "gpt-4o", "main", {}))
    error = caller.error("group")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and error.details().endswith("Not taken: completion")
    error = caller.error("chat", "text", embedding=True)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and error.details().endswith("Not taken: embedding")


@pytest.mark.parametrize("dimensions, taken", [(None, True), (5, False)])
def test_dimensions(caller_for, dimensions, taken):
    caller = caller_for(entry("text-embedding-ada-002", "vectors"))
    fields = {} if dimensions is None else {"dimensions": dimensions}
    if taken:
        assert len(caller.embed("group", "text", **fields).vectors) == 1
    else:
        assert "embedding.dimensions" in caller.error("group", "text", embedding=True, **fields).details()
