"""Web servers that run an application in PHP, and that ask it whose stream a request is: the files
of docs/login.md.

    web, php = LIGHTTPD.prepare(bench)
    site = Site(bench, web=web, worker=SETTINGS)
"""

import re
import shutil

from .apache import Apache, ApacheHandoff
from .lighttpd import Lighttpd
from .nginx import Nginx
from .php import PhpCgi, PhpFpm
from .processes import ROOT

# The workers' settings, as docs/login.md has them.
SETTINGS = {"session_from": "env:USER_ID", "channels_from": "env:SSE_CHANNELS"}

AUTHORIZE = ROOT / "examples" / "php" / "authorize.php"
_MODULES = ("alias", "authn_core", "authz_user", "authnz_fcgi", "setenvif", "proxy_fcgi", "proxy")


class _Php:
    """What the three have in common: php, pages ({name: file or text}), and whether they ask."""

    php = None
    pages = {}
    asks = True
    authorize = AUTHORIZE

    def put_pages(self):
        """The application's files, below the document root."""
        for name, content in self.pages.items():
            file = self.place / "www" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                file.write_text(content)
            else:
                shutil.copy2(content, file)
            file.chmod(0o644)
        return shutil.copy2(self.authorize, self.place / "authorize.php")


class LighttpdPhp(_Php, Lighttpd):
    @property
    def files(self):
        return ("ssecast.conf", "ssecast-login.conf") if self.asks else ("ssecast.conf",)

    @property
    def extra(self):
        """As Debian's 15-fastcgi-php-fpm.conf."""
        return (f'fastcgi.server += ( ".php" => (( "socket" => "{self.php.socket}", '
                '"broken-scriptfilename" => "enable" )) )')

    def write_settings(self):
        super().write_settings()
        (self.place / "ssecast-login-settings.conf").write_text(
            f'var.ssecast_php := "{self.php.socket}"\nvar.ssecast_authorize := '
            f'"{self.put_pages()}"\n')


class _ApachePhp(_Php):
    @property
    def modules(self):
        return (*dict.fromkeys((*self.of.modules, *_MODULES)),)

    @property
    def files(self):
        return ("ssecast-login.conf",) if self.asks else self.of.files

    def settings(self):
        return {**super().settings(), "SSECAST_PHP": self.php.listen,
                "SSECAST_AUTHORIZE": self.put_pages(),
                "SSECAST_STREAMS": ROOT / "apache" / self.of.files[0], **self.backend()}

    def backend(self):
        return {}

    def more(self):
        """As Debian's php-fpm.conf (GENERIC: php-cgi needs the plain path). A request with this
        header counts as one over TLS: the hand-off takes FastCGI for it."""
        return ["<FilesMatch \\.php$>", f'SetHandler "proxy:fcgi://{self.php.listen}"',
                "ProxyFCGIBackendType GENERIC", "</FilesMatch>", "SetEnvIf X-Over-Tls yes HTTPS=on"]


class ApachePhp(_ApachePhp, Apache):
    of = Apache


class ApacheHandoffPhp(_ApachePhp, ApacheHandoff):
    of = ApacheHandoff

    def backend(self):
        return {
            "SSECAST_BACKEND": f"unix:{self.worker.options['handoff_listen']}|scgi://ssecast-login/"
        }


class NginxPhp(_Php, Nginx):
    @property
    def extra(self):
        """The block of docs/login.md, and the usual one for PHP."""
        [block] = re.findall(r"^```nginx\n(.*?)^```", (ROOT / "docs" / "login.md").read_text(),
                             re.M | re.S)
        for documented, here in (("unix:/run/php/php-fpm.sock", f"unix:{self.php.socket}"),
                                 ("/etc/ssecast/authorize.php", str(self.put_pages()))):
            assert documented in block
            block = block.replace(documented, here)
        php = (f"location ~ \\.php$ {{ include fastcgi_params; "
               f"fastcgi_pass unix:{self.php.socket}; "
               "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }")
        return (block if self.asks else "") + php


class Way:
    """A web server and a kind of PHP."""

    def __init__(self, web, php, tcp=False):
        self.web, self.php, self.tcp = web, php, tcp
        self.name = f"{web.name}-{php.kind}"

    def prepare(self, bench, pages=None, settings=None, asks=True, **more):
        """(the class of the web server, the PHP that runs)."""
        php = self.php(bench, settings=settings, tcp=self.tcp).start()
        return type(self.web.__name__, (self.web,),
                    {"php": php, "pages": pages or {}, "asks": asks, **more}), php


LIGHTTPD = Way(LighttpdPhp, PhpFpm)
LIGHTTPD_CGI = Way(LighttpdPhp, PhpCgi)
APACHE = Way(ApachePhp, PhpFpm, tcp=True)
APACHE_CGI = Way(ApachePhp, PhpCgi, tcp=True)
APACHE_HANDOFF = Way(ApacheHandoffPhp, PhpFpm, tcp=True)
NGINX = Way(NginxPhp, PhpFpm)

WAYS = [LIGHTTPD, LIGHTTPD_CGI, APACHE, APACHE_CGI, APACHE_HANDOFF, NGINX]
