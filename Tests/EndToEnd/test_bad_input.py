"""Bad input of every kind, frame by frame. After each, other streams on the same connection go on; after a
fault of the connection itself, other connections do. What each gets is in gRPC's PROTOCOL-HTTP2.md,
statuscodes.md and compression.md, and in RFC 9113."""

import gzip
import random
import socket

import pytest
import stubs
from frames import PREFACE, Connection, Stream, messages
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from programs import Junction, Upstream, eventually

GOOD = stubs.framed(stubs.complete_request())
MIB = 1 << 20


def prefix(length, flag=0):
    return bytes([flag]) + length.to_bytes(4, "big")


@pytest.fixture
def connection(router):
    """A connection on which a good call waits for its answer while the test misbehaves on another stream."""
    with Connection(router.port) as connection:
        good = connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("slow-300")))
        yield connection
        assert connection.finish(good).headers()["grpc-status"] == "0", "the stream beside it suffered"
        id = connection.open(stubs.COMPLETE, GOOD)
        assert connection.finish(id).headers()["grpc-status"] == "0", "the connection takes no new call"


def status(connection, id):
    """The gRPC status of a stream. HTTP must say 200 with a gRPC content type (else a client ignores it)."""
    stream = connection.finish(id)
    headers = stream.headers()
    assert headers.get(":status") == "200" and headers["content-type"].startswith("application/grpc"), (
        headers,
        stream.reset,
    )
    return int(headers["grpc-status"])


def call(connection, body, path=stubs.COMPLETE, **options):
    return status(connection, connection.open(path, body, **options))


# MARK: what is wrong with the message

INVALID, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 8, 12, 13


@pytest.mark.parametrize("cut", [1, 2, 7, len(GOOD) - 6])
def test_a_truncated_protobuf(connection, upstream, cut):
    payload = GOOD[5:-cut]
    eventually(lambda: upstream.stats()["open_calls"] == 0, "earlier calls end")
    before = upstream.stats()["calls"]
    assert call(connection, prefix(len(payload)) + payload) in (INTERNAL, INVALID)
    assert upstream.stats()["calls"] <= before + 1, "more than the good call of the fixture reached the provider"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff" * 20,
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x05\x12\x7f",
        b"\x0b\x08\x01",
        b"\x00\x01",
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ],
    ids=["noise", "length-beyond-end", "inner-length-beyond-end", "group", "field-zero", "varint-too-long"],
)
def test_a_message_that_does_not_parse(connection, payload):
    assert call(connection, prefix(len(payload)) + payload) in (INTERNAL, INVALID)


def test_random_messages(connection):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(200):
        payload = bytearray(GOOD[5:])
        for _ in range(source.randint(1, 8)):
            payload[source.randrange(len(payload))] = source.randrange(256)
        code = call(connection, prefix(len(payload)) + bytes(payload))
        assert code in (0, 3, 5, 13), f"seed {seed}: status {code} for {bytes(payload)!r}"


def test_text_that_is_not_utf8(connection):
    payload = stubs.complete_request(prompt="caf_").SerializeToString().replace(b"caf_", b"caf\xe9")
    id = connection.open(stubs.COMPLETE, prefix(len(payload)) + payload)
    assert status(connection, id) in (INVALID, INTERNAL)
    assert "content" in connection.streams[id].headers()["grpc-message"]


def test_text_with_a_nul(connection):
    id = connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request(prompt="a\0b")))
    assert status(connection, id) in (INVALID, INTERNAL)
    assert "content" in connection.streams[id].headers()["grpc-message"]


def test_deep_nesting_is_no_stack_overflow(connection):
    payload = b""
    for _ in range(20_000):
        payload = b"\x0a" + varint(len(payload)) + payload
    assert call(connection, prefix(len(payload)) + payload) in (INVALID, INTERNAL, 0)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def test_unknown_fields_are_no_fault(connection):
    payload = stubs.complete_request().SerializeToString() + b"\xfa\x3f\x03abc"
    assert call(connection, prefix(len(payload)) + payload) == 0


# MARK: what is wrong with the framing


def test_a_message_over_the_limit_is_refused_by_its_prefix(connection):
    """Only the prefix is sent: the answer must not wait for four megabytes."""
    id = connection.open(stubs.COMPLETE, prefix(4 * MIB + 1), end=False)
    assert status(connection, id) == EXHAUSTED


