"""The client library against real servers on real sockets, whose answers are scripted."""
