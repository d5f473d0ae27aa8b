"""The file profiles.yaml: from its text to profiles, with the policies that they name."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from moderation.adapters.policy_yaml.cuts import threshold_flaws, thresholds_from
from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.policies import merged
from moderation.adapters.policy_yaml.schema import ProfileSchema, ProfilesSchema
from moderation.adapters.policy_yaml.tree import (
    Entry,
    Flaw,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    entry_at,
    node_at,
    quoted,
)
from moderation.adapters.policy_yaml.wording import ID_RULE, check, did_you_mean, join
from moderation.adapters.policy_yaml.words import ID_PATTERN, MAX_ID_CHARACTERS
from moderation.core.policy import DEFAULT_PROFILE, Action, Profile


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where a profile names a policy."""

    path: str
    policy_id: str
    place: Place
    is_selected: bool = True
    """False for thresholds of a policy that the profile does not list."""


@dataclass(frozen=True, slots=True)
class ProfilesFile:
    """What profiles.yaml says; `profiles` is None if it has a flaw of its own."""

    profiles: Mapping[str, Profile] | None
    references: tuple[Reference, ...]
    flaws: tuple[Flaw, ...]


def parse_profiles(text: str, file: str) -> ProfilesFile:
    """Read the profiles; raises nothing. `file` is its name as people see it."""
    document = read_document(text)
    root = document.root
    if root is None:
        return ProfilesFile(None, (), document.flaws or (Flaw(None, "the file is empty"),))
    written, flaws = check(ProfilesSchema, root)
    references: list[Reference] = []
    meant: list[Flaw] = [*_missing_default(root)]
    for name, entry in _entries(node_at(root, "profiles")):
        meant += [*_name_flaws(name, entry.place), *_profile_flaws(name, entry.node)]
        references += _references(name, entry.node)
    flaws = merged(document.flaws, flaws, meant)
    profiles: Mapping[str, Profile] | None = None
    if written is not None and not flaws:
        profiles = MappingProxyType(
            {
                name: _profile(name, one, node_at(root, "profiles", name), file)
                for name, one in written.profiles.items()
            }
        )
    return ProfilesFile(profiles, tuple(references), tuple(flaws))


def reference_flaws(file: ProfilesFile, known: Collection[str]) -> Iterator[Flaw]:
    """A flaw wherever a profile names a policy that there is not, or that it does not select."""
    for reference in file.references:
        if reference.policy_id not in known:
            hint = did_you_mean(reference.policy_id, known) or "; remove it or add its file"
            message = f"there is no policy {quoted(reference.policy_id)}{hint}"
            yield Flaw(reference.place, f"{reference.path}: {message}")
        elif not reference.is_selected:
            message = "this profile does not select that policy; add it to the profile's policies"
            yield Flaw(reference.place, f"{reference.path}: {message}")


def _profile(name: str, written: ProfileSchema, node: Node | None, file: str) -> Profile:
    return Profile(
        id=name,
        policy_ids=None if written.policies is None else frozenset(written.policies),
        thresholds=MappingProxyType(
            {
                key: thresholds_from(cuts, node_at(node, "thresholds", key), file)
                for key, cuts in written.thresholds.items()
            }
        ),
        on_unjudgeable=Action[written.on_unjudgeable.upper()],
        audit_share=written.audit_share,
        review_budget=written.review_budget,
    )


def _name_flaws(name: str, place: Place) -> Iterator[Flaw]:
    if len(name) > MAX_ID_CHARACTERS or not re.fullmatch(ID_PATTERN, name):
        message = f"the name must be {ID_RULE}, at most {MAX_ID_CHARACTERS} characters"
        yield Flaw(place, f"{join('profiles', name)}: {message}")


def _missing_default(root: Node) -> Iterator[Flaw]:
    profiles = entry_at(root, "profiles")
    is_filled = profiles is not None and isinstance(profiles.node, MappingNode)
    if profiles and is_filled and entry_at(profiles.node, DEFAULT_PROFILE) is None:
        message = f"profiles.{DEFAULT_PROFILE}: this key is required"
        yield Flaw(profiles.place, f"{message}; it is for requests that name no profile")


def _profile_flaws(name: str, profile: Node) -> Iterator[Flaw]:
    path = join("profiles", name)
    seen: dict[str, Place] = {}
    for number, policy_id, place in _selected(profile):
        if seen.setdefault(policy_id, place) != place:
            message = f"{quoted(policy_id)} is listed twice; remove one of them"
            yield Flaw(place, f"{path}.policies[{number}]: {message}")
    for policy_id, entry in _entries(node_at(profile, "thresholds")):
        yield from threshold_flaws(join(f"{path}.thresholds", policy_id), entry.node)


def _references(name: str, profile: Node) -> Iterator[Reference]:
    path = join("profiles", name)
    selected = list(_selected(profile))
    selects_all = not isinstance(node_at(profile, "policies"), ListNode)
    for number, policy_id, place in selected:
        yield Reference(f"{path}.policies[{number}]", policy_id, place)
    for policy_id, entry in _entries(node_at(profile, "thresholds")):
        is_selected = selects_all or any(policy_id == one for _, one, _ in selected)
        where = join(f"{path}.thresholds", policy_id)
        yield Reference(where, policy_id, entry.place, is_selected)


def _selected(profile: Node) -> Iterator[tuple[int, str, Place]]:
    """The policies that a profile lists, numbered from 1."""
    listed = node_at(profile, "policies")
    for number, item in enumerate(listed.items if isinstance(listed, ListNode) else (), start=1):
        if isinstance(item, ScalarNode) and isinstance(item.value, str):
            yield number, item.value, item.place


def _entries(node: Node | None) -> Iterable[tuple[str, Entry]]:
    return node.entries.items() if isinstance(node, MappingNode) else ()
