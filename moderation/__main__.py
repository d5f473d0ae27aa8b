"""`python -m moderation`: the same as `moderation`."""

from moderation.cli.main import run

if __name__ == "__main__":
    run()
