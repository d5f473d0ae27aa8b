"""Every labelled content is looked at once, and none is left out silently."""

from collections.abc import Mapping

import numpy as np
import pytest

from moderation.core.content import Embeddings
from moderation.core.errors import LabelsRejected
from moderation.core.labels import Label
from moderation.service.calibrate import Seen
from moderation.service.looking import look_at
from tests.fakes import embedding_of
from tests.service.engine import running_engine

PICTURES = {"gun.jpg": b"a gun", "cat.gif": b"a kitten|a tiger", "no.jpg": b"broken", "0.jpg": b""}


def read(path: str) -> bytes:
    if path not in PICTURES:
        raise FileNotFoundError(2, "No such file or directory", path)
    return PICTURES[path]


async def seen(*labels: Label, stored: Mapping[str, Embeddings] | None = None) -> Seen:
    async with running_engine() as engine:
        return await look_at(
            labels,
            encoder=engine.encoder,
            read=read,
            stored=stored or {},
            in_flight=3,
            file="labels.csv",
        )


async def test_images_are_encoded_frame_by_frame() -> None:
    found = await seen(Label("gun.jpg", "weapons", True), Label("cat.gif", "weapons", False))

    np.testing.assert_allclose(found[True, "gun.jpg"], [embedding_of("a gun")])
    np.testing.assert_allclose(
        found[True, "cat.gif"], [embedding_of("a kitten"), embedding_of("a tiger")]
    )


async def test_an_image_of_several_policies_is_encoded_once() -> None:
    labels = [Label("gun.jpg", f"policy-{number}", True) for number in range(20)]

    async with running_engine() as engine:
        found = await look_at(
            labels, encoder=engine.encoder, read=read, stored={}, in_flight=3, file="labels.csv"
        )

        assert engine.decoder.decoded == [b"a gun"]
    assert set(found) == {(True, "gun.jpg")}


async def test_an_id_means_an_embedding_that_is_stored() -> None:
    stored = {"upload-1": embedding_of("a gun")[None]}

    found = await seen(Label("upload-1", "weapons", True, is_image=False), stored=stored)

    assert found == {(False, "upload-1"): stored["upload-1"]}


async def test_every_content_that_cannot_be_used_is_told_with_its_line() -> None:
    labels = [
        Label("no.jpg", "weapons", True, line=5),
        Label("gun.jpg", "weapons", True, line=2),
        Label("gone.jpg", "weapons", True, line=3),
        Label("upload-1", "weapons", True, is_image=False, line=4),
        Label("0.jpg", "weapons", True, line=6),
    ]

    with pytest.raises(LabelsRejected) as rejected:
        await seen(*labels)

    assert str(rejected.value).splitlines() == [
        "labels.csv:3:1: 'gone.jpg' cannot be used: No such file or directory",
        "labels.csv:4:1: 'upload-1' cannot be used: no embedding of it is stored; "
        "label an image instead",
        "labels.csv:5:1: 'no.jpg' cannot be used: these bytes are no image",
        "labels.csv:6:1: '0.jpg' cannot be used: is empty",
    ]
