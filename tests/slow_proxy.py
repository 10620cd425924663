"""A TCP proxy that makes a network slow: what comes in goes out some time later, in its order.

    python -m tests.slow_proxy LISTEN_PORT SERVER_PORT SECONDS

`SECONDS` is one way; prints a line when it listens. It runs as a separate process, so that it
delays bytes and not the load.
"""

import asyncio
import sys
from contextlib import suppress

CHUNK = 65_536


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Write the bytes it reads, `seconds` later, until the stream ends."""
    loop = asyncio.get_running_loop()
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)

    writing = asyncio.create_task(write())
    data = b"-"
    while data:
        try:
            data = await reader.read(CHUNK)
        except ConnectionError:
            data = b""
        held.put_nowait((loop.time() + seconds, data))
    with suppress(ConnectionError):
        await writing


async def main(listen: int, server: int, seconds: float) -> None:
    """Serve for ever."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server)
        await asyncio.gather(pass_on(reader, back, seconds), pass_on(there, writer, seconds))

    proxy = await asyncio.start_server(connect, "127.0.0.1", listen)
    print("listening", flush=True)  # noqa: T201 - the starting process waits for this
    await proxy.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
