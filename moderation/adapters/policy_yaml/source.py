"""A whole directory of policy files as one policy set, or every problem in it."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from moderation.adapters.policy_yaml.binding import LOCK_NAME, read_binding
from moderation.adapters.policy_yaml.categories import (
    CategoriesFile,
    category_problem,
    parse_categories,
)
from moderation.adapters.policy_yaml.files import (
    decode,
    fingerprint,
    read_policy_file,
    state_of_files,
    stem_of,
)
from moderation.adapters.policy_yaml.includes import NO_LISTS, Lists, parse_lists
from moderation.adapters.policy_yaml.policies import PolicyFile, parse_policy
from moderation.adapters.policy_yaml.profiles import ProfilesFile, parse_profiles, reference_flaws
from moderation.adapters.policy_yaml.tree import Flaw, Flawed, printable, quoted
from moderation.adapters.policy_yaml.words import ID_PATTERN, MAX_ID_CHARACTERS
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import DEFAULT_PROFILE, Mode, Policy, PolicySet, Profile
from moderation.core.taxonomy import Taxonomy

PROFILES = "profiles"
LISTS = "lists"
CATEGORIES = "categories"
SHARED = (PROFILES, LISTS, CATEGORIES)
"""Files that are no policies, of which there is at most one each."""
MAX_FLAWS_PER_FILE = 50
MOST_READINGS = 10
"""Files may be swapped while they are read, and half of an edit is nobody's policy set. Who
writes without a pause gets one reading more for each write: the watcher tells of that too."""

Meaning: TypeAlias = PolicyFile | ProfilesFile | Lists | CategoriesFile
Kind = TypeVar("Kind", PolicyFile, ProfilesFile, Lists, CategoriesFile)
FlawsByName: TypeAlias = Mapping[str, Sequence[Flaw]]


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A file's meaning, and the digest of the bytes that it was read from."""

    digest: bytes
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class _Finished:
    """A policy, and from what it was made."""

    file: PolicyFile
    lists: Lists
    policy: Policy | None
    flaws: Sequence[Flaw]


class YamlPolicySource:
    """Reads `*.yaml` and `*.yml` of one directory; `SHARED` names those that are no policies.

    Every load reads every file, but parses only those whose bytes have changed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shown = printable(directory.absolute().name) or "policies"
        self._parsed: Mapping[str, _Parsed] = {}
        self._finished: Mapping[str, _Finished] = {}

    def fingerprint(self) -> object:
        """See PolicyFiles; of the policies, what they share, and what binds them to an encoder."""
        return state_of_files(self._directory, [LOCK_NAME])

    def load(self) -> PolicySet:
        """The policy set; raises PolicySetRejected with every problem found."""
        try:
            content_by_name = _read_all(self._directory)
        except Flawed as error:
            raise PolicySetRejected((Problem(self._shown, 0, 0, error.flaw.message),)) from error
        self._parsed = {name: self._parse(name, read) for name, read in content_by_name.items()}
        policy_set = self._assemble({name: one.meaning for name, one in self._parsed.items()})
        return replace(policy_set, encoder=read_binding(self._directory, self._shown))

    def _parse(self, name: str, read: bytes | Flawed) -> _Parsed:
        stem = stem_of(name)
        try:
            if isinstance(read, Flawed):
                raise read
            digest = hashlib.sha256(read).digest()
            known = self._parsed.get(name)
            if known is not None and known.digest == digest:
                return known
            text = decode(read)
        except Flawed as error:
            return _Parsed(b"", _BROKEN.get(stem, _broken_policy)((error.flaw,)))
        file = f"{self._shown}/{printable(name)}"
        parse_shared = _PARSERS.get(stem)
        if parse_shared is not None:
            return _Parsed(digest, parse_shared(text, file))
        return _Parsed(digest, parse_policy(text, file))

    def _assemble(self, meaning: Mapping[str, Meaning]) -> PolicySet:
        shown = self._shown
        policies = _of_kind(meaning, PolicyFile)
        profiles = _of_kind(meaning, ProfilesFile)
        lists = next(iter(_of_kind(meaning, Lists).values()), NO_LISTS)
        taxonomy = _taxonomy(_of_kind(meaning, CategoriesFile))
        self._finished = {name: self._finish(name, one, lists) for name, one in policies.items()}
        problems = [
            *_problems(shown, {name: one.flaws for name, one in meaning.items()}),
            *_problems(shown, {name: one.flaws for name, one in self._finished.items()}),
            *_problems(shown, _second_flaws(shown, meaning)),
            *_problems(shown, _id_flaws(shown, policies)),
            *_problems(shown, _category_flaws(policies, taxonomy)),
            *_problems(shown, _profile_flaws(profiles, policies)),
        ]
        usable = [one.policy for one in self._finished.values() if one.policy is not None]
        if not problems and all(policy.mode is Mode.OFF for policy in usable):
            missing = "no policy that is not off" if usable else "no policy, only shared files"
            message = f"there is {missing}; nothing would be judged"
            problems.append(Problem(shown, 0, 0, message))
        if problems:
            ordered = sorted(problems, key=lambda one: (one.file, one.line, one.column))
            raise PolicySetRejected(tuple(ordered))
        return PolicySet(tuple(sorted(usable, key=_id)), _profiles(profiles), taxonomy)

    def _finish(self, name: str, file: PolicyFile, lists: Lists) -> _Finished:
        known = self._finished.get(name)
        if known is not None and known.file is file and known.lists is lists:
            return known
        if file.draft is None:
            return _Finished(file, lists, None, ())
        policy, flaws = file.draft.finished(lists)
        return _Finished(file, lists, policy, flaws)


def _read_all(directory: Path) -> Mapping[str, bytes | Flawed]:
    """Every policy file's bytes, all from one state of the directory, or why it has none."""
    content_by_name: dict[str, bytes | Flawed] = {}
    for _ in range(MOST_READINGS):
        before = fingerprint(directory)
        content_by_name = {name: _content(directory, name) for name in before}
        if fingerprint(directory) == before:
            break
    return content_by_name


