"""The policies, as the server would take them: read, bound, calibrated, linted and tested."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.cli.lint_forms import ERROR, Told
from moderation.cli.packages import unpacked_from
from moderation.core.errors import BundleRejected, NotReady, PolicySetRejected, Problem
from moderation.packages import named_policies, package_carrier
from moderation.settings import Settings, bundle_store

if TYPE_CHECKING:
    from moderation.engine import Engine

MOST_TOLD = 10
"""Findings of one kind; the command that is named shows the others."""


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    if not settings.package.source:
        yield from _look_at_files(settings, f"policies.directory {settings.policies.directory}")
        return
    where = f"package.source {named_policies(settings)}"
    with ExitStack() as stack:
        try:
            package = package_carrier(settings, stack)
            directory = stack.enter_context(unpacked_from(package, settings))
        except PolicySetRejected as rejected:
            cure = "mend the package or package.public_keys; see docs/policy-packages.md"
            yield broken(str(rejected), where, cure)
            return
        policies = settings.policies.model_copy(update={"directory": directory})
        yield from _look_at_files(settings.model_copy(update={"policies": policies}), where)


def _look_at_files(settings: Settings, where: str) -> Iterator[Finding]:
    with _leaving_no_cache(settings) as examined:
        try:
            told = _lint(examined)
            yield from _shown([_of_lint(one) for one in told], "moderation policy lint")
            if not any(one.level == ERROR for one in told):
                yield from asyncio.run(_as_the_server(examined, where))
        except (BundleRejected, NotReady) as error:
            yield broken(f"they cannot be looked at: {error}", where, "mend the encoder first")


@contextmanager
def _leaving_no_cache(settings: Settings) -> Iterator[Settings]:
    """Texts that a server has embedded are taken, but none are added: this may be another user."""
    with tempfile.TemporaryDirectory() as scratch:
        is_there = any(settings.policies.cache_directory.glob("*"))
        update = {"cache_max_bytes": 0} if is_there else {"cache_directory": Path(scratch)}
        yield settings.model_copy(update={"policies": settings.policies.model_copy(update=update)})


def _lint(settings: Settings) -> list[Told]:
    from moderation.adapters.encoders.registry import describe_encoder
    from moderation.cli import linting

    encoder, limit = describe_encoder(
        settings.encoder.bundle, store=bundle_store(settings), device=settings.encoder.device
    )
    return linting.look_at_policies(settings, encoder, limit)  # the tests are run below


def _of_lint(told: Told) -> Finding:
    what = f"{told.code}: {told.message}"
    if told.level == ERROR:
        return broken(what, told.place, "mend the file; a running server keeps its last good set")
    return doubtful(what, told.place, told.cure)


async def _as_the_server(settings: Settings, where: str) -> list[Finding]:
    """What a start would say: of the binding, the calibrations, the dates and the tests."""
    from moderation.cli.local import NOBODY_LISTENS
    from moderation.engine import running_engine

    untested = {"policies": settings.policies.model_copy(update={"require_tests": False})}
    async with running_engine(settings.model_copy(update=untested), NOBODY_LISTENS) as engine:
        if not await engine.policies.reload():
            problems = engine.policies.status.problems
            found = [broken(one.message, _place(one), "see docs/policies.md") for one in problems]
            return list(_shown(found, "moderation policy lint"))
        compiled = engine.policies.current
        said = f"{len(compiled.policies)} policies would be active, version "
        found = [good(said + compiled.policy_set.version[:12], where)]
        bound = compiled.policy_set.encoder
        is_told = settings.policies.encoder_binding != "ignore"  # by lint
        if bound is not None and bound.encoder_id != engine.encoder.encoder_id and not is_told:
            found.append(
                doubtful(
                    f"their thresholds were set for encoder {bound.name}, which is not running",
                    bound.file,
                    "see docs/swapping-encoders.md, then run `moderation encoder bind`",
                )
            )
        found += _references(settings, engine)
        return [*found, *await asyncio.to_thread(_tests, settings, engine)]


def _references(settings: Settings, engine: "Engine") -> Iterator[Finding]:
    """Those for drift: a policy without one is no fault, one that is not compared may be."""
    from moderation.adapters.drift_references import DriftReferences

    compiled = engine.policies.current
    read = DriftReferences(settings.policies.directory).load(engine.encoder.encoder_id)
    for problem in read.problems:
        yield doubtful(problem, "drift", "make it anew with `moderation drift reference`")
    for policy in compiled.policies:
        reference = read.by_policy.get(policy.id)
        if reference is not None and not reference.suits(policy, engine.encoder.scale):
            yield doubtful(
                "it was reworded since its reference for drift was made, and is not compared",
                f"policy {policy.id}",
                f"moderation drift reference {policy.id}",
            )


def _tests(settings: Settings, engine: "Engine") -> list[Finding]:
    from moderation.adapters.policy_yaml.expectations import FOLDER
    from moderation.rehearsal import activation_tests

    folder = settings.policies.directory / FOLDER
    required = settings.policies.require_tests
    if not folder.is_dir() and not required:
        return [good("they have no tests", str(folder))]
    run = activation_tests(settings, engine.encoder, engine.texts, engine.see)
    try:
        run(engine.policies.current)
    except PolicySetRejected as rejected:
        tell = broken if required else doubtful
        cure = "mend the policy or the test; `moderation policy test` shows more"
        found = [tell(one.message, _place(one), cure) for one in rejected.problems]
        return list(_shown(found, "moderation policy test"))
    return [good("their tests pass", str(folder))]


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file


def _shown(found: Sequence[Finding], command: str) -> Iterator[Finding]:
    yield from found[:MOST_TOLD]
    if left := found[MOST_TOLD:]:
        level = max((one.level for one in left), key=list(type(found[0].level)).index)
        yield Finding(level, f"and {len(left)} more", "", f"`{command}` shows all")
