"""Writes the API reference from the proto file and its comments.

`python -m website.api_reference > docs/api-reference.md`
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2 as described
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTO = "moderation/v1/moderation.proto"
PACKAGE = ".moderation.v1."
HEAD = """\
# API reference

Made from [moderation.proto](../protos/moderation/v1/moderation.proto) by `make pages`; do not edit.
[The API](api.md) says how to use it well.
"""
Field = described.FieldDescriptorProto
# The numbers by which descriptor.proto finds a comment: kinds in a file, then parts of a kind.
MESSAGE, ENUM, SERVICE = 4, 5, 6
PART = 2


class Comments:
    """The comments of the file, by the place that they belong to."""

    def __init__(self, file: described.FileDescriptorProto) -> None:
        places = file.source_code_info.location
        self._by_path = {tuple(place.path): place.leading_comments for place in places}

    def at(self, *path: int) -> str:
        """The comment as one line; angle brackets and bars would be taken for markup."""
        text = " ".join(self._by_path.get(path, "").split())
        return text.replace("<", "&lt;").replace("|", "\\|")


def described_file() -> described.FileDescriptorProto:
    """The proto file as the compiler understands it, comments included."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "descriptors")
        command = ["protoc", f"-I{ROOT / 'protos'}", f"-I{files('grpc_tools') / '_proto'}"]
        command += ["--include_source_info"]
        command += [f"--descriptor_set_out={path}", PROTO]
        if protoc.main(command) != 0:
            sys.exit(f"{PROTO} cannot be compiled; see above")
        return described.FileDescriptorSet.FromString(path.read_bytes()).file[0]


def reference() -> str:
    """The whole page."""
    file = described_file()
    comments = Comments(file)
    parts = [HEAD, *_services(file, comments), "## Messages\n", *_messages(file, comments)]
    return "\n".join([*parts, "## Enums\n", *_enums(file, comments)])


def _services(file: described.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for place, service in enumerate(file.service):
        yield f"## {service.name}\n\n{comments.at(SERVICE, place)}\n"
        for number, method in enumerate(service.method):
            asks = _streamed(method.client_streaming, method.input_type)
            answers = _streamed(method.server_streaming, method.output_type)
            meaning = comments.at(SERVICE, place, PART, number)
            yield f"### {method.name}\n\n{meaning}\n\nTakes {asks}, answers {answers}.\n"


def _messages(file: described.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for place, message in enumerate(file.message_type):
        rows = [
            (f"`{field.name}`", _type(field), comments.at(MESSAGE, place, PART, number))
            for number, field in enumerate(message.field)
        ]
        yield f"### {message.name}\n\n{comments.at(MESSAGE, place)}\n"
        if rows:
            yield _table(("field", "type", "meaning"), rows)


def _enums(file: described.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for place, enum in enumerate(file.enum_type):
        rows = [
            (f"`{value.name}`", str(value.number), comments.at(ENUM, place, PART, number))
            for number, value in enumerate(enum.value)
        ]
        yield f"### {enum.name}\n\n{comments.at(ENUM, place)}\n"
        yield _table(("value", "number", "meaning"), rows)


def _type(field: Field) -> str:
    name = _linked(field.type_name) if field.type_name else Field.Type.Name(field.type)
    name = name.removeprefix("TYPE_").lower() if not field.type_name else name
    if field.label == Field.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def _streamed(is_stream: bool, type_name: str) -> str:
    return f"{'a stream of ' if is_stream else ''}{_linked(type_name)}"


def _linked(type_name: str) -> str:
    name = type_name.removeprefix(PACKAGE).removeprefix(".")
    return f"[{name}](#{name.lower()})" if type_name.startswith(PACKAGE) else f"`{name}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
