"""Publishes a message that is no event.

    publish.py URL SUBJECT TEXT
"""

import asyncio
import sys

import nats


async def main(url, subject, text):
    client = await nats.connect(url)
    await client.jetstream().publish(subject, text.encode())
    await client.close()


asyncio.run(main(*sys.argv[1:]))
