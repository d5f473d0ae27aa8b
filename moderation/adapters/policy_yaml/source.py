"""A whole directory of policy files as one policy set, or every problem in it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from moderation.adapters.policy_yaml.files import (
    decode,
    fingerprint,
    list_policy_files,
    read_policy_file,
    shown_name,
    stem_of,
)
from moderation.adapters.policy_yaml.policies import PolicyFile, parse_policy
from moderation.adapters.policy_yaml.profiles import ProfilesFile, parse_profiles, reference_flaws
from moderation.adapters.policy_yaml.tree import Flaw, Flawed, quoted
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import DEFAULT_PROFILE, Mode, Policy, PolicySet, Profile

PROFILES = "profiles"
MAX_FLAWS_PER_FILE = 50
MOST_READINGS = 10
"""Files may be swapped while they are read, and half of an edit is nobody's policy set. Who
writes without a pause gets one reading more for each write: the watcher tells of that too."""

PoliciesByName: TypeAlias = Mapping[str, PolicyFile]
ProfilesByName: TypeAlias = Mapping[str, ProfilesFile]
FlawsByName: TypeAlias = Mapping[str, Sequence[Flaw]]


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A file's meaning, and the digest of the bytes that it was read from."""

    digest: bytes
    meaning: PolicyFile | ProfilesFile


class YamlPolicySource:
    """Reads `*.yaml` and `*.yml` of one directory; `profiles.yaml` holds the profiles.

    Every load reads every file, but parses only those whose bytes have changed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parsed: Mapping[str, _Parsed] = {}

    def load(self) -> PolicySet:
        """The policy set; raises PolicySetRejected with every problem found."""
        shown = shown_name(self._directory.absolute().name) or PROFILES
        try:
            content_by_name = _read_all(self._directory)
        except Flawed as error:
            raise PolicySetRejected((Problem(shown, 0, 0, error.flaw.message),)) from error
        self._parsed = {name: self._parse(name, read) for name, read in content_by_name.items()}
        return _assemble(shown, {name: one.meaning for name, one in self._parsed.items()})

    def _parse(self, name: str, read: bytes | Flawed) -> _Parsed:
        is_profiles = stem_of(name) == PROFILES
        try:
            if isinstance(read, Flawed):
                raise read
            digest = hashlib.sha256(read).digest()
            known = self._parsed.get(name)
            if known is not None and known.digest == digest:
                return known
            text = decode(read)
        except Flawed as error:
            flaws = (error.flaw,)
            broken = ProfilesFile(None, (), flaws) if is_profiles else PolicyFile(None, None, flaws)
            return _Parsed(b"", broken)
        return _Parsed(digest, parse_profiles(text) if is_profiles else parse_policy(text))


def _read_all(directory: Path) -> Mapping[str, bytes | Flawed]:
    """Every policy file's bytes, all from one state of the directory, or why it has none."""
    content_by_name: dict[str, bytes | Flawed] = {}
    for _ in range(MOST_READINGS):
        before = fingerprint(directory)
        content_by_name = {name: _content(directory, name) for name in list_policy_files(directory)}
        if fingerprint(directory) == before:
            break
    return content_by_name


def _content(directory: Path, name: str) -> bytes | Flawed:
    try:
        return read_policy_file(directory, name)
    except Flawed as error:
        return error


def _assemble(shown: str, meaning: Mapping[str, PolicyFile | ProfilesFile]) -> PolicySet:
    policies = {name: one for name, one in meaning.items() if isinstance(one, PolicyFile)}
    profiles = {name: one for name, one in meaning.items() if isinstance(one, ProfilesFile)}
    problems = [
        *_problems(shown, {name: one.flaws for name, one in meaning.items()}),
        *_problems(shown, _id_flaws(shown, policies)),
        *_problems(shown, _profile_flaws(shown, profiles, policies)),
    ]
    usable = [file.policy for file in policies.values() if file.policy is not None]
    if not problems and all(policy.mode is Mode.OFF for policy in usable):
        missing = "no policy that is not off" if usable else "no policy, only profiles"
        message = f"there is {missing}; nothing would be judged"
        problems.append(Problem(shown, 0, 0, message))
    if problems:
        ordered = sorted(problems, key=lambda one: (one.file, one.line, one.column))
        raise PolicySetRejected(tuple(ordered))
    return PolicySet(tuple(sorted(usable, key=_id)), _profiles(profiles))


def _id(policy: Policy) -> str:
    return policy.id


def _profiles(files: ProfilesByName) -> Mapping[str, Profile]:
    written = (file.profiles for file in files.values() if file.profiles is not None)
    return next(written, MappingProxyType({DEFAULT_PROFILE: Profile()}))


def _id_flaws(shown: str, policies: PoliciesByName) -> FlawsByName:
    """A policy is found by its file's name, so that its id must be that name."""
    first_by_id: dict[str, str] = {}
    flaws: dict[str, list[Flaw]] = {}
    for name, file in policies.items():
        if file.claimed_id is None:
            continue
        policy_id, place = file.claimed_id
        here = flaws.setdefault(name, [])
        first = first_by_id.setdefault(policy_id, name)
        if first != name:
            message = f"id: {quoted(policy_id)} is already the id of {shown}/{shown_name(first)}"
            here.append(Flaw(place, f"{message}; remove one of the files"))
        if policy_id != stem_of(name):
            message = f"id: must be the file's name without its ending, {quoted(stem_of(name))}"
            here.append(Flaw(place, f"{message}, got {quoted(policy_id)}; change one of them"))
    return flaws


def _profile_flaws(shown: str, profiles: ProfilesByName, policies: PoliciesByName) -> FlawsByName:
    known = {stem_of(name) for name in policies}
    known |= {file.claimed_id[0] for file in policies.values() if file.claimed_id}
    flaws = {name: list(reference_flaws(file, known)) for name, file in profiles.items()}
    for second in list(profiles)[1:]:
        message = f"there is {shown}/{shown_name(next(iter(profiles)))} already; keep one of them"
        flaws[second].append(Flaw(None, message))
    return flaws


def _problems(shown: str, flaws_by_name: FlawsByName) -> Iterator[Problem]:
    for name, flaws in flaws_by_name.items():
        file = f"{shown}/{shown_name(name)}"
        for flaw in flaws[:MAX_FLAWS_PER_FILE]:
            line, column = (flaw.place.line, flaw.place.column) if flaw.place else (0, 0)
            yield Problem(file, line, column, flaw.message)
        if len(flaws) > MAX_FLAWS_PER_FILE:
            more = len(flaws) - MAX_FLAWS_PER_FILE
            yield Problem(file, 0, 0, f"has {more} more problems of its own; mend these first")
