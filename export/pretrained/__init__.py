"""Bundles of published CLIP and SigLIP models, from weights in transformers' format.

`moderation bundle export` is the way in.
"""
