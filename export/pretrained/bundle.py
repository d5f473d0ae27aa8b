"""From a checkpoint to a bundle's files: graphs, tokenizer, reference and manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers

from export.pretrained.errors import ExportError
from export.pretrained.families import Family, family_of
from export.pretrained.graphs import IDS, OUTPUT, PIXELS, write_image_graph, write_text_graph
from export.pretrained.precision import Precision, with_precision
from export.pretrained.preprocessing import Preprocessing, read_preprocessing
from export.pretrained.probes import TEXTS, probe_pictures
from export.pretrained.reference import Reference, make_reference
from export.pretrained.source import Checkpoint
from export.pretrained.tokenization import require_same_ids, write_tokenizer
from moderation.adapters.encoders.manifest import (
    REFERENCE_FILE,
    ImageGraph,
    Manifest,
    TextGraph,
    TokenizerFile,
    sha256_of,
)

IMAGE_FILE = "image.onnx"
TEXT_FILE = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Pretrained:
    """A checkpoint that transformers has loaded, in float32."""

    checkpoint: Checkpoint
    family: Family
    preprocessing: Preprocessing
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> "Pretrained":
        """Read everything that can be refused first, the weights last; raises ExportError."""
        family = family_of(checkpoint.config)
        directory = str(checkpoint.directory)
        kind = getattr(transformers, family.model)
        try:
            config = kind.config_class.from_pretrained(directory, local_files_only=True)
            preprocessing = read_preprocessing(
                checkpoint.processor_config, image_size=config.vision_config.image_size
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
            model = kind.from_pretrained(
                directory, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            # What transformers raises depends on which file is missing or damaged.
            if isinstance(error, ExportError):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise ExportError(
                f"{checkpoint.name}: transformers cannot load it: {reason}"
            ) from error
        return cls(checkpoint, family, preprocessing, model.eval(), tokenizer)

    @property
    def max_tokens(self) -> int:
        """The longest text that the model has positions for."""
        return int(self.model.config.text_config.max_position_embeddings)

    @cached_property
    def reference(self) -> Reference:
        """What transformers makes of the probes."""
        return self.reference_for(probe_pictures())

    def reference_for(self, pictures: list[bytes]) -> Reference:
        """What transformers makes of these pictures, and of the probe texts."""
        processor = transformers.AutoImageProcessor.from_pretrained(
            str(self.checkpoint.directory), local_files_only=True, backend="pil"
        )
        return make_reference(
            self.model,
            processor,
            self.tokenizer,
            pictures=pictures,
            texts=TEXTS,
            max_tokens=self.max_tokens,
        )

    def write(
        self, directory: Path, *, precision: Precision, name: str, tell: Callable[[str], None]
    ) -> Manifest:
        """Write a bundle that nobody has verified yet; raises ExportError."""
        tell("asking the original for its answers")
        weights = self.model.state_dict()
        write_tokenizer(self.tokenizer, directory / TOKENIZER_FILE)
        require_same_ids(
            directory / TOKENIZER_FILE, self.reference.ids.tolist(), TEXTS, self._pad_id
        )
        self.reference.save(directory / REFERENCE_FILE)
        tell(f"writing {IMAGE_FILE} in {precision}")
        image = self.family.image_tower(weights, self.model.config, self.preprocessing.scale)
        write_image_graph(
            with_precision(image, precision),
            directory / IMAGE_FILE,
            size_px=self.preprocessing.size_px,
        )
        tell(f"writing {TEXT_FILE}")
        # Phrases are embedded once, on the CPU, and then meet every picture: a lower precision
        # would gain little there, and err with all of them.
        write_text_graph(
            self.family.text_tower(weights, self.model.config, self.tokenizer),
            directory / TEXT_FILE,
            max_tokens=self.max_tokens,
            pad_to_max=self.family.pad_to_max,
        )
        manifest = self._manifest(directory, precision, name)
        manifest.save(directory)
        return manifest

    @property
    def _pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)

    def _manifest(self, directory: Path, precision: Precision, name: str) -> Manifest:
        prepared = self.preprocessing
        files = (IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE, REFERENCE_FILE)
        return Manifest(
            name=name,
            family=str(self.checkpoint.config["model_type"]),
            dim=self.family.dim(self.model.config),
            precision=precision,
            image=ImageGraph(
                file=IMAGE_FILE,
                input=PIXELS,
                output=OUTPUT,
                size_px=prepared.size_px,
                crop=prepared.crop,
                crop_fraction=prepared.crop_fraction,
                interpolation=prepared.interpolation,
            ),
            text=TextGraph(
                file=TEXT_FILE,
                ids=IDS,
                mask=None,
                output=OUTPUT,
                max_tokens=self.max_tokens,
                pad_id=self._pad_id,
                pad_to_max=self.family.pad_to_max,
            ),
            tokenizer=TokenizerFile(file=TOKENIZER_FILE),
            score=self.family.score(self.model.state_dict()),
            files={file: sha256_of(directory / file) for file in files},
            sources=(self.checkpoint.as_source(),),
        )
