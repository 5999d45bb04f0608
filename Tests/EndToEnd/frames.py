"""An HTTP/2 connection that sends any frames, also wrong ones: hyperframe and hpack over a bare socket."""

import socket
import struct
import time

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Stream:
    """What came on one stream so far."""

    def __init__(self):
        self.blocks = []  # header blocks, each a list of (name, value)
        self.data = bytearray()
        self.ended = False
        self.reset = None  # error code

    def headers(self):
        return {name: value for block in self.blocks for name, value in block}

    @property
    def is_over(self):
        return self.ended or self.reset is not None


class Connection:
    def __init__(self, port, window=65535, seconds=10, preface=True):
        self.seconds = seconds
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams, self.pings, self.goaway, self.closed = {}, [], None, False
        self._received, self._next_id = b"", 1
        self.reads_freely = True  # whether windows are opened again as data comes
        if preface:
            settings = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})
            self.socket.sendall(PREFACE + settings.serialize())

    def send(self, *frames):
        """Sends frames, or bytes as they are."""
        self.socket.sendall(b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames))

    def headers_frame(self, fields, id=None, end=False):
        if id is None:
            id, self._next_id = self._next_id, self._next_id + 2
        frame = HeadersFrame(id, self.encoder.encode(fields))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        self.streams[id] = Stream()
        return frame

    def open(self, path, body=None, end=True, extra=(), method="POST", content_type="application/grpc"):
        """Opens a gRPC call and returns its stream id; `body` None sends only the headers."""
        fields = [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("te", "trailers"),
        ]
        fields += [("content-type", content_type)] if content_type else []
        frame = self.headers_frame([*fields, *extra], end=body is None and end)
        self.send(frame)
        if body is not None:
            self.data(frame.stream_id, body, end)
        return frame.stream_id

    def data(self, id, body, end=True):
        """Sends a body in frames of at most 16 KiB; pays no heed to the peer's window."""
        pieces = [body[i : i + 16384] for i in range(0, len(body), 16384)] or [b""]
        for i, piece in enumerate(pieces):
            frame = DataFrame(id, piece)
            if end and i == len(pieces) - 1:
                frame.flags.add("END_STREAM")
            self.send(frame)

    def open_window(self, count, id=0):
        self.send(WindowUpdateFrame(id, window_increment=count))

    def ping(self):
        """Sends a PING and waits for its answer: the connection lives."""
        data = struct.pack("!d", time.monotonic())
        self.send(PingFrame(0, opaque_data=data))
        self.wait(lambda: data in self.pings)

    def finish(self, id):
        """Waits until a stream is over and returns it."""
        self.wait(lambda: self.streams[id].is_over)
        return self.streams[id]

    def wait(self, condition):
        give_up = time.monotonic() + self.seconds
        while not condition():
            assert not self.closed, f"the peer closed the connection; GOAWAY: {self.goaway}"
            assert time.monotonic() < give_up, f"nothing came for {self.seconds} s"
            self._read()

    def wait_closed(self):
        """Waits until the peer has closed the connection."""
        give_up = time.monotonic() + self.seconds
        while not self.closed and time.monotonic() < give_up:
            self._read()
        assert self.closed, "the peer keeps the connection open"

    def read_for(self, seconds):
        """Takes what comes for so long."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up and not self.closed:
            self._read(0.05)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self, seconds=None):
        self.socket.settimeout(seconds or self.seconds)
        try:
            got = self.socket.recv(1 << 16)
        except TimeoutError:
            return
        except ConnectionError:
            got = b""
        if not got:
            self.closed = True
        self._received += got
        while len(self._received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._received[:9]))
            if len(self._received) < 9 + length:
                break
            frame.parse_body(memoryview(self._received[9 : 9 + length]))
            self._received = self._received[9 + length :]
            self._take(frame)

    def _take(self, frame):
        stream = self.streams.get(frame.stream_id)
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" in frame.flags:
            self.pings.append(frame.opaque_data)
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame
        elif isinstance(frame, HeadersFrame) and stream:
            assert "END_HEADERS" in frame.flags, "a header block in several frames"
            stream.blocks.append(self.decoder.decode(frame.data))
            stream.ended |= "END_STREAM" in frame.flags
        elif isinstance(frame, DataFrame) and stream:
            stream.data += frame.data
            stream.ended |= "END_STREAM" in frame.flags
            if self.reads_freely and frame.flow_controlled_length:
                self.send(WindowUpdateFrame(0, window_increment=frame.flow_controlled_length))
                if not stream.ended:
                    self.send(
                        WindowUpdateFrame(frame.stream_id, window_increment=frame.flow_controlled_length)
                    )
        elif isinstance(frame, RstStreamFrame) and stream:
            stream.reset = frame.error_code


def messages(data):
    """The gRPC messages in a stream's data, and what is left of one that is not complete."""
    found, at = [], 0
    while at + 5 <= len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            break
        found.append(bytes(data[at + 5 : end]))
        at = end
    return found, bytes(data[at:])
