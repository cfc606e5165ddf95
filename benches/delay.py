#!/usr/bin/env python3
"""A TCP proxy that delays every byte, both ways: `delay.py PORT UPSTREAM_PORT ROUND_TRIP_MS`.

It stands between a client and a registry on loopback, where the kernel's own netem is not there.
"""

import asyncio
import sys

PIECE_BYTES = 256 * 1024
# Pieces on their way at once, in one direction of one connection.
PIECES_MAX = 64


async def carry(reader, writer, delay):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue(PIECES_MAX)

    async def deliver():
        while True:
            due, piece = await queue.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    task = asyncio.create_task(deliver())
    try:
        while True:
            piece = await reader.read(PIECE_BYTES)
            await queue.put((loop.time() + delay, piece))
            if not piece:
                break
        await task
    except (ConnectionError, asyncio.CancelledError):
        task.cancel()
        writer.close()


async def main():
    port, upstream, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2000

    async def serve(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(carry(reader, far_writer, delay), carry(far_reader, writer, delay))

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=256)
    async with server:
        await server.serve_forever()


asyncio.run(main())
