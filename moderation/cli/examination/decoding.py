"""Whether pictures can be decoded where the settings say: one is, by a real decoding process."""

from collections.abc import Iterator
from io import BytesIO
from time import perf_counter

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.core.content import PixelSpec
from moderation.core.errors import NotReady, UnjudgeableContent
from moderation.settings import Settings

LEAST_SIDE_PX = 64


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    from moderation.decoding import decoding
    from moderation.service.telemetry import FanOutTelemetry

    where = f"decode.isolation {settings.decode.isolation}"
    side = max(LEAST_SIDE_PX, settings.decode.min_side_px)
    started = perf_counter()
    try:
        with decoding(settings, FanOutTelemetry(), at_once=1) as decode:
            decode.decoder_for(PixelSpec(LEAST_SIDE_PX)).decode(_picture(side))
    except NotReady as error:
        yield broken(str(error), where, "see docs/decoding.md")
        return
    except UnjudgeableContent as error:
        what = f"a plain picture of {side} by {side} pixels is refused: {error.message}"
        yield broken(what, "decode", "raise the limit that it names")
        return
    if settings.decode.isolation == "thread":
        yield doubtful(
            "a bug of a picture library takes the whole service with it",
            where,
            "set decode.isolation to process",
        )
        return
    yield good(f"a process started and decoded in {perf_counter() - started:.1f} s", where)


def _picture(side: int) -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(file, "PNG")
    return file.getvalue()
