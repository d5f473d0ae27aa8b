"""Policy packages: a directory of policies as one signed archive, from its packing to its use.

`packing` makes the archive, `unpacking` reads one within limits, `sealing` signs what it is and
tells whether that holds, by the keys of `keys`. `files` and `web` carry packages here, `shelf` is
where they are unpacked, `source` makes policies of them, `polling` says when to look again.
"""

from moderation.adapters.policy_package.files import FilePackage
from moderation.adapters.policy_package.keys import (
    make_key_pair,
    read_private_key,
    read_public_keys,
)
from moderation.adapters.policy_package.limits import SIGNATURE_SUFFIX
from moderation.adapters.policy_package.packing import pack
from moderation.adapters.policy_package.polling import Polling
from moderation.adapters.policy_package.sealing import require_stated, seal, state, verify
from moderation.adapters.policy_package.shelf import PackageShelf, write_files
from moderation.adapters.policy_package.source import Carrier, PackagedPolicies, PackageIntake
from moderation.adapters.policy_package.unpacking import unpack
from moderation.adapters.policy_package.web import WebPackage

__all__ = [
    "SIGNATURE_SUFFIX",
    "Carrier",
    "FilePackage",
    "PackageIntake",
    "PackageShelf",
    "PackagedPolicies",
    "Polling",
    "WebPackage",
    "make_key_pair",
    "pack",
    "read_private_key",
    "read_public_keys",
    "require_stated",
    "seal",
    "state",
    "unpack",
    "verify",
    "write_files",
]
