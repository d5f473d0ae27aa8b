"""The image graph of an fp32 bundle in eight bits as OpenVINO's own tool makes it.

    pip install openvino nncf        # in an environment of their own, beside this package
    python -m benchmarks.openvino_int8 BUNDLE model.xml

Activations get fixed scales, from the pictures of the bundle's reference; what comes of the
others is told as the smallest cosine to the reference's embeddings. `benchmarks.encoder
--openvino-graph model.xml` then measures it.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATED_ON = 8
"""Pictures of the reference; the cosine is of all."""


def main() -> None:
    """Quantise, save, and tell the cosine."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("bundle", type=Path)
    flags.add_argument("out", type=Path)
    flags.add_argument("--smooth-quant", type=float, default=None, help="alpha; else the default")
    arguments = flags.parse_args()
    with np.load(arguments.bundle / "reference.npz") as reference:
        pixels, embeddings = reference["pixels"], reference["image_embeddings"]
    model = quantised(arguments.bundle / "image.onnx", pixels, arguments.smooth_quant)
    import openvino  # noqa: PLC0415 - it need not be installed

    openvino.save_model(model, arguments.out)
    run = openvino.Core().compile_model(model, "CPU")
    answers = np.concatenate([run(pixels[n : n + 1])[0] for n in range(len(pixels))])
    cosines = (answers * embeddings).sum(axis=1)
    cosines /= np.linalg.norm(answers, axis=1) * np.linalg.norm(embeddings, axis=1)
    print(f"{arguments.out}: smallest cosine {cosines.min():.5f} of {len(pixels)} pictures")


def quantised(graph: Path, pixels: np.ndarray, smooth_quant: float | None) -> Any:
    """The graph as OpenVINO's model, quantised for transformers."""
    import nncf  # noqa: PLC0415 - it need not be installed
    import openvino  # noqa: PLC0415 - it need not be installed

    options: Mapping[str, Any] = {}
    if smooth_quant is not None:
        alphas = nncf.AdvancedSmoothQuantParameters(matmul=smooth_quant)
        options = {
            "advanced_parameters": nncf.AdvancedQuantizationParameters(smooth_quant_alphas=alphas)
        }
    calibration = nncf.Dataset([pixels[n : n + 1] for n in range(CALIBRATED_ON)])
    return nncf.quantize(
        openvino.Core().read_model(graph),
        calibration,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=CALIBRATED_ON,
        **options,
    )


if __name__ == "__main__":
    main()
