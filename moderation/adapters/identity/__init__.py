"""Where credentials come from: the file of API keys."""