def test_the_longest_prefix(connection):
    assert call(connection, prefix((1 << 32) - 1), end=False) == EXHAUSTED


def test_the_limit_is_configurable(start):
    upstream = start(Upstream)
    router = start(Junction, [upstream.deployment("gpt-4o")], junction_settings={"message_bytes_max": 2000})
    with Connection(router.port) as connection:
        assert call(connection, stubs.framed(stubs.complete_request(prompt="x" * 1800))) == 0
        assert call(connection, stubs.framed(stubs.complete_request(prompt="x" * 2200))) == EXHAUSTED


def test_the_compressed_flag_without_an_encoding(connection):
    payload = gzip.compress(GOOD[5:])
    assert call(connection, prefix(len(payload), 1) + payload) == INTERNAL
    assert (
        call(connection, prefix(len(payload), 1) + payload, extra=[("grpc-encoding", "identity")]) == INTERNAL
    )


def test_an_unknown_encoding(connection):
    payload = b"whatever"
    id = connection.open(stubs.COMPLETE, prefix(len(payload), 1) + payload, extra=[("grpc-encoding", "br")])
    assert status(connection, id) == UNIMPLEMENTED
    assert "identity" in connection.streams[id].headers()["grpc-accept-encoding"]


def test_a_flag_that_does_not_exist(connection):
    assert call(connection, prefix(len(GOOD) - 5, 2) + GOOD[5:]) == INTERNAL


def test_no_message(connection):
    assert call(connection, b"") in (UNIMPLEMENTED, INTERNAL)


def test_headers_that_end_the_stream(connection):
    id = connection.open(stubs.COMPLETE, None, end=True)
    assert status(connection, id) in (UNIMPLEMENTED, INTERNAL)


def test_two_messages(connection, upstream):
    assert call(connection, GOOD + GOOD) in (UNIMPLEMENTED, INTERNAL)


@pytest.mark.parametrize("kept", [1, 4, 5, 20])
def test_an_end_inside_a_message(connection, kept):
    assert call(connection, GOOD[:kept]) == INTERNAL


def test_a_message_byte_by_byte(connection):
    id = connection.open(stubs.COMPLETE, None, end=False)
    for byte in GOOD:
        connection.send(DataFrame(id, bytes([byte])))
    connection.data(id, b"")
    assert status(connection, id) == 0
    assert len(messages(connection.streams[id].data)[0]) == 1


def test_padding_counts_for_flow_control_only(connection):
    id = connection.open(stubs.COMPLETE, None, end=False)
    connection.send(DataFrame(id, GOOD, pad_length=200, flags=["PADDED", "END_STREAM"]))
    assert status(connection, id) == 0


# MARK: what is wrong with the headers


@pytest.mark.parametrize(
    "path",
    [
        "/junction.v1.RouterService/complete",
        "/junction.v1.RouterService/Nothing",
        "/junction.v1.Nothing/Complete",
        "/Complete",
        "/",
        "//",
        "/junction.v1.RouterService/Complete/",
        "/junction.v1.RouterService/Complete?x=1",
        "/" + "x" * 2000,
    ],
)
def test_an_unknown_method(connection, path):
    assert call(connection, GOOD, path=path) == UNIMPLEMENTED


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/grp", "text/plain", "application/grpcx", None]
)
def test_a_content_type_that_is_not_grpc(connection, content_type):
    stream = connection.finish(connection.open(stubs.COMPLETE, GOOD, content_type=content_type))
    assert stream.headers()[":status"] == "415" and "grpc-status" not in stream.headers()


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
def test_a_content_type_that_is(connection, content_type):
    assert call(connection, GOOD, content_type=content_type) == 0


def test_a_method_that_is_not_post(connection):
    stream = connection.finish(connection.open(stubs.COMPLETE, None, method="GET"))
    assert stream.headers()[":status"] == "405"


def test_the_te_header_may_be_absent(connection):
    frame = connection.headers_frame(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", stubs.COMPLETE),
            (":authority", "t"),
            ("content-type", "application/grpc"),
        ]
    )
    connection.send(frame)
    connection.data(frame.stream_id, GOOD)
    assert status(connection, frame.stream_id) == 0


@pytest.mark.parametrize("timeout", ["", "1", "m", "1x", "-1m", "1.5S", "123456789m"])
def test_a_timeout_that_is_malformed(connection, timeout):
    assert call(connection, GOOD, extra=[("grpc-timeout", timeout)]) in (INTERNAL, INVALID)


