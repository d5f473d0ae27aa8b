"""Signs requests to S3, and to what speaks as S3 does, by botocore (Signature Version 4)."""

import logging
import os
from collections.abc import Mapping

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from moderation.core.errors import NotReady
from moderation.core.image_uri import FIELD, HTTPS, ImageUri

SERVICE = "s3"
NO_METADATA = "AWS_EC2_METADATA_DISABLED"
MISSING = "the service has no credentials for its bucket"


def aws_credentials(*, instance_metadata: bool) -> Credentials:
    """What botocore's usual chain finds: environment, files, roles. Raises ValueError if nothing.

    The address of the instance's metadata is asked only where that is allowed: by the variable
    that AWS has for it, which binds roles too whose configuration names it as their source.
    """
    # It would write where it finds them; to who debugs, the whole URI and what was signed.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    if not instance_metadata:
        os.environ[NO_METADATA] = "true"
    try:
        found: Credentials | None = Session().get_credentials()
    except BotoCoreError as error:  # its text may quote what a command has said
        raise ValueError(f"botocore finds none: {type(error).__name__}") from error
    if found is None:
        raise ValueError("botocore finds none")
    return found


class S3Signer:
    """A Signer for one region. Credentials that expire are renewed by botocore as they do."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region

    def headers(self, place: ImageUri) -> Mapping[str, str]:
        """See Signer."""
        request = AWSRequest("GET", f"{HTTPS}://{place.authority}{place.target}")
        try:
            frozen = self._credentials.get_frozen_credentials()
            S3SigV4Auth(frozen, SERVICE, self._region).add_auth(request)
        except BotoCoreError as error:
            raise NotReady(f"{FIELD}: {MISSING}") from error
        return dict(request.headers.items())
