"""Makes bundles out of published weights; needs torch, and the server never imports it."""
