"""Who may connect to the gRPC server, and what they see: certificates and keys."""

from typing import Literal

from pydantic import Field

from moderation.settings.section import Section


class TlsSettings(Section):
    """TLS of the gRPC server; the files are followed, so that a replaced pair is taken over."""

    certificate_file: str = Field(
        "", description="PEM file of the server's certificate and its chain; empty: plain text."
    )
    key_file: str = Field("", description="PEM file of the certificate's private key.")
    client_certificates: Literal["off", "require"] = Field(
        "off", description="Whether clients must show a certificate (mutual TLS)."
    )
    client_ca_file: str = Field(
        "", description="PEM file of the authorities that clients' certificates must come from."
    )

    @property
    def is_on(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.certificate_file)

    @property
    def contradiction(self) -> str:
        """What about these settings does not fit together, and what to do; empty if all does."""
        if bool(self.certificate_file) != bool(self.key_file):
            return "tls.certificate_file and tls.key_file belong together; set both or neither"
        if self.client_certificates == "require" and not self.is_on:
            return "tls.client_certificates needs TLS; set tls.certificate_file and tls.key_file"
        if self.client_certificates == "require" and not self.client_ca_file:
            return "tls.client_certificates is require; say in tls.client_ca_file who issues them"
        if self.client_ca_file and self.client_certificates == "off":
            return "tls.client_ca_file has no effect; set tls.client_certificates to require"
        return ""
