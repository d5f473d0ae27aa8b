"""The bundled starter encoder: two small pretrained models in one space by a closed form.

Run as `python -m export.starter OUT_DIR`.
"""
