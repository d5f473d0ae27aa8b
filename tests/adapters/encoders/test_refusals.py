"""Each way in which a bundle can be wrong is refused, with a message of its own."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import pytest
from tokenizers import Tokenizer, models

from moderation.adapters.encoders.manifest import MANIFEST_NAME, Manifest, sha256_of
from moderation.adapters.encoders.registry import load_encoder
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import flip_a_bit, write_bundle

IMAGE, TEXT, TOKENIZER = "image.onnx", "text.onnx", "tokenizer.json"
BEYOND_ANY_OPSET = 999


def flipped_bit(directory: Path) -> None:
    flip_a_bit(directory / IMAGE)


def swapped_tokenizer(directory: Path) -> None:
    Tokenizer(models.WordLevel({"[UNK]": 0, "red": 1}, unk_token="[UNK]")).save(
        str(directory / TOKENIZER)
    )


def truncated_graph(directory: Path) -> None:
    content = (directory / TEXT).read_bytes()
    (directory / TEXT).write_bytes(content[: len(content) // 2])


def missing_graph(directory: Path) -> None:
    (directory / IMAGE).unlink()


def pickle_for_a_graph(directory: Path) -> None:
    (directory / IMAGE).write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))
    accept_what_lies_there(directory)


def pickle_for_a_tokenizer(directory: Path) -> None:
    (directory / TOKENIZER).write_bytes(pickle.dumps({"a": 0}))
    accept_what_lies_there(directory)


def lying_dimension(directory: Path) -> None:
    manifest = Manifest.load(directory)
    manifest.model_copy(update={"dim": 512}).save(directory)


def graph_of_a_future_opset(directory: Path) -> None:
    model = onnx.load(directory / IMAGE)
    model.opset_import[0].version = BEYOND_ANY_OPSET
    onnx.save(model, directory / IMAGE)
    accept_what_lies_there(directory)


def weights_in_another_file(directory: Path) -> None:
    model = onnx.load(directory / TEXT)
    onnx.save(
        model,
        directory / TEXT,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    accept_what_lies_there(directory)


def swapped_graphs(directory: Path) -> None:
    manifest = Manifest.load(directory)
    image = manifest.image.model_copy(update={"file": TEXT})
    manifest.model_copy(update={"image": image}).save(directory)


def path_out_of_the_bundle(directory: Path) -> None:
    content = json.loads((directory / MANIFEST_NAME).read_text())
    content["image"]["file"] = "../image.onnx"
    (directory / MANIFEST_NAME).write_text(json.dumps(content))


def accept_what_lies_there(directory: Path) -> None:
    """The digests of an attacker who can write the manifest too."""
    manifest = Manifest.load(directory)
    files = {file: sha256_of(directory / file) for file in manifest.files}
    manifest.model_copy(update={"files": files}).save(directory)


REFUSALS: Mapping[Callable[[Path], None], str] = {
    flipped_bit: r"image\.onnx: its sha256 is .* altered or not copied whole",
    swapped_tokenizer: r"tokenizer\.json: its sha256 is .* altered or not copied whole",
    truncated_graph: r"text\.onnx: its sha256 is .* altered or not copied whole",
    missing_graph: r"image\.onnx: cannot be read: No such file",
    pickle_for_a_graph: r"image\.onnx: onnxruntime refuses this graph",
    pickle_for_a_tokenizer: r"tokenizer\.json: this is no tokenizer",
    lying_dimension: r"image\.onnx: embedding has the shape .*3\] in the graph, .*512\]",
    graph_of_a_future_opset: r"image\.onnx: onnxruntime refuses this graph: .*999",
    weights_in_another_file: r"text\.onnx: the graph keeps weights in another file",
    swapped_graphs: r"text\.onnx: the manifest and the graph do not name the same inputs",
    path_out_of_the_bundle: r"image\.file: String should match pattern",
}


@pytest.mark.parametrize("spoil", REFUSALS, ids=lambda spoil: spoil.__name__)
def test_a_wrong_bundle_is_refused_with_its_own_message(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    write_bundle(tmp_path)
    spoil(tmp_path)

    with pytest.raises(BundleRejected, match=REFUSALS[spoil]):
        load_encoder(str(tmp_path), device="cpu", allow_unverified=True)


def test_a_swapped_tokenizer_with_a_new_digest_is_of_another_encoder(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    swapped_tokenizer(tmp_path)
    accept_what_lies_there(tmp_path)

    with pytest.raises(BundleRejected, match="its parity report is of another encoder"):
        load_encoder(str(tmp_path), device="cpu")
