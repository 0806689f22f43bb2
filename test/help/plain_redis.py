"""As much of redis-py as the examples of docs/LOCKS.md use, where it is not installed: one connection, RESP2, replies as bytes."""
import socket


class Redis:
    def __init__(self, host, port, single_connection_client=True):
        assert single_connection_client
        self.connection = socket.create_connection((host, port))
        self.stream = self.connection.makefile('rwb')

    def close(self):
        self.stream.close()
        self.connection.close()

    def execute_command(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.stream.write(b'*%d\r\n' % len(parts) + b''.join(b'$%d\r\n%s\r\n' % (len(part), part) for part in parts))
        self.stream.flush()
        return self.reply()

    def reply(self):
        line = self.stream.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b'+':
            return rest
        if kind == b'-':
            raise Exception(rest.decode())
        if kind == b':':
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b'*':
            return [self.reply() for _ in range(int(rest))]
        return self.stream.read(int(rest) + 2)[:-2]
