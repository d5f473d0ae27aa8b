#!/usr/bin/env bash
# Builds ./moderate: from Debian's Go packages where they are installed, otherwise from modules.
#   apt-get install golang-go golang-google-grpc-dev golang-google-protobuf-dev \
#     golang-github-golang-protobuf-1-5-dev protobuf-compiler protoc-gen-go protoc-gen-go-grpc
set -euo pipefail
cd "$(dirname "$0")"
name=moderation/v1/moderation.proto
for plugin in go go-grpc; do
  protoc -I../../protos --"${plugin}"_out=. --"${plugin}"_opt=module=moderation \
    --"${plugin}"_opt=M"$name"=moderation/v1 "$name"
done
packages=/usr/share/gocode
if [ -d "$packages/src/google.golang.org/grpc" ]; then
  mkdir -p build/src
  ln -sfn "$PWD" build/src/moderation
  GO111MODULE=off GOFLAGS= GOPATH="$PWD/build:$packages" go build -o moderate moderation
else
  [ -f go.mod ] || go mod init moderation
  go mod tidy
  go build -o moderate .
fi
