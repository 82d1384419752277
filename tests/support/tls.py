"""Certificates for tests, and web servers that speak TLS, and so HTTP/2, beside plain HTTP.

A browser resolves the names below `.test` to this machine and accepts the certificates: give it
flags().
"""

import base64
import datetime
import functools
import hashlib
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .apache import Apache, ApacheHandoff
from .lighttpd import Lighttpd
from .ports import free_port
from .processes import ROOT

SITE = "www.site.test"      # where pages are
EVENTS = "events.site.test"  # a host of its own for streams

_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


@functools.cache
def _key():
    """One key for all certificates, so that browsers need to know one only."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate(file, *names):
    """Write a key and its self-signed certificate for these names into file."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(_key().public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30)).add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
            ).sign(_key(), hashes.SHA256()))
    key = _key().private_bytes(_PEM, serialization.PrivateFormat.PKCS8,
                               serialization.NoEncryption())
    file.write_bytes(key + made.public_bytes(_PEM))
    return file


def flags():
    """What makes Chromium find the names and accept the certificates, as it does those of a known
    authority."""
    public = _key().public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(public).digest()).decode()
    return [f"--ignore-certificate-errors-spki-list={pin}",
            "--host-resolver-rules=MAP *.test 127.0.0.1"]


class _Tls:
    """Beside a web server's class: a second port with TLS, and a third one.

    names: for each file of a certificate the names in it.
    """

    names = {"site.pem": (SITE,)}
    tls_port = None  # a free one

    def __init__(self, *arguments, **options):
        self.tls_port, self.other_port = self.tls_port or free_port(), free_port()
        super().__init__(*arguments, **options)
        for file, names in self.names.items():
            certificate(self.place / file, *names)

    def pem(self, file="site.pem"):
        return self.place / file

    def tls_origin(self, host=SITE):
        return f"https://{host}:{self.tls_port}"

    @property
    def other_origin(self):
        """The same host at a port of its own."""
        return f"https://{SITE}:{self.other_port}"


class LighttpdTls(_Tls, Lighttpd):
    """lighttpd chooses HTTP/2 for each client that can speak it over TLS. With the lines for
    streams in the comment of ssecast.conf."""

    name = "lighttpd-tls"

    @property
    def extra(self):
        text = (ROOT / "lighttpd" / "ssecast.conf").read_text()
        [port] = re.findall(r'^#     (\$SERVER\["socket"\].*)$', text, re.M)
        [host] = re.findall(r'^#     (\$HTTP\["host"\].*)$', text, re.M)
        port = _with(port, {"/etc/lighttpd/site.pem": self.pem()})
        lines = ['server.modules += ("mod_openssl")']
        lines += [_with(port, {":8443": f"127.0.0.1:{p}"})
                  for p in (self.tls_port, self.other_port)]
        if "events.pem" in self.names:
            lines.append(_with(host, {"events.example.org": EVENTS,
                                      "/etc/lighttpd/events.pem": self.pem("events.pem")}))
        return "\n".join(lines)


def _with(line, values):
    """A documented line with this test's values."""
    for documented, value in values.items():
        assert documented in line, line
        line = line.replace(documented, str(value))
    return line


class ApacheTls(_Tls, Apache):
    name = "apache-tls"
    modules = (*Apache.modules, "ssl", "http2")

    def more(self):
        return [f"Listen 127.0.0.1:{self.tls_port} https", "Protocols h2 http/1.1",
                f"<VirtualHost 127.0.0.1:{self.tls_port}>", "SSLEngine on",
                f'SSLCertificateFile "{self.pem()}"', "</VirtualHost>", *self.even_more()]

    def even_more(self):
        return []

    @staticmethod
    def block(begin):
        """The configuration in the comment of ssecast.conf that begins with this line."""
        text = (ROOT / "apache" / "ssecast.conf").read_text()
        [block] = re.findall(rf"^#     ({re.escape(begin)}\n(?:#     .*\n)+)", text, re.M)
        return re.sub("^#     ", "", block, flags=re.M)


class ApacheHandoffTls(_Tls, ApacheHandoff):
    """TLS and HTTP/2 of Apache's own, beside the hand-off; HTTP/2 without TLS, too."""

    name = "apache-handoff-tls"
    modules = (*ApacheHandoff.modules, "ssl", "http2")

    def more(self):
        return ["Protocols h2 h2c http/1.1", f"Listen 127.0.0.1:{self.tls_port} https",
                f"<VirtualHost 127.0.0.1:{self.tls_port}>",
                "SSLEngine on", f'SSLCertificateFile "{self.pem()}"', "</VirtualHost>"]


class ApacheTlsApart(ApacheTls):
    """Streams without HTTP/2, at a port of their own."""

    name = "apache-tls-apart"

    def even_more(self):
        block = self.block("Listen 8443 https")
        for documented, value in {"Listen 8443": f"Listen 127.0.0.1:{self.other_port}",
                                  "*:8443": f"127.0.0.1:{self.other_port}",
                                  "/etc/apache2/site.pem": f'"{self.pem()}"'}.items():
            block = _with(block, {documented: value})
        return [block]


class ApacheTlsTwice(ApacheTls):
    """Streams through Apache twice, so that HTTP/2 clients notice a worker's death."""

    name = "apache-tls-twice"
    modules = (*ApacheTls.modules, "proxy_http", "remoteip")
    files = ()

    def even_more(self):
        inner = free_port()
        block = _with(self.block("Listen 127.0.0.1:8081"), {
            "127.0.0.1:8081": f"127.0.0.1:{inner}",
            "conf-available/ssecast.conf": f'"{ROOT}/apache/ssecast.conf"'})
        outer = _with(self.block('<Location "/sse">'), {"127.0.0.1:8081": f"127.0.0.1:{inner}"})
        return [block, outer]