@pytest.mark.parametrize("timeout", ["99999999H", "99999999n", "1M", "10S", "5000m", "5000000u"])
def test_a_timeout_of_any_size_and_unit(connection, timeout):
    # 99,999,999 ns are a tenth of a second; the call takes less.
    assert call(connection, GOOD, extra=[("grpc-timeout", timeout)]) == 0


def test_a_timeout_of_zero(connection):
    assert call(connection, GOOD, extra=[("grpc-timeout", "0m")]) == 4


@pytest.mark.parametrize(
    "field",
    [("connection", "close"), ("Upper-Case", "x"), ("bad name", "x"), ("x", "a\nb"), (":unknown", "x")],
)
def test_a_header_that_http2_forbids(connection, field):
    frame = connection.headers_frame(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", stubs.COMPLETE),
            (":authority", "t"),
            ("content-type", "application/grpc"),
            field,
        ]
    )
    connection.send(frame)
    connection.data(frame.stream_id, GOOD)
    stream = connection.finish(frame.stream_id)
    assert stream.reset == 1 or stream.headers().get(":status") == "400"


def test_headers_without_end(connection):
    """64 KiB of metadata are refused for this stream only."""
    big = [(f"x-{n}", "v" * 1000) for n in range(64)]
    id = connection._next_id
    connection._next_id += 2
    connection.streams[id] = Stream()
    block = connection.encoder.encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", stubs.COMPLETE),
            (":authority", "t"),
            ("content-type", "application/grpc"),
            *big,
        ]
    )
    pieces = [block[i : i + 16384] for i in range(0, len(block), 16384)]
    frames = [HeadersFrame(id, pieces[0])] + [ContinuationFrame(id, piece) for piece in pieces[1:]]
    frames[-1].flags.add("END_HEADERS")
    connection.send(*frames)
    try:
        connection.data(id, GOOD)
    except OSError:
        pass
    stream = connection.finish(id)
    assert stream.reset is not None or stream.headers()[":status"] in ("431", "200")


def test_metadata_of_the_caller_does_not_reach_the_provider(connection, upstream):
    call(
        connection,
        GOOD,
        extra=[
            ("x-mine", "v"),
            ("authorization", "Bearer of-the-caller"),
            ("trace-bin", "AAEC"),
            ("trace-bin", "AA=="),
        ],
    )
    request = [r for r in upstream.requests(2) if "slow" not in r["body"]][-1]
    assert not {"x-mine", "trace-bin"} & set(request["headers"])
    assert request["headers"]["authorization"] == "Bearer sk-configured"


# MARK: frames that break a rule on one stream


def test_data_after_the_end(router, caller):
    """RFC 9113 5.1 lets the peer take it as a fault of the stream or of the connection."""
    with Connection(router.port) as connection:
        id = connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("slow-300")))
        connection.send(DataFrame(id, b"more"))
        connection.wait(lambda: connection.streams[id].is_over or connection.goaway)
    assert caller.complete().choices


def test_a_window_that_overflows_one_stream(connection):
    id = connection.open(stubs.STREAM, stubs.framed(stubs.stream_request("chunks-200+interval-20")))
    connection.send(WindowUpdateFrame(id, window_increment=(1 << 31) - 1))
    assert connection.finish(id).reset == 3


def test_a_reset_of_a_stream_that_is_over(connection):
    id = connection.open(stubs.COMPLETE, GOOD)
    connection.finish(id)
    connection.send(RstStreamFrame(id, error_code=8))
    connection.ping()


def test_more_streams_than_allowed_are_refused_not_lost(router):
    with Connection(router.port) as connection:
        ids = [
            connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("slow-300")))
            for _ in range(1500)
        ]
        answered = 0
        for id in ids:
            stream = connection.finish(id)
            if stream.reset is None:
                assert stream.headers()["grpc-status"] == "0"
                answered += 1
            else:
                assert stream.reset == 7, "REFUSED_STREAM says that the call may be sent again"
        assert answered >= 100


# MARK: faults of the whole connection


def send_and_see_closed(router, *frames):
    """Sends frames on a new connection, which the router has to close."""
    with Connection(router.port) as connection:
        connection.ping()
        try:
            connection.send(*frames)
            connection.wait_closed()
        except OSError:
            pass  # closed before all was sent


