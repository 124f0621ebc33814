"""Publishes messages that are no events into a stream of JetStream, once it has some; then prints how many are where.

    stranger.py URL STREAM SUBJECT TIMES

One line of JSON for each subject of the stream: the subject, and how many messages it has.
"""

import asyncio
import json
import sys

import nats


async def main(url, stream, subject, times):
    client = await nats.connect(url)
    jetstream = client.jetstream()
    while (await jetstream.stream_info(stream)).state.messages == 0:
        pass
    for _ in range(int(times)):
        await jetstream.publish(subject, b"?")
    info = await jetstream.stream_info(stream, subjects_filter=">")
    for name, messages in info.state.subjects.items():
        print(json.dumps({"subject": name, "messages": messages}))
    await client.close()


asyncio.run(main(*sys.argv[1:]))
