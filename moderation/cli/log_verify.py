"""`moderation log verify`: whether a decision log is whole and as it was written."""

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.log_flags import LogDirectory, log_directory
from moderation.cli.output import printable, say
from moderation.settings import load_settings


def verify_log(log: LogDirectory = None, config: Config = None) -> int:
    """Check every line of a decision log; ends with 70 if any is changed, missing or torn."""
    settings = load_settings({}, config)
    from moderation.adapters.decision_log.segments import LogUnavailable
    from moderation.adapters.decision_log.verifying import verify

    directory = log_directory(log, settings)
    try:
        verified = verify(directory)
    except LogUnavailable as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    for problem in verified.problems:
        say(printable(problem))
    kinds = verified.kinds
    decisions = kinds["decision"] + kinds["sealed"]
    say(f"{verified.lines} lines: {decisions} decisions, {kinds['erased']} erased")
    if verified.expired:
        say(f"{verified.expired} lines were removed by retention")
    if verified.lost_answers:
        say(f"{verified.lost_answers} answers were given without a record, says the log itself")
    for writer, head in verified.heads.items():
        say(f"{writer} ends at number {head.sequence}, chain {head.chain}")
    say(f"{len(verified.problems)} problems" if verified.problems else "the log is whole")
    return Exit.SOFTWARE if verified.problems else Exit.ALLOW
