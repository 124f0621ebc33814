"""Prints what a stream of JetStream has, as nats-py and the SDK of CloudEvents read it.

    read_stream.py URL STREAM SUBJECT

One line of JSON for each message, in the order of the stream: its sequence, subject, and the event.
"""

import asyncio
import json
import sys

import nats
from cloudevents.core.bindings import http
from nats.js.api import ConsumerConfig, DeliverPolicy

IDLE_S = 2


def event_of(message):
    headers = {name.lower(): value for name, value in (message.headers or {}).items()}
    read = http.from_http_event(http.HTTPMessage(headers=headers, body=message.data))
    data = read.get_data()
    return {
        "id": read.get_id(),
        "source": read.get_source(),
        "type": read.get_type(),
        "subject": read.get_subject(),
        "time": read.get_time().isoformat() if read.get_time() else None,
        "sequence": read.get_extension("sequence"),
        "partitionkey": read.get_extension("partitionkey"),
        "data": data if isinstance(data, (dict, list, str)) else None,
    }


async def main(url, stream, subject):
    client = await nats.connect(url)
    jetstream = client.jetstream()
    info = await jetstream.stream_info(stream)
    left = info.state.messages
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    reader = await jetstream.pull_subscribe(f"{subject}.>", stream=stream, config=config)
    while left > 0:
        for message in await reader.fetch(min(left, 256), timeout=IDLE_S):
            left -= 1
            line = {"at": message.metadata.sequence.stream, "on": message.subject}
            print(json.dumps(line | event_of(message)))
            await message.ack()
    await client.close()


asyncio.run(main(*sys.argv[1:]))
