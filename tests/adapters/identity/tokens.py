"""An issuer of tokens: its keys, the JWK set that it publishes, and tokens right and wrong."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from moderation.adapters.identity.tokens import TokenRules

ISSUER, AUDIENCE = "https://issuer.example", "moderation"
RULES = TokenRules(ISSUER, AUDIENCE, ("RS256", "ES256"), 0.0, "tenant", "roles")


class Issuer:
    """Signs with RSA (`first`) and an elliptic curve (`second`)."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.curve = ec.generate_private_key(ec.SECP256R1())

    def jwks(self, *names: str) -> bytes:
        """The JWK set with these keys, or all."""
        first = jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
        second = jwt.algorithms.ECAlgorithm.to_jwk(self.curve.public_key(), as_dict=True)
        keys = {"first": first, "second": second}
        chosen = names or tuple(keys)
        return json.dumps({"keys": [{**keys[one], "kid": one} for one in chosen]}).encode()

    def publish(self, path: Path, *names: str) -> None:
        """Write the JWK set to a file."""
        path.write_bytes(self.jwks(*names))

    def token(
        self,
        *roles: str,
        kid: str = "first",
        headers: Mapping[str, str] | None = None,
        **claims: object,
    ) -> str:
        """A token of the tenant `shop` that is right but for what is said; None leaves out."""
        usual: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": time.time() + 600,
            "tenant": "shop",
            "roles": list(roles),
        }
        payload = {name: value for name, value in (usual | claims).items() if value is not None}
        key, algorithm = (self.curve, "ES256") if kid == "second" else (self.rsa, "RS256")
        return jwt.encode(payload, key, algorithm, headers={"kid": kid, **(headers or {})})
