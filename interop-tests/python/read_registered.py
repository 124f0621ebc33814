"""A schema registry in memory, and what clients of Confluent's read with it.

    read_registered.py FILE

Prints its port, waits for a line, and then reads the events of the file of lines: data of Avro with confluent-kafka's
deserializer, data of Protobuf with its own and a class that protoc makes of the registered schema. One line of JSON for
each event.
"""

import base64
import json
import pathlib
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from read_data import message_class, of_message, plain

# Schemas by their numbers, from 100 on, with their subjects.
REGISTERED = []
FIRST = 100


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, subjects, subject, versions = self.path.split("/")
        assert (subjects, versions) == ("subjects", "versions"), self.path
        assert self.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
        assert self.headers["authorization"] == "Bearer registry-token"
        entry = (subject, body["schemaType"], body["schema"])
        if entry not in REGISTERED:
            REGISTERED.append(entry)
        self.answer(200, {"id": FIRST + REGISTERED.index(entry)})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        path = path.split("/")
        if path[1:3] != ["schemas", "ids"]:
            self.answer(404, {"error_code": 40401, "message": self.path})
            return
        subject, kind, schema = REGISTERED[int(path[3]) - FIRST]
        if "format=serialized" in query:
            file = descriptor_pb2.FileDescriptorSet.FromString(compiled(schema)).file[0]
            schema = base64.b64encode(file.SerializeToString()).decode()
        self.answer(200, {"schema": schema, "schemaType": kind, "subject": subject, "version": 1})

    def log_message(self, *_):
        pass


def compiled(text):
    """What protoc makes of a schema: its file, as a FileDescriptorSet."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "schema.proto")
        source.write_text(text)
        out = pathlib.Path(folder, "out")
        failed = protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={out}", str(source)])
        assert not failed, text
        return out.read_bytes()


def main(path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.readline()
    client = SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}"})
    context = SerializationContext("topic", MessageField.VALUE)
    for line in pathlib.Path(path).read_text().splitlines():
        event = json.loads(line)
        data = base64.b64decode(event["data_base64"])
        number = int.from_bytes(data[1:5], "big")
        subject, kind, schema = REGISTERED[number - FIRST]
        if kind == "AVRO":
            record = AvroDeserializer(client)(data, context)
            name = json.loads(schema)["name"]
        else:
            name, message = message_class(compiled(schema))
            conf = {"use.deprecated.format": False}
            record = of_message(ProtobufDeserializer(message, conf, client)(data, context))
        assert subject == name, subject
        print(json.dumps({"id": event["id"], "name": name, "record": plain(record)}))


main(*sys.argv[1:])
