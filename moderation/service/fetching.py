"""Images that requests name: within what their tenant may have before the first byte comes."""

from moderation.core.content import Content, NamedContent
from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import FIELD
from moderation.service.admission import Reservation
from moderation.service.ports import Expect, ImageFetcher
from moderation.service.tracing import Stage, Tracer


class NoFetching:
    """An ImageFetcher where images by URI are off."""

    max_bytes = 0

    async def fetch(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
        """See ImageFetcher."""
        raise InvalidRequest(FIELD, "images by URI are off here; send content.image")


NO_FETCHING = NoFetching()


async def fetched(
    named: NamedContent,
    images: ImageFetcher,
    reservation: Reservation,
    *,
    within_s: float,
    tracer: Tracer,
) -> Content:
    """The content with its bytes, which are all that stays reserved; raises as ImageFetcher."""
    with tracer.stage(Stage.FETCH):
        image = await images.fetch(named.uri, within_s, reservation.expect)
    reservation.fetched(len(image))
    return Content(image, named.content_id)
