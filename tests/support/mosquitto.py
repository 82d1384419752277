"""An MQTT broker on loopback: Debian's mosquitto, with its data in the bench's folder, and clients.

    mosquitto = Mosquitto(bench).start()
    mosquitto.publish("home/door", "open", retain=True)
"""

import shutil
import socket

from . import processes
from .ports import free_port

SERVER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Mosquitto(processes.Program):
    """extra: more lines of its configuration. login: (user, password) of all clients."""

    def __init__(self, bench, name="mosquitto", extra="", login=None, tls=None):
        self.port, self.login, self.tls = free_port(), login, tls
        self.data = bench.subfolder(f"{name}-data")
        self.conf = bench.folder / f"{name}.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence true",
                 f"persistence_location {self.data}/",
                 "autosave_interval 1", "user root", "log_type all", "max_queued_messages 0", extra]
        if tls:
            lines += [f"certfile {tls.cert}", f"keyfile {tls.key}"]
        if login:
            passwords = bench.folder / f"{name}.passwords"
            done = processes.run(["mosquitto_passwd", "-b", "-c", passwords, *login])
            assert done.returncode == 0, done.stderr
            lines.append(f"password_file {passwords}")
        else:
            lines.append("allow_anonymous true")
        self.conf.write_text("\n".join(lines) + "\n")
        super().__init__(name, [SERVER, "-c", self.conf], bench.folder, ours=False)
        bench.adopt(self)

    @property
    def server(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        super().start()
        self.wait_ready(self._listens, "listens")
        return self

    def restart(self):
        self.stop()
        return self.start()

    def _listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def publish(self, topic, payload=b"", retain=False, qos=1):
        """Returns when the MQTT broker has the message."""
        payload = payload.encode() if isinstance(payload, str) else payload
        argv = ["mosquitto_pub", "-h", "127.0.0.1", "-p", self.port, "-t", topic, "-q", qos,
                *(["-r"] if retain else [])]
        argv += ["-s"] if payload else ["-n"]
        argv += ["-u", self.login[0], "-P", self.login[1]] if self.login else []
        argv += ["--cafile", self.tls.ca] if self.tls else []
        done = processes.run(argv, stdin=payload, text=False)
        assert done.returncode == 0, done.stderr

    def publish_lines(self, topic, lines):
        """A message for each line, over one connection."""
        argv = ["mosquitto_pub", "-h", "127.0.0.1", "-p", self.port, "-t", topic, "-q", 1, "-l"]
        done = processes.run(argv, stdin="".join(f"{line}\n" for line in lines))
        assert done.returncode == 0, done.stderr
