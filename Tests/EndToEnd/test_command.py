"""The command `junction`: what it prints, and its exit codes."""

import resource
import signal
import subprocess

import pytest
import stubs
from programs import Junction, Upstream, command, deployment, junction_binary


@pytest.fixture
def router(start):
    upstream = start(Upstream, chunks=5)
    groups = [
        deployment("mocked", id="mock", mock_response="The capital is Paris."),
        upstream.deployment("gpt-4o", "gpt-4o", "main"),
        upstream.deployment("broken", "status-500", "bad"),
        upstream.deployment("silent", "stall", "mute"),
        upstream.deployment("limited", "limited", rpm=1),
        upstream.deployment("strict", "status-400"),
    ]
    return start(Junction, groups, {"num_retries": 0, "disable_cooldowns": True})


def ask(router, subcommand, group, *arguments, prompt="Hello"):
    return command(subcommand, "--model", group, "--address", router.address, *arguments, prompt)


@pytest.mark.parametrize("subcommand", ["complete", "stream"])
class TestAsking:
    def test_it_prints_the_answer_alone(self, router, subcommand):
        assert ask(router, subcommand, "mocked") == (0, "The capital is Paris.\n", "")

    def test_the_route_goes_to_standard_error(self, router, subcommand):
        code, out, err = ask(router, subcommand, "broken", "--fallback", "gpt-4o", "--route")
        assert code == 0 and out.strip()
        assert (
            "route: main" in err and "by fallback" in err and "bad" in err and "tokens: 52 prompt + 24" in err
        )

    @pytest.mark.parametrize(
        "group, code, says",
        [
            ("nowhere", 69, "junction check"),
            ("broken", 78, "bad"),
            ("strict", 67, "400"),
            ("silent", 68, "--timeout"),
        ],
    )
    def test_errors(self, router, subcommand, group, code, says):
        arguments = ["--timeout", "0.5"] if group == "silent" else []
        got, out, err = ask(router, subcommand, group, *arguments)
        assert (got, out) == (code, "") and says in err, err

    def test_over_the_limit(self, router, subcommand):
        codes = [ask(router, subcommand, "limited")[0] for _ in range(4)]
        assert 72 in codes and set(codes) <= {0, 72}

    def test_no_router_there(self, router, subcommand):
        router.terminate()
        code, out, err = ask(router, subcommand, "gpt-4o", "--timeout", "5")
        assert (code, out) == (78, "") and "junction serve" in err

    def test_the_prompt_from_standard_input(self, router, subcommand):
        code, out, err = command(
            subcommand, "--model", "gpt-4o", "--address", router.address, "-", input="a\nlong\nprompt"
        )
        assert code == 0 and out.strip()

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--model", "x"],
            ["--model", "x", "--timeout", "0", "p"],
            ["--model", "x", "--address", "nonsense", "p"],
            ["--model", "x", "--nonsense", "p"],
        ],
    )
    def test_wrong_arguments(self, router, subcommand, arguments):
        code, _, err = command(subcommand, *arguments)
        assert code == 64 and "Usage" in err


def test_a_stream_is_printed_as_it_comes(start):
    upstream = start(Upstream, chunks=30, chunk_interval_ms=200)
    router = start(Junction, [upstream.deployment("gpt-4o")])
    with subprocess.Popen(
        [junction_binary(), "stream", "--model", "gpt-4o", "--address", router.address, "Hello"],
        stdout=subprocess.PIPE,
    ) as asking:
        assert asking.stdout.read(6) == b" w0000"
        assert upstream.stats()["chunks"] < 20
        asking.send_signal(signal.SIGINT)
    assert asking.returncode != 0


def test_a_port_that_is_taken(start, router, tmp_path):
    code, _, err = command("serve", "--config", router.file.name, "--port", router.port, seconds=20)
    assert code == 1 and str(router.port) in err


GOOD = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/SOME_KEY
      rpm: 100
  - model_name: small
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-x, api_base: "https://gateway.example/v1"}
    model_info: {id: second}
router_settings:
  num_retries: 2
  fallbacks: [{gpt-4o: [small]}]
