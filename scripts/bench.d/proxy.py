"""A way to PostgreSQL that can be made long, and on which round trips are counted and statements' types are read."""

import asyncio
import struct
import threading
import time


class Proxy:
    """Everything takes `delay` seconds to get there, and as much to get back."""

    def __init__(self, port, delay=0.0):
        self.target, self.delay = port, delay
        # By the port that PostgreSQL sees: how often somebody asked and then waited.
        self.trips = {}
        # {statement: the numbers of its parameters' types}
        self.types = {}
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader, writer):
        to_read, to_write = await asyncio.open_connection("127.0.0.1", self.target)
        name = to_write.get_extra_info("sockname")[1]
        self.trips[name] = 0
        asked = Asked(self.types)
        waiting = False

        def there(data):
            nonlocal waiting
            asked.take(data)
            if not waiting:
                self.trips[name] += 1
                waiting = True

        def back(_):
            nonlocal waiting
            waiting = False

        try:
            await asyncio.gather(self._carry(reader, to_write, there), self._carry(to_read, writer, back))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            to_write.close()

    async def _carry(self, reader, writer, look):
        """What comes later does not wait for what came before, but for the end of its own way."""
        under_way = asyncio.Queue()

        async def arrive():
            while (item := await under_way.get()) is not None:
                await asyncio.sleep(max(0.0, item[0] - time.monotonic()))
                writer.write(item[1])
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        arriving = asyncio.ensure_future(arrive())
        try:
            while data := await reader.read(65536):
                look(data)
                under_way.put_nowait((time.monotonic() + self.delay, data))
            under_way.put_nowait(None)
            await arriving
        finally:
            arriving.cancel()


class Asked:
    """Reads what a client of PostgreSQL sends, for the types of the statements that it prepares."""

    def __init__(self, types):
        self.types, self.buffer, self.begun = types, b"", False

    def take(self, data):
        self.buffer += data
        while True:
            # The first message has no letter before its length.
            head = 1 if self.begun else 0
            if len(self.buffer) < head + 4:
                return
            length = head + struct.unpack_from("!I", self.buffer, head)[0]
            if len(self.buffer) < length:
                return
            if self.begun and self.buffer[:1] == b"P":
                _, statement, rest = self.buffer[5:length].split(b"\0", 2)
                count = struct.unpack_from("!H", rest)[0]
                self.types[statement.decode()] = struct.unpack_from(f"!{count}I", rest, 2)
            # A question about TLS has this length and comes before all else.
            self.begun = self.begun or length != 8
            self.buffer = self.buffer[length:]
