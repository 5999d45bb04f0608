"""Prints JunctionProtobufTests/Goldens.swift: the shelf messages as Python's protobuf writes them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install grpcio-tools
    /tmp/venv/bin/python Tests/Support/Shelf/goldens.py > Tests/JunctionProtobufTests/Goldens.swift
"""
import pathlib
import sys
import tempfile

from grpc_tools import protoc

protos = pathlib.Path(__file__).parent / "Protos"
out = tempfile.mkdtemp()
files = sorted(str(file.relative_to(protos)) for file in protos.rglob("*.proto"))
assert protoc.main(["protoc", f"-I{protos}", f"--python_out={out}", *files]) == 0
sys.path.insert(0, out)

from lending.reader_pb2 import Reader
from plain_pb2 import Plain
from shelf.v1.binding_pb2 import Binding
from shelf.v1 import shelf_pb2 as pb

INTEGERS = "int32 int64 sint32 sint64 sfixed32 sfixed64".split()
UNSIGNED = "uint32 uint64 fixed32 fixed64".split()


def bounds(name):
    bits = 64 if "64" in name else 32
    return (0, 2**bits - 1) if name in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def scalars(end):
    message = pb.Scalars(a_double=(-1.5, 1e300)[end], a_float=(-0.25, float("inf"))[end], a_bool=True)
    for name in INTEGERS + UNSIGNED:
        article = "an_" if name[0] == "i" or name.startswith("sf") else "a_"
        setattr(message, article + name, bounds(name)[end])
    message.a_string = ("Zürich 🚆", "a")[end]
    message.some_bytes = (b"\x00\xff\x00", b"\x80")[end]
    message.genre = (pb.GENRE_LOST, pb.GENRE_1990S)[end]
    message.last = bounds("int32")[end]
    return message


def lists():
    message = pb.Lists(doubles=[0, -1.5], floats=[0.5, 0], bools=[True, False, True], loose=[0, -1, 300])
    for name in INTEGERS + UNSIGNED:
        getattr(message, name + "s").extend([bounds(name)[0], 0, 1, bounds(name)[1]])
    message.strings.extend(["", "é", "z"])
    message.byte_strings.extend([b"", b"\x00"])
    message.genres.extend([pb.GENRE_LOST, pb.GENRE_UNSPECIFIED, pb.GENRE_STORIES])
    message.books.extend([pb.Book(), pb.Book(title="b")])
    return message


def maps():
    return pb.Maps(
        by_name={"k": "v"}, by_number={-1: pb.Book(title="b")}, by_flag={True: pb.GENRE_LOST},
        by_id={2**64 - 1: b"\x00"}, by_offset={-2: 0.5}, readers={"r": Reader(name="n")})


def book():
    return pb.Book(
        title="t", type=pb.Book.TYPE_NOVEL, hard="", pages=0, subtitle="", genre=pb.GENRE_UNSPECIFIED,
        digest=b"", is_lent=False, reader=Reader(), mark="m", binding=Binding(thread="linen"),
        plain=Plain(text="p"),
        edition=pb.Book.Edition(publisher="p", printings=[pb.Book.Edition.Printing(number=2)]))


def tree():
    return pb.Tree(
        label="root", left=pb.Tree(label="l"), branches=[pb.Tree(), pb.Tree(label="b")],
        named={"n": pb.Tree(label="n")}, through=pb.Branch(tree=pb.Tree(label="t")), shadow=pb.Tree(),
        branch=pb.Branch(tree=pb.Tree()))


def words():
    message = pb.Words(let=18, int=28, double=[29], nil=0)
    for field in pb.Words.DESCRIPTOR.fields:
        text = f"w{field.number}"
        if field.type != field.TYPE_STRING or field.containing_oneof:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(text)
        else:
            setattr(message, field.name, text)
    setattr(message, "as", "w26")
    message.func = b"f"
    setattr(message, "class", True)
    getattr(message, "var").SetInParent()
    getattr(message, "default").add()
    message.messages.add()
    message.values.append(39)
    for name in ("where", "entry", "item"):
        getattr(message, name)["k"] = name
    return message


GOLDENS = {
    "lowest": scalars(0), "highest": scalars(1), "lists": lists(), "unsaid": pb.Lists(unsaid=[1, 300]),
    "maps": maps(),
    "book": book(), "soft": pb.Book(soft=b"s"), "asEdition": pb.Book(as_edition=pb.Book.Edition()),
    "asGenre": pb.Book(as_genre=pb.GENRE_UNSPECIFIED), "noCover": pb.Book(none=False),
    "tree": tree(), "words": words(),
}

print("// Messages on the wire as Python's protobuf writes them: printed by Tests/Support/Shelf/goldens.py.")
print("\nenum Golden {")
for name, message in GOLDENS.items():
    hexadecimal = message.SerializeToString(deterministic=True).hex()
    lines = [hexadecimal[at:at + 96] for at in range(0, len(hexadecimal), 96)]
    text = "".join(f"        {line}\n" for line in lines)
    print(f'    static let {name} = bytes(\n        """\n{text}        """)')
print("}")