"""


def check(tmp_path, text, environment=None):
    file = tmp_path / "router_config.yaml"
    file.write_text(text)
    return command("check", file, environment={"SOME_KEY": "sk-some", **(environment or {})})


class TestCheck:
    def test_a_good_file(self, tmp_path):
        code, out, err = check(tmp_path, GOOD)
        assert (
            code == 0
            and "second" in out
            and "gateway.example" in out
            and "gpt-4o-mini" in out
            and "100" in out
        )
        assert "error" not in err

    @pytest.mark.parametrize(
        "change, line, says",
        [(("rpm: 100", "rpmm: 100"), 6, "rpm"), (("num_retries", "num_retry"), 11, "num_retries")],
    )
    def test_an_unknown_key_is_a_warning(self, tmp_path, change, line, says):
        code, out, err = check(tmp_path, GOOD.replace(*change))
        assert code == 0 and f"router_config.yaml:{line}" in err and says in err and "warning" in err

    @pytest.mark.parametrize(
        "change, line, says",
        [
            (("rpm: 100", "rpm: many"), 6, "rpm"),
            (("[{gpt-4o: [small]}]", "[{gpt-4o: [nowhere]}]"), 12, "nowhere"),
            (("SOME_KEY", "MISSING_KEY"), 5, "MISSING_KEY"),
            (("openai/gpt-4o\n", "nonsense/gpt-4o\n"), 4, "nonsense"),
            (("num_retries: 2", "num_retries: -2"), 11, "num_retries"),
        ],
    )
    def test_a_wrong_value_is_an_error(self, tmp_path, change, line, says):
        code, out, err = check(tmp_path, GOOD.replace(*change))
        assert code == 1 and f"router_config.yaml:{line}" in err and says in err and "error" in err
        assert "Traceback" not in err and "Fatal" not in err

    @pytest.mark.parametrize(
        "text", ["", "[]", "model_list:", "model_list: []", "a: b: c", "\t", "model_list: {", "\0", "&a [*a]"]
    )
    def test_a_file_that_is_no_configuration(self, tmp_path, text):
        code, _, err = check(tmp_path, text)
        assert code == 1 and "router_config.yaml" in err and "Fatal" not in err

    def test_no_such_file(self, tmp_path):
        code, _, err = command("check", tmp_path / "missing.yaml")
        assert code == 1 and "missing.yaml" in err

    def test_serve_says_the_same_and_does_not_start(self, tmp_path):
        file = tmp_path / "router_config.yaml"
        file.write_text(GOOD.replace("rpm: 100", "rpm: many"))
        code, out, err = command(
            "serve", "--config", file, "--port", 0, environment={"SOME_KEY": "x"}, seconds=20
        )
        assert code == 1 and "listening" not in out and "router_config.yaml:6" in err


@pytest.mark.parametrize("arguments", [[], ["serve"], ["complete"], ["stream"], ["check"]])
def test_help(arguments):
    code, out, _ = command(*arguments, "--help")
    assert code == 0 and "USAGE" in out.upper()


def test_an_unknown_subcommand():
    code, _, err = command("nonsense")
    assert code == 64 and err


@pytest.mark.parametrize("arguments", [[], ["--config"], ["--config", "a.yaml", "--color", "red"]])
def test_the_serving_program_says_how_it_is_called(arguments):
    done = subprocess.run([junction_binary() + "d", *arguments], capture_output=True, text=True)
    assert done.returncode == 64 and "--config FILE" in done.stderr and not done.stdout


def test_what_the_readme_shows_works(router):
    """README's Python example, with this router's address."""
    readme = (stubs.ROOT / "README.md").read_text()
    lines = [line[4:] for line in readme.splitlines() if line.startswith("    ")]
    first, last = lines.index("import grpc"), next(
        n for n, line in enumerate(lines) if line.startswith("print(answer")
    )
    example = "\n".join(lines[first : last + 1])
    printed = []
    exec(example.replace("127.0.0.1:50051", router.address), {"print": lambda *words: printed.extend(words)})
    assert printed[1] == "main"


def test_the_limit_of_descriptors_is_raised(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        router = start(Junction, [deployment("mocked", mock_response="Hi")])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(router.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
