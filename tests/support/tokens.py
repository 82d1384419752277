"""JSON Web Tokens as an application makes them, and the secret's file that a worker judges them
with.

    issuer = Issuer(bench.folder / "jwt.key")
    worker = Worker(bench, broker, jwt_secret_file=issuer.secret_file)
    token = issuer.token(publish={"sessions": ["user-*"]})
"""

import pathlib
import secrets
import time

import jwt


class Issuer:
    """HS256, with a secret of its own."""

    def __init__(self, secret_file):
        self.secret, self.secret_file = secrets.token_hex(32), pathlib.Path(secret_file)
        self.secret_file.write_text(self.secret + "\n")
        self.secret_file.chmod(0o644)  # workers run as other users in some tests

    def token(self, seconds=3600, **claims):
        """A token with these claims that expires after this number of seconds (negative: expired).
        A claim None is left out."""
        claims = {"exp": int(time.time()) + seconds, **claims}
        return jwt.encode({k: v for k, v in claims.items() if v is not None}, self.secret,
                          algorithm="HS256")

    def publisher(self, publish=True, **claims):
        """A token that may publish."""
        return self.token(publish=publish, **claims)
