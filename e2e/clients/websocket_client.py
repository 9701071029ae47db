"""The websockets library against one function: one connection and its events.

Arguments: URL, scenario, optionally a file to create after the first message of the server. Prints
one line per event.
"""

import asyncio
import pathlib
import sys

import websockets

url, scenario, *said_hello = sys.argv[1:]
# A long frame must not be split.
compression = None if scenario == "big" else "deflate"


async def echo(connection):
    for message in ["one", "two" * 10_000, b"\x00\xff" * 1000]:
        await connection.send(message)
        assert await connection.recv() == message
    await connection.send("push 100")
    for n in range(100):
        assert await connection.recv() == f"push {n}"
    print("echoed")
    await connection.close(1000)


async def told(connection):
    """Sends the scenario's text and waits until the connection ends."""
    await connection.send(scenario)
    try:
        while True:
            print(await connection.recv())
    except websockets.ConnectionClosed as closed:
        print("closed", closed.rcvd.code if closed.rcvd else None, closed.rcvd.reason if closed.rcvd else "")


async def main():
    async with websockets.connect(url, ping_interval=None, max_size=None, compression=compression) as connection:
        first = await connection.recv()
        assert first.startswith("hello"), first
        for file in said_hello:
            pathlib.Path(file).touch()
        if scenario == "echo":
            await echo(connection)
        elif scenario == "leave":
            await connection.close(4000)
        elif scenario == "big":
            await connection.send("x" * 300_000)
            await told(connection)
        else:
            await told(connection)


asyncio.run(main())
