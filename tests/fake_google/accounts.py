"""Service accounts and the OAuth 2.0 token endpoint ("Using OAuth 2.0 for server to server applications")."""

from __future__ import annotations

import base64
import functools
import json
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fake_google.errors import ApiError, Json

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROJECT_NUMBER = "577600123456"
TOKEN_LIFETIME_SECONDS = 3600


@functools.cache
def _key(number: int) -> rsa.RSAPrivateKey:
    """Generate the RSA key of the n-th account of any simulator; keys are reused, for they take a while to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Account:
    """A service account: an account of its own with a quota of its own, in a project."""

    email: str
    number: int
    project: str = PROJECT_NUMBER

    def key_info(self, token_uri: str) -> dict[str, str]:
        """Give the contents of the JSON key file that the Cloud console would hand out."""
        private = _key(self.number).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "simulated",
            "private_key_id": f"key-{self.number}",
            "private_key": private.decode(),
            "client_email": self.email,
            "client_id": str(self.number),
            "token_uri": token_uri,
        }

    def write_key_file(self, path: Path, token_uri: str) -> Path:
        """Write the JSON key file and give its path."""
        path.write_text(json.dumps(self.key_info(token_uri), indent=1), encoding="utf-8")
        return path

    def verify(self, signed: bytes, signature: bytes) -> None:
        """Check a signature (RS256), or raise ValueError."""
        try:
            _key(self.number).public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise ValueError("signature") from error


class Accounts:
    """The known service accounts and the access tokens that they were given."""

    def __init__(self) -> None:
        self.by_email: dict[str, Account] = {}
        self.lifetime_seconds = TOKEN_LIFETIME_SECONDS
        self._tokens: dict[str, tuple[str, float]] = {}
        self._issued = 0
        self._lock = threading.Lock()

    def add(self, name: str, project: str = PROJECT_NUMBER) -> Account:
        """Create a service account, or give the one of that name."""
        email = name if "@" in name else f"{name}@simulated.iam.gserviceaccount.com"
        with self._lock:
            return self.by_email.setdefault(email, Account(email, len(self.by_email), project))

    def token(self, account: Account, now: float) -> str:
        """Issue an access token without a grant, for callers without sockets."""
        with self._lock:
            self._issued += 1
            token = f"ya29.simulated-{account.number}-{self._issued}"
            self._tokens[token] = (account.email, now + self.lifetime_seconds)
        return token

    def revoke_all(self) -> None:
        """Make every token invalid; the next call with one is a 401."""
        with self._lock:
            self._tokens.clear()

    def delete(self, account: Account) -> None:
        """Delete an account: its tokens are a 401 and it gets no other, until it is restored."""
        with self._lock:
            del self.by_email[account.email]

    def restore(self, account: Account) -> None:
        """Undo `delete`; tokens that have not expired are valid again."""
        with self._lock:
            self.by_email[account.email] = account

    def authenticate(self, authorization: str, now: float) -> Account:
        """Find the account of an `Authorization` header, or raise 401."""
        scheme, _space, token = authorization.partition(" ")
        email, expires = self._tokens.get(token, ("", 0.0))
        if scheme.lower() != "bearer" or email not in self.by_email or now >= expires:
            raise ApiError(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
                "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        return self.by_email[email]

    def grant(self, body: bytes, now: float) -> tuple[int, Json]:
        """Answer POST /token: a JWT signed by a known account's key is exchanged for an access token."""
        form = urllib.parse.parse_qs(body.decode())
        if form.get("grant_type") != [GRANT]:
            return 400, {"error": "unsupported_grant_type", "error_description": f"Invalid grant_type: {form}"}
        try:
            account = self._signer(form["assertion"][0])
        except (KeyError, ValueError) as error:
            return 400, {"error": "invalid_grant", "error_description": f"Invalid JWT Signature. ({error})"}
        token = self.token(account, now)
        return 200, {"access_token": token, "expires_in": self.lifetime_seconds, "token_type": "Bearer"}

    def _signer(self, assertion: str) -> Account:
        signed, _dot, signature = assertion.rpartition(".")
        claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        account = self.by_email[claims["iss"]]
        account.verify(signed.encode(), _decoded(signature))
        if not str(claims.get("aud", "")).endswith("/token") or not claims.get("scope"):
            raise ValueError("audience or scope")
        return account


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
