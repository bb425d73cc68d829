"""A connection of vchan-rpc, as docs/PROTOCOL.md tells it: frames, segments, calls, credit and uploads. One thread; many calls may be in flight.

It owns nothing: `read(n)` gives up to n bytes, none at the end, and `write(data)` takes all of them. The server's end, and its Goodbye, are a Closed.
"""
import json
import struct

from binary_codec import decode, encode
from json_codec import from_json, to_json
from shapes import compact, fingerprint

HELLO, GOODBYE, REQUEST, INTERRUPT, CREDIT, SUCCESS, FAILURE, DEFECT, REFUSAL, CHUNK, END, PING, PONG, GOING_AWAY = range(1, 15)
NAMES = {SUCCESS: "Success", FAILURE: "Failure", DEFECT: "Defect", REFUSAL: "Refusal", END: "End"}
MORE, ENVELOPE = 1, 2
MAX_BODY = 67584


class Closed(Exception):
    """Of the Goodbye, or None where there was none."""


def envelope(deadline=None, discard=False, span=None, headers=None):
    """The milliseconds that a call may take, whether its result is not wanted, its span's 25 bytes, and pairs of texts."""
    bits, data = 0, b""
    if deadline is not None:
        bits, data = 1, struct.pack("<I", deadline)
    if discard:
        bits |= 2
    if span is not None:
        bits, data = bits | 4, data + span
    if headers is not None:
        texts = [text.encode() for pair in headers for text in pair]
        bits, data = bits | 8, data + struct.pack("<H", len(headers)) + b"".join(struct.pack("<H", len(text)) + text for text in texts)
    return bytes([bits]) + data


class Call:
    """A call in flight: what came of it so far, and what of its upload is still to be sent."""
    def __init__(self, id, index, method, upload):
        self.id, self.index, self.method = id, index, method
        self.items, self.end, self.value, self.left = [], None, None, False
        self.taken, self.outstanding = 0, 0
        self.upload, self.chunk = upload, None

    def told(self):
        return {"end": self.end, "value": self.value, "items": self.items, "left": self.left}


