"""The way in from the network: protobuf in, use cases called, protobuf out."""
