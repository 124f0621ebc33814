"""Takes all messages of a stream of JetStream away.

    purge.py URL STREAM
"""

import asyncio
import sys

import nats


async def main(url, stream):
    client = await nats.connect(url)
    await client.jetstream().purge_stream(stream)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
