"""The rules: pure functions and values, standard library and numpy only."""
