"""The outside world, one thing a module; none of them knows another."""
