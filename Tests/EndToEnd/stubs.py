"""Stubs made from Protos/ by the stock grpcio-tools, and short ways to make requests with them."""

import atexit
import pathlib
import shutil
import sys
import tempfile

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _generate():
    folder = tempfile.mkdtemp(prefix="junction-stubs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    protos = ROOT / "Protos"
    files = [str(path.relative_to(protos)) for path in protos.glob("junction/**/*.proto")]
    arguments = ["protoc", f"-I{protos}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc failed: {arguments}")
    sys.path.insert(0, folder)


_generate()
from junction.v1 import router_pb2 as pb  # noqa: E402
from junction.v1 import router_pb2_grpc  # noqa: E402

COMPLETE = "/junction.v1.RouterService/Complete"
STREAM = "/junction.v1.RouterService/Stream"
OUTCOME = pb.AttemptOutcome


def completion(model="gpt-4o", prompt="Hello", **fields):
    return pb.Completion(model=model, messages=[pb.Message(role=pb.ROLE_USER, content=prompt)], **fields)


def complete_request(model="gpt-4o", prompt="Hello", routing=None, **fields):
    return pb.CompleteRequest(completion=completion(model, prompt, **fields), routing=routing)


def stream_request(model="gpt-4o", prompt="Hello", routing=None, **fields):
    return pb.StreamRequest(completion=completion(model, prompt, **fields), routing=routing)


def embed_request(model, *texts, routing=None, **fields):
    return pb.EmbedRequest(embedding=pb.Embedding(model=model, inputs=texts, **fields), routing=routing)


def framed(message):
    """A message as gRPC puts it on the wire."""
    payload = message.SerializeToString()
    return b"\0" + len(payload).to_bytes(4, "big") + payload


class Caller:
    """A stock grpcio client of one router, over a connection of its own."""

    def __init__(self, address, **options):
        # Without its own subchannel pool, every channel to one address would share one connection.
        arguments = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
        ]
        self.channel = grpc.insecure_channel(address, arguments + list(options.items()))
        self.stub = router_pb2_grpc.RouterServiceStub(self.channel)

    def complete(self, model="gpt-4o", prompt="Hello", routing=None, timeout=30, **fields):
        return self.stub.Complete(complete_request(model, prompt, routing, **fields), timeout=timeout)

    def stream(self, model="gpt-4o", prompt="Hello", routing=None, timeout=30, **fields):
        return self.stub.Stream(stream_request(model, prompt, routing, **fields), timeout=timeout)

    def stream_all(self, *arguments, **fields):
        return list(self.stream(*arguments, **fields))

    def embed(self, model, *texts, routing=None, timeout=30, **fields):
        return self.stub.Embed(embed_request(model, *texts, routing=routing, **fields), timeout=timeout)

    def error(self, *arguments, streaming=False, embedding=False, **fields):
        """The error that a call ends with; fails when it does not."""
        ask = self.embed if embedding else self.stream_all if streaming else self.complete
        try:
            answer = ask(*arguments, **fields)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"the call was answered: {answer}")

    def close(self):
        self.channel.close()


def text_of(messages):
    return "".join(choice.content for message in messages for choice in message.choices)


def chunk_text(chunks):
    """What a stream of the stand-in provider says in all."""
    return "".join(f" w{n:04}" for n in range(chunks))


def outcomes(route):
    return [OUTCOME.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_") for attempt in route.attempts]


def trailer(error, name):
    return dict(error.trailing_metadata() or ()).get(name)
