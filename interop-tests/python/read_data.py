"""Prints what the events of a file of lines say, as fastavro and protobuf read it.

    read_data.py FILE SCHEMAS

SCHEMAS is a folder with a file for each schema, named by its CID. One line of JSON for each event: the name of its
record, and the record, with bytes as base64.
"""

import base64
import io
import json
import pathlib
import sys

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def of_avro(schema, data):
    parsed = parse_schema(json.loads(schema))
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
    assert data[:2] == b"\xc3\x01" and data[2:10] == crc, data[:10]
    body = io.BytesIO(data[10:])
    record = fastavro.schemaless_reader(body, parsed, None)
    assert not body.read(), "there is something behind it"
    return parsed["name"], record


def message_class(schema):
    """The class of the only message that a FileDescriptorSet declares, and its name."""
    files = descriptor_pb2.FileDescriptorSet.FromString(schema)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    name = f"{files.file[0].package}.{files.file[0].message_type[0].name}"
    return name, message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def of_message(message):
    record = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            record[field.name] = [of_message(part) if field.message_type else part for part in value]
        elif field.has_presence and not message.HasField(field.name):
            record[field.name] = None
        else:
            record[field.name] = of_message(value) if field.message_type else value
    return record


def of_protobuf(schema, data):
    name, kind = message_class(schema)
    return name, of_message(kind.FromString(data))


def self_describing():
    """The message that the documentation of Protobuf gives for messages that describe themselves."""
    file = descriptor_pb2.FileDescriptorProto(
        name="self_describing.proto",
        syntax="proto3",
        dependency=["google/protobuf/any.proto", "google/protobuf/descriptor.proto"],
    )
    message = file.message_type.add(name="SelfDescribingMessage")
    optional, kind = 1, 11
    message.field.add(
        name="descriptor_set", number=1, label=optional, type=kind, type_name=".google.protobuf.FileDescriptorSet"
    )
    message.field.add(name="message", number=2, label=optional, type=kind, type_name=".google.protobuf.Any")
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, descriptor_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("SelfDescribingMessage"))


def of_described(data):
    read = self_describing().FromString(data)
    name, kind = message_class(read.descriptor_set.SerializeToString())
    assert read.message.type_url == f"type.googleapis.com/{name}", read.message.type_url
    return name, of_message(kind.FromString(read.message.value))


def main(path, schemas):
    for line in pathlib.Path(path).read_text().splitlines():
        event = json.loads(line)
        data = base64.b64decode(event["data_base64"])
        schema = pathlib.Path(schemas, event["dataschema"].rsplit("/", 1)[1]).read_bytes()
        if event["datacontenttype"] == "application/avro":
            name, record = of_avro(schema, data)
        elif event["datacontenttype"] == "application/protobuf":
            name, record = of_protobuf(schema, data)
        else:
            assert event["datacontenttype"] == "application/protobuf; self-describing=true"
            name, record = of_described(data)
        print(json.dumps({"id": event["id"], "name": name, "record": plain(record)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