def _content(directory: Path, name: str) -> bytes | Flawed:
    try:
        return read_policy_file(directory, name)
    except Flawed as error:
        return error


def _broken_policy(flaws: tuple[Flaw, ...]) -> Meaning:
    return PolicyFile(None, None, flaws)


_PARSERS: Mapping[str, Callable[[str, str], Meaning]] = {
    PROFILES: parse_profiles,
    LISTS: lambda text, _: parse_lists(text),
    CATEGORIES: lambda text, _: parse_categories(text),
}
_BROKEN: Mapping[str, Callable[[tuple[Flaw, ...]], Meaning]] = {
    PROFILES: lambda flaws: ProfilesFile(None, (), flaws),
    LISTS: lambda flaws: Lists(is_whole=False, flaws=flaws),
    CATEGORIES: lambda flaws: CategoriesFile(None, flaws),
}


def _of_kind(meaning: Mapping[str, Meaning], kind: type[Kind]) -> Mapping[str, Kind]:
    return {name: one for name, one in meaning.items() if isinstance(one, kind)}


def _id(policy: Policy) -> str:
    return policy.id


def _profiles(files: Mapping[str, ProfilesFile]) -> Mapping[str, Profile]:
    written = (file.profiles for file in files.values() if file.profiles is not None)
    return next(written, MappingProxyType({DEFAULT_PROFILE: Profile()}))


def _taxonomy(files: Mapping[str, CategoriesFile]) -> Taxonomy:
    """Empty where there is none, and also where it is broken, which is told by itself."""
    written = (file.categories for file in files.values() if file.categories is not None)
    return next(written, MappingProxyType({}))


def _second_flaws(shown: str, meaning: Mapping[str, Meaning]) -> FlawsByName:
    flaws: dict[str, list[Flaw]] = {}
    first_by_stem: dict[str, str] = {}
    for name in meaning:
        stem = stem_of(name)
        if stem in SHARED and (first := first_by_stem.setdefault(stem, name)) != name:
            message = f"there is {shown}/{printable(first)} already; keep one of them"
            flaws[name] = [Flaw(None, message)]
    return flaws


def _category_flaws(policies: Mapping[str, PolicyFile], taxonomy: Taxonomy) -> FlawsByName:
    flaws: dict[str, list[Flaw]] = {}
    for name, file in policies.items():
        if not taxonomy or file.draft is None:
            continue
        category_id, place = file.draft.category
        if problem := category_problem(category_id, taxonomy):
            flaws[name] = [Flaw(place, problem)]
    return flaws


def _id_flaws(shown: str, policies: Mapping[str, PolicyFile]) -> FlawsByName:
    """A policy is found by its file's name, so that its id must be that name."""
    claimed = [(name, *one.claimed_id) for name, one in policies.items() if one.claimed_id]
    claimed.sort(key=lambda one: one[1] != stem_of(one[0]))  # a copy is the wrong one of two
    first_by_id: dict[str, str] = {}
    flaws: dict[str, list[Flaw]] = {}
    for name, policy_id, place in claimed:
        stem = stem_of(name)
        first = first_by_id.setdefault(policy_id, name)
        if first != name:
            message = f"id: {quoted(policy_id)} is already the id of {shown}/{printable(first)}"
            cure = f"write {quoted(stem)}, the name of this file"
            if policy_id == stem or not _is_id(stem):
                cure = "remove one of the files"
            flaws[name] = [Flaw(place, f"{message}; {cure}")]
        elif policy_id != stem:
            message = f"id: must be the file's name without its ending, {quoted(stem)}"
            cure = "change one of them" if _is_id(stem) else "rename the file"
            flaws[name] = [Flaw(place, f"{message}, got {quoted(policy_id)}; {cure}")]
    return flaws


def _is_id(stem: str) -> bool:
    return len(stem) <= MAX_ID_CHARACTERS and re.fullmatch(ID_PATTERN, stem) is not None


def _profile_flaws(
    profiles: Mapping[str, ProfilesFile], policies: Mapping[str, PolicyFile]
) -> FlawsByName:
    known = {stem_of(name) for name in policies}
    known |= {file.claimed_id[0] for file in policies.values() if file.claimed_id}
    return {name: list(reference_flaws(file, known)) for name, file in profiles.items()}


def _problems(shown: str, flaws_by_name: FlawsByName) -> Iterator[Problem]:
    for name, flaws in flaws_by_name.items():
        file = f"{shown}/{printable(name)}"
        for flaw in flaws[:MAX_FLAWS_PER_FILE]:
            line, column = (flaw.place.line, flaw.place.column) if flaw.place else (0, 0)
            yield Problem(file, line, column, flaw.message)
        if len(flaws) > MAX_FLAWS_PER_FILE:
            more = len(flaws) - MAX_FLAWS_PER_FILE
            yield Problem(file, 0, 0, f"has {more} more problems of its own; mend these first")
