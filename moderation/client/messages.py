"""What goes in and what comes out: items, results, and the requests made from them."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from uuid import uuid4

from moderation.client.errors import ClientError
from moderation.v1 import moderation_pb2 as pb


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a batch or stream.

    Its result is known by `content_id`; one is made up when it is empty. With `uri` instead of
    `image`, the service fetches the image, if it was set up to.
    """

    image: bytes = field(default=b"", repr=False)
    content_id: str = ""
    uri: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one item: a Decision, or why the item was refused.

    A refusal is an InvalidRequest or a CallRefused: nobody judged the item, and sending
    it again changes nothing. It is not raised, since the other items are none the worse.
    """

    content_id: str
    outcome: pb.Decision | ClientError

    @property
    def decision(self) -> pb.Decision:
        """The Decision; raises the refusal if there is none."""
        if isinstance(self.outcome, ClientError):
            raise self.outcome
        return self.outcome

    @property
    def error(self) -> ClientError | None:
        """The refusal, if there is one."""
        return self.outcome if isinstance(self.outcome, ClientError) else None


def options_message(
    profile: str, policy_ids: Collection[str], include_all_verdicts: bool, *, bulk: bool
) -> pb.ModerateOptions:
    """The options of a request; work in bulk gives way to what somebody waits for."""
    if isinstance(policy_ids, str):
        raise TypeError(f"policy_ids must be several names, as in [{policy_ids!r}], not one string")
    return pb.ModerateOptions(
        profile=profile,
        policy_ids=policy_ids,
        include_all_verdicts=include_all_verdicts,
        priority=pb.PRIORITY_BULK if bulk else pb.PRIORITY_INTERACTIVE,
    )


def moderate_request(item: Item, options: pb.ModerateOptions) -> pb.ModerateRequest:
    """The request for one item."""
    return pb.ModerateRequest(content=_content(item), options=options)


def batch_request(items: Collection[Item], options: pb.ModerateOptions) -> pb.ModerateBatchRequest:
    """The request for several items."""
    return pb.ModerateBatchRequest(contents=map(_content, items), options=options)


def named(item: object) -> Item:
    """The item with a content id of its own, so that its answer can be told from others.

    Raises TypeError for what is no Item, such as the bytes of an image alone.
    """
    if not isinstance(item, Item):
        got = type(item).__name__
        raise TypeError(f"items must be Item(image, content_id), got {got}; write Item(image)")
    return item if item.content_id else replace(item, content_id=uuid4().hex)


def _content(item: Item) -> pb.Content:
    return pb.Content(image=item.image, content_id=item.content_id, uri=item.uri)
