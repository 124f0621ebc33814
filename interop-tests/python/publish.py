"""Publishes a message that is no event: a text, so many times in one.

    publish.py URL SUBJECT TEXT [TIMES]
"""

import asyncio
import sys

import nats


async def main(url, subject, text, times="1"):
    client = await nats.connect(url)
    await client.jetstream().publish(subject, text.encode() * int(times))
    await client.close()


asyncio.run(main(*sys.argv[1:]))
