"""Checks the data of the events of a file of lines against the JSON Schemas that they name.

    check_data.py FILE SCHEMAS

SCHEMAS is a folder with a file for each schema, named by its CID. One line of JSON for each event: its id, and the title
of its schema.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def main(path, schemas):
    for line in pathlib.Path(path).read_text().splitlines():
        event = json.loads(line)
        schema = json.loads(pathlib.Path(schemas, event["dataschema"].rsplit("/", 1)[1]).read_text())
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(event["data"])
        print(json.dumps({"id": event["id"], "title": schema["title"]}))


main(*sys.argv[1:])
