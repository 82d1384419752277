"""Keys that tokens are signed with, of each kind, and the files that workers judge tokens with.

    key = Ec(kid="2026")
    put(file, jwks(key))
    token = key.token(sub="anna", seconds=60)
"""

import json
import os
import secrets
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


class _Key:
    """kid: its name in a JWKS, and in the header of what it signs."""

    algorithm = None

    def __init__(self, kid=None):
        self.kid = kid

    def token(self, seconds=3600, headers=None, algorithm=None, **claims):
        """A token with these claims, which expires after this number of seconds (None: never;
        negative: expired)."""
        if seconds is not None:
            claims.setdefault("exp", time.time() + seconds)
        headers = {**({"kid": self.kid} if self.kid else {}), **(headers or {})}
        return jwt.encode(claims, self.private, algorithm=algorithm or self.algorithm,
                          headers=headers)


class Secret(_Key):
    algorithm = "HS256"

    def __init__(self, kid=None):
        super().__init__(kid)
        self.private = secrets.token_hex(32)

    @property
    def file(self):
        """What a key file holds of it."""
        return self.private + "\n"

    def jwk(self):
        return {"kty": "oct", "k": jwt.utils.base64url_encode(self.private.encode()).decode(),
                **named(self)}


class _Pair(_Key):
    @property
    def file(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_file(self):
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()
        ).decode()

    def jwk(self):
        jwk = jwt.algorithms.get_default_algorithms()[self.algorithm].to_jwk(
            self.private.public_key()
        ) if self.algorithm == "RS256" else self._point()
        return {**(json.loads(jwk) if isinstance(jwk, str) else jwk), "use": "sig",
                "alg": self.algorithm, **named(self)}

    def _point(self):
        numbers = self.private.public_key().public_numbers()
        x, y = (jwt.utils.base64url_encode(n.to_bytes(32, "big")).decode()
                for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


class Rsa(_Pair):
    algorithm = "RS256"

    def __init__(self, kid=None):
        super().__init__(kid)
        self.private = rsa.generate_private_key(65537, 2048)


class Ec(_Pair):
    algorithm = "ES256"

    def __init__(self, kid=None):
        super().__init__(kid)
        self.private = ec.generate_private_key(ec.SECP256R1())


def named(key):
    return {"kid": key.kid} if key.kid else {}


def jwks(*keys):
    """The text of a JWKS of these keys."""
    return json.dumps({"keys": [k.jwk() for k in keys]})


def option_for(text):
    """The worker's option for a file with this text: secrets and public keys have one each."""
    public = "BEGIN" in text or '"RSA"' in text or '"EC"' in text
    return "jwt_key_file" if public else "jwt_secret_file"


def put(file, text):
    """The file, with this text from one moment to the next; secret, as far as workers of the tests
    allow."""
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.chmod(0o644)
    os.replace(new, file)
    return file