class Connection:
    def __init__(self, read, write, limits):
        self.read, self.write, self.own = read, write, limits
        self.calls, self.parts, self.next_id = {}, {}, 1
        self.pongs, self.going_away = 0, False

    def hello(self, service, methods, describe=False):
        """Meets the server: `methods` are names with what the page calls shapes, and whether the fingerprint is told. Returns the server's Hello."""
        self.methods = methods
        told = {
            "service": service,
            "limits": self.own,
            "methods": [{"name": name, "fingerprint": fingerprint(shapes) if told else ""} for name, (shapes, told) in methods.items()]
        }
        self.frame(HELLO, body=b"vchanrpc" + struct.pack("<H", 1) + compact({**told, "describe": True} if describe else told))
        type, _, _, _, body = self.receive()
        if type == GOODBYE:
            raise Closed(json.loads(body))
        assert type == HELLO and body[:8] == b"vchanrpc" and struct.unpack("<H", body[8:10]) == (1,)
        hello = json.loads(body[10:])
        self.limits = hello["limits"]
        theirs = {method["name"]: method["fingerprint"] for method in hello["methods"]}
        self.binary = {own["name"] for own in told["methods"] if theirs.get(own["name"]) == own["fingerprint"]}
        return hello

    # Frames

    def frame(self, type, flags=0, index=0, id=0, body=b""):
        self.write(struct.pack("<IBBHI", 8 + len(body), type, flags, index, id) + body)

    def take(self, size):
        data = b""
        while len(data) < size:
            part = self.read(size - len(data))
            if not part:
                raise Closed(None)
            data += part
        return data

    def receive(self):
        length, type, flags, index, id = struct.unpack("<IBBHI", self.take(12))
        return type, flags, index, id, self.take(length - 8)

    def message(self, type, index, id, body, flags=0):
        """Sends a message, in segments where it is longer than a frame's body."""
        if len(body) <= MAX_BODY:
            return self.frame(type, flags, index, id, body)
        data = struct.pack("<I", len(body)) + body
        for at in range(0, len(data), MAX_BODY):
            self.frame(type, flags | (MORE if at + MAX_BODY < len(data) else 0), index, id, data[at:at + MAX_BODY])

    # Calls

    def encode(self, name, shape, value):
        return encode(shape, value) if name in self.binary else compact(to_json(shape, value))

    def decode(self, name, shape, body):
        return decode(shape, body) if name in self.binary else from_json(shape, json.loads(body))

    def call(self, name, payload=None, about=None, upload=None):
        """Begins a call: `about` is its envelope, `upload` gives lists of items."""
        index, (shapes, _) = list(self.methods).index(name), self.methods[name]
        call = Call(self.next_id, index, name, None if upload is None else iter(upload))
        self.calls[call.id], self.next_id = call, self.next_id + 1
        body = self.encode(name, shapes["payload"], payload)
        if about is None:
            self.message(REQUEST, index, call.id, body)
        else:
            self.message(REQUEST, index, call.id, about + body, ENVELOPE)
        self.send(call)
        return call

    def interrupt(self, call):
        call.upload = None
        self.frame(INTERRUPT, 0, call.index, call.id)

    def credit(self, call):
        self.frame(CREDIT, 0, 0, call.id, struct.pack("<I", call.taken))
        call.taken = 0

    def leave(self):
        self.frame(GOING_AWAY)

    def result(self, call):
        """What came of a call, at its end."""
        while call.end is None:
            self.step()
        return call.told()

    def send(self, call):
        """Sends what the server's window takes of a call's upload."""
        window = self.limits["window"]
        while call.upload is not None:
            if call.chunk is None:
                items = next(call.upload, None)
                if items is None:
                    call.upload = None
                    return self.frame(END, 0, call.index, call.id)
                call.chunk = self.encode(call.method, {"array": self.methods[call.method][0]["upload"]["item"]}, items), len(items)
            body, cost = call.chunk[0], sum((len(call.chunk[0]), call.chunk[1]))
            if call.outstanding + cost > window and call.outstanding * 4 >= window:
                return
            self.message(CHUNK, call.index, call.id, body)
            call.outstanding, call.chunk = call.outstanding + cost, None

    def fail(self, call, error):
        """Ends a call's upload with its own error."""
        call.upload = None
        self.frame(FAILURE, 0, call.index, call.id, self.encode(call.method, self.methods[call.method][0]["upload"]["error"], error))

    def step(self):
        """Takes a frame, and does what it asks for."""
        type, flags, _, id, body = self.receive()
        if type == GOODBYE:
            raise Closed(json.loads(body))
        if type == PING:
            self.frame(PONG)
        elif type == PONG:
            self.pongs += 1
        elif type == GOING_AWAY:
            self.going_away = True
        elif type == CREDIT and id in self.calls:
            self.calls[id].outstanding -= struct.unpack("<I", body)[0]
            self.send(self.calls[id])
        elif type == INTERRUPT and id in self.calls:
            self.calls[id].upload, self.calls[id].left = None, True
        elif type not in (CREDIT, INTERRUPT):
            self.segment(type, flags, self.calls[id], body)

    def segment(self, type, flags, call, body):
        if call.id in self.parts and self.parts[call.id][0] != type:
            assert type in NAMES, "only an end breaks a message off"
            del self.parts[call.id]
        if call.id in self.parts:
            self.parts[call.id][2] += body
        elif flags & MORE:
            self.parts[call.id] = [type, struct.unpack("<I", body[:4])[0], bytearray(body[4:])]
        else:
            return self.whole(type, call, body)
        if not flags & MORE:
            _, length, data = self.parts.pop(call.id)
            assert len(data) == length, "a message is as long as told"
            self.whole(type, call, bytes(data))

    def whole(self, type, call, body):
        shapes, _ = self.methods[call.method]
        if type == CHUNK:
            items = self.decode(call.method, {"array": shapes["success"]}, body)
            call.items += items
            call.taken += len(body) + len(items)
            if call.taken * 4 >= self.own["window"]:
                self.credit(call)
            return
        if type == SUCCESS:
            call.value = self.decode(call.method, shapes["success"], body)
        elif type == FAILURE:
            call.value = self.decode(call.method, shapes["error"], body)
        elif body:
            call.value = json.loads(body)
        call.end, call.upload = NAMES[type], None
        del self.calls[call.id]
