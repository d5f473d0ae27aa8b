"""Several processes that serve one port: how one supervisor starts, hears and ends them."""
