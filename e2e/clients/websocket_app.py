"""A WebSocket server on port 9000, made with the websockets library.

Echoes each message; `close N` closes with that code, `push N` sends N messages, `die` ends the
process.
"""

import asyncio
import os

import websockets


async def serve(connection, path="/"):
    await connection.send("hello " + connection.request_headers.get("X-Scf-Function-Name", path))
    async for message in connection:
        word, _, number = str(message).partition(" ")
        if word == "close":
            await connection.close(int(number))
        elif word == "push":
            for n in range(int(number)):
                await connection.send(f"push {n}")
        elif word == "die":
            os._exit(3)
        else:
            await connection.send(message)


async def main():
    async with websockets.serve(serve, "0.0.0.0", 9000, ping_interval=None, max_size=None):
        await asyncio.Future()


asyncio.run(main())
