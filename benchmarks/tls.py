"""What TLS costs: the real server with it, and with mutual TLS, against plain text.

    python -m benchmarks.tls [--rounds 5] [--seconds 1]

The same picture is judged again and again: nothing is encoded, so that the share of TLS is the
largest. A new connection for each call shows what a handshake takes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pictures import picture
from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from benchmarks.servers import our_server
from moderation.client import ModerationClient, Tls
from tests.certificates import Authority, Folder, put

PLAIN, TLS, MUTUAL = "plain text", "TLS", "mutual TLS"
KINDS = ("VGA", "12 MP")
Open = Callable[[], ModerationClient]


def main() -> None:
    """Measure all three in turns."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=1.0, help="a variant and round")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    measure = partial(_rows, rounds=arguments.rounds, seconds=arguments.seconds)
    with _servers(arguments.policies) as open_by_variant:
        rows = [row for kind in KINDS for row in measure(kind, open_by_variant, _old_connection)]
        rows += measure("VGA", open_by_variant, _new_connections)
    report("TLS, one caller, the same picture again", rows, arguments)


@contextmanager
def _servers(policies: Path) -> Iterator[Mapping[str, Open]]:
    """How each variant's server is reached."""
    ours = Authority()
    shown = ours.issue("client")
    with ExitStack() as stack:
        folder = Folder(Path(stack.enter_context(TemporaryDirectory())))
        folder.hold(ours.issue())
        ca = put(folder.client_ca, ours.pem)
        certificate = put(folder.path / "client.crt", shown.pem)
        key = put(folder.path / "client.key", shown.key_pem)
        files = {"CERTIFICATE_FILE": folder.certificate, "KEY_FILE": folder.key}
        wanting = {"CLIENT_CERTIFICATES": "require", "CLIENT_CA_FILE": ca}
        variants: Sequence[tuple[str, Mapping[str, object], Tls | None]] = (
            (PLAIN, {}, None),
            (TLS, files, Tls(ca)),
            (MUTUAL, files | wanting, Tls(ca, certificate, key)),
        )
        opens: dict[str, Open] = {}
        for name, settings, credentials in variants:
            env = {f"MODERATION_TLS__{one}": str(value) for one, value in settings.items()}
            address = stack.enter_context(our_server(policies, env=env))
            opens[name] = partial(ModerationClient, address, credentials=credentials)
        yield opens


def _old_connection(open_client: Open, image: bytes, seconds: float) -> float:
    with open_client() as client:
        return seconds_per_call(lambda: client.moderate(image), for_s=seconds) * 1000


def _new_connections(open_client: Open, image: bytes, seconds: float) -> float:
    def ask() -> None:
        with open_client() as client:
            client.moderate(image)

    return seconds_per_call(ask, for_s=seconds) * 1000


def _rows(
    kind: str,
    open_by_variant: Mapping[str, Open],
    measure: Callable[[Open, bytes, float], float],
    *,
    rounds: int,
    seconds: float,
) -> list[Row]:
    what = "old connection" if measure is _old_connection else "new connection"
    measures = {
        name: partial(measure, open_client, picture(kind), seconds)
        for name, open_client in open_by_variant.items()
    }
    return [
        Row(
            f"{what}, {kind}, {name}",
            "ms",
            values,
            f"{what}, {kind}, {PLAIN}" if name != PLAIN else "",
            more_is_better=False,
        )
        for name, values in interleaved(measures, rounds).items()
    ]


if __name__ == "__main__":
    main()