def raw_frame(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "frame",
    [
        raw_frame(0, stream=0, payload=b"data on stream 0"),
        raw_frame(0, stream=99, payload=b"data on an idle stream"),
        raw_frame(1, flags=4, stream=2, payload=b"\x82"),
        raw_frame(1, flags=4, stream=1, payload=b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        raw_frame(4, payload=b"\0\0\0"),
        raw_frame(4, stream=1, payload=b""),
        raw_frame(4, payload=b"\0\x04\xff\xff\xff\xff"),
        raw_frame(6, payload=b"short"),
        raw_frame(8, payload=b"\0\0\0\0"),
        raw_frame(3, stream=99, payload=b"\0\0\0\x08"),
        raw_frame(9, flags=4, stream=1, payload=b"\x82"),
        raw_frame(0, stream=1, length=20_000),
        raw_frame(5, flags=4, stream=1, payload=b"\0\0\0\x02\x82"),
    ],
    ids=[
        "data-stream-0",
        "data-idle",
        "even-stream",
        "bad-hpack",
        "settings-size",
        "settings-on-stream",
        "window-too-large",
        "ping-size",
        "window-update-0",
        "reset-idle",
        "continuation-alone",
        "frame-too-large",
        "push-promise",
    ],
)
def test_a_malformed_frame_ends_only_its_connection(router, caller, frame):
    other = caller.stream("chunks-200+interval-20")
    next(other)
    send_and_see_closed(router, frame)
    next(other)
    other.cancel()
    assert caller.complete().choices


def test_http1_on_the_port(router, caller):
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while got := client.recv(4096):
            answer += got
    # Either a word in the client's own language, or just the end of the connection.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ") or answer[3:4] in (b"\x04", b"\x07")
    assert caller.complete().choices


def test_noise_on_the_port(router, caller):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", router.port), timeout=10) as client:
            try:
                client.sendall((PREFACE if source.random() < 0.5 else b"") + source.randbytes(2000))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except ConnectionError:
                pass
    assert caller.complete().choices


def test_a_connection_that_is_cut_in_the_middle_of_a_frame(router, caller, upstream):
    with Connection(router.port) as connection:
        frame = connection.headers_frame(
            [(":method", "POST"), (":scheme", "http"), (":path", stubs.COMPLETE)]
        )
        connection.send(frame.serialize()[:-3])
    assert caller.complete().choices


@pytest.mark.parametrize(
    "frame",
    [
        lambda id: PingFrame(0, opaque_data=b"12345678"),
        lambda id: SettingsFrame(0),
        lambda id: DataFrame(id, b""),
    ],
    ids=["pings", "settings", "empty-data"],
)
def test_frames_that_move_nothing_are_enough_at_some_point(router, caller, frame):
    """A hundred of them are nothing; ten thousand end the connection, and only that."""
    with Connection(router.port) as connection:
        id = connection.open(stubs.COMPLETE, end=False)
        for _ in range(100):
            connection.send(frame(id))
        connection.ping()
        assert connection.goaway is None
        try:
            for _ in range(100):
                connection.send(*[frame(id) for _ in range(100)])
        except OSError:
            pass
        connection.wait_closed()
        assert connection.goaway is None or connection.goaway.error_code == 0xB, connection.goaway
    assert caller.complete().choices


def test_a_message_that_grows_when_it_is_decoded(connection, upstream):
    """Two bytes a message on the wire, a hundred and more in memory."""
    before = upstream.stats()["calls"]
    completion = b"\x12\x00" * 100_000  # empty messages
    body = b"\x0a" + varint(len(completion)) + completion
    assert call(connection, prefix(len(body)) + body) == EXHAUSTED
    assert upstream.stats()["calls"] <= before + 1


def varint(value):
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes(written) + bytes([value])


def test_floods_do_not_reach_the_provider_and_leave_others_alone(router, caller, upstream):
    """Opened and reset at once, a thousand times over: nothing may be left at work."""
    with Connection(router.port) as connection:
        try:
            for _ in range(3000):
                id = connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("stall")))
                connection.send(RstStreamFrame(id, error_code=8))
            for _ in range(3000):
                connection.send(PingFrame(0, opaque_data=b"12345678"))
                connection.send(SettingsFrame(0))
                connection.send(PriorityFrame(1, depends_on=0, stream_weight=1))
        except OSError:
            pass  # the router has had enough of this connection
        assert caller.complete(timeout=10).choices
    eventually(lambda: upstream.stats()["open_calls"] == 0, "no provider call is left open")
    assert router.is_running()
