"""Makes a stream of JetStream that takes no message of more than so many bytes.

    make_stream.py URL STREAM SUBJECT BYTES
"""

import asyncio
import sys

import nats
from nats.js.api import StreamConfig


async def main(url, stream, subject, size):
    client = await nats.connect(url)
    config = StreamConfig(name=stream, subjects=[f"{subject}.>"], max_msg_size=int(size))
    await client.jetstream().add_stream(config)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
