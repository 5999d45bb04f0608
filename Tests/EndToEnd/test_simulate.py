"""`junction simulate` and `junction explain`: what they print, write and refuse."""

import json

import pytest
from programs import command

CONFIG = """\
model_list:
  - model_name: gpt
    litellm_params: {model: openai/a, mock_response: x, rpm: 120, tags: [fast], order: 1, input_cost_per_token: 0.001}
    model_info: {id: a}
  - model_name: gpt
    litellm_params: {model: openai/b, mock_response: x, tpm: 90000, tags: [slow], order: 1}
    model_info: {id: b}
  - model_name: gpt
    litellm_params: {model: openai/c, mock_response: x, tags: [slow], order: 2}
    model_info: {id: c}
  - model_name: small
    litellm_params: {model: openai/d, mock_response: x}
    model_info: {id: d}
router_settings:
  enable_tag_filtering: true
  model_group_alias: {best: gpt}
  fallbacks: [{gpt: [small]}]
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "router_config.yaml"
    file.write_text(CONFIG)
    return file


def written(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    return file


def simulate(config, *arguments):
    return command("simulate", "--config", config, *arguments)


class TestSimulate:
    def test_it_prints_each_deployment_and_the_totals(self, config):
        code, out, err = simulate(config, "--rate", "5", "--duration", "120")
        assert (code, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()[:5]] == ["DEPLOYMENT", "a", "b", "c", "d"]
        assert "served" in out and "over the limit  0 tokens, 0 requests" in out

    def test_the_same_seed_prints_the_same(self, config):
        first = simulate(config, "--seed", "7")
        assert first == simulate(config, "--seed", "7") != simulate(config, "--seed", "8")

    def test_it_writes_a_page_and_numbers(self, config, tmp_path):
        page, numbers = tmp_path / "report.html", tmp_path / "report.json"
        code, _, _ = simulate(config, "--duration", "60", "--html", page, "--json", numbers)
        result = json.loads(numbers.read_text())
        assert code == 0 and page.read_text().count("<svg ") == 3
        assert result["calls"] == result["answered"] + sum(result["failed"].values()) + result["left"] > 0

    def test_an_outage_moves_the_calls(self, config, tmp_path):
        scenario = written(
            tmp_path, "down.yaml", "providers: {c: {outages: [{from: 0, until: 600, failure: connection}]}}"
        )
        numbers = tmp_path / "report.json"
        code, _, _ = simulate(config, "--scenario", scenario, "--json", numbers)
        answered = {one["id"]: one["answered"] for one in json.loads(numbers.read_text())["deployments"]}
        assert code == 0 and answered["c"] == 0 and answered["d"] > 0

    def test_a_trace(self, config, tmp_path):
        lines = ["seconds,model,prompt_tokens,completion_tokens", "0,best,10,5", "1,small,10,5"]
        trace = written(tmp_path, "calls.csv", "\n".join(lines))
        code, out, _ = simulate(config, "--trace", trace, "--strategy", "least-busy")
        assert code == 0 and "calls           2 " in out and "least-busy" in out

    @pytest.mark.parametrize(
        "name, text, says",
        [
            ("s.yaml", "providers:\n  a: {cutrate: 1}\n", "s.yaml:2:7: error: providers.a.cutrate"),
            ("s.yaml", "callers: [{model: gtp}]\n", "Did you mean gpt?"),
            ("t.csv", "0,gpt,10\n", "t.csv:1:1: error"),
            ("t.csv", "0,nowhere,10,5\n", 'no model group "nowhere"'),
            ("s.yaml", None, "no such file"),
        ],
    )
    def test_a_wrong_file(self, config, tmp_path, name, text, says):
        file = tmp_path / name
        if text:
            file.write_text(text)
        code, out, err = simulate(config, "--scenario" if name == "s.yaml" else "--trace", file)
        assert (code, out) == (1, "") and says in err, err

    @pytest.mark.parametrize(
        "arguments, says",
        [
            ([], "--config"),
            (["--config", "x", "--strategy", "fastest"], "least-busy"),
            (["--config", "x", "--rate", "0"], "--rate"),
            (["--config", "x", "--trace", "t", "--rate", "1"], "--trace"),
            (["--table", "--config", "x"], "--table"),
            (["--promises", "9", "--rate", "1"], "--promises"),
        ],
    )
    def test_wrong_arguments(self, arguments, says):
        code, _, err = command("simulate", *arguments)
        assert code == 64 and says in err.replace("A trace", "--trace"), err

    def test_promises(self):
        code, out, err = command("simulate", "--promises", "4000", "--seeds", "4")
        rows = [line for line in out.splitlines() if line.startswith("| ")]
        assert (code, err) == (1 if "Broken" in out else 0, "")
        assert [row.split()[1] for row in rows] == ["seed", "1", "2", "3", "4", "0"]

    def test_help_shows_the_way(self):
        code, out, _ = command("simulate", "--help")
        assert code == 0 and "scenario_template.yaml" in out and "completion_tokens" in out


def explain(config, *arguments):
    return command("explain", "--config", config, *arguments)


class TestExplain:
    def test_the_way_of_a_call(self, config):
        code, out, err = explain(config, "--model", "best", "--tags", "slow")
        assert (code, err) == (0, "") and out.startswith("best means gpt: usage-based-routing")
        a, b, c = (line for line in out.splitlines() if line.startswith("  ") and "order" in line)
        assert "no tag of slow" in a and "100 %" in b and "lower order" in c
        assert "fallback 1, small" in out

    def test_a_limit(self, config):
        _, out, _ = explain(config, "--model", "gpt", "--tags", "slow", "--tokens", "90001")
        assert "90001 tokens are more than its 90000 a minute" in out
        assert "c  order 2  may be chosen: 100 %" in out

    def test_a_name_that_is_not_there(self, config):
        code, out, err = explain(config, "--model", "gtp")
        assert (code, out) == (1, "") and "best, gpt, small" in err

    def test_wrong_arguments(self, config):
        assert explain(config)[0] == 64
        assert explain(config, "--model", "gpt", "--tokens", "-1")[0] == 64
