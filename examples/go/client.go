// A client of the moderation service that always comes back with an action.
//
// Whoever needs more than Moderate finds every RPC on Stub.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	pb "moderation/v1"
)

const maxMessageBytes = 64 << 20

// The same as in the Python client, moderation/client/channel.py, but for two status codes: here
// gRPC itself waits for as long as the server says (grpc-retry-pushback-ms). A server that stops
// cancels what still arrives.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "moderation.v1.ModerationService"}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"]
    }
  }],
  "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1}
}`

// Only the caller can mend these; every other failure means that nothing was judged.
var callersFault = map[codes.Code]bool{
	codes.InvalidArgument:    true,
	codes.NotFound:           true,
	codes.FailedPrecondition: true,
	codes.OutOfRange:         true,
	codes.Unauthenticated:    true,
	codes.PermissionDenied:   true,
	codes.Unimplemented:      true,
}

// Options say how a server is reached, and what a caller gets that it does not answer.
type Options struct {
	Timeout       time.Duration // of a call, with all its attempts; 10 s if 0
	OnUnavailable pb.Action     // REVIEW if not set
	TLS           *tls.Config   // plain text if nil
	APIKey        string        // goes to another machine only if TLS is set
}

// Client asks one server, or several in turn. It may be used by many goroutines at once.
type Client struct {
	Stub       pb.ModerationServiceClient
	connection *grpc.ClientConn
	options    Options
}

// Open connects to a target: "127.0.0.1:50051", "dns:///moderation.uploads.svc:50051", or several
// servers as "10.0.0.1:50051,10.0.0.2:50051".
func Open(target string, options Options) (*Client, error) {
	if options.APIKey != "" && options.TLS == nil && !onThisMachine(target) {
		return nil, fmt.Errorf("the API key would go to %s in plain text; set TLS", target)
	}
	if options.Timeout == 0 {
		options.Timeout = 10 * time.Second
	}
	if options.OnUnavailable == pb.Action_ACTION_UNSPECIFIED {
		options.OnUnavailable = pb.Action_ACTION_REVIEW
	}
	transport := grpc.WithInsecure()
	if options.TLS != nil {
		transport = grpc.WithTransportCredentials(credentials.NewTLS(options.TLS))
	}
	several := manual.NewBuilderWithScheme("moderation")
	if addresses := strings.Split(target, ","); len(addresses) > 1 {
		state := resolver.State{}
		for _, address := range addresses {
			state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
		}
		several.InitialState(state)
		target = "moderation:///"
	}
	connection, err := grpc.Dial(
		target,
		transport,
		grpc.WithResolvers(several),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // a TXT record of the DNS shall not replace it
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxRetryRPCBufferSize(maxMessageBytes), // what does not fit is never sent again
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}),
	)
	if err != nil {
		return nil, err
	}
	return &Client{pb.NewModerationServiceClient(connection), connection, options}, nil
}

// Close ends what is under way.
func (client *Client) Close() error {
	return client.connection.Close()
}

// Moderate is the decision on one image. It fails only with what the caller has to mend; where
// nothing was judged, the action is OnUnavailable and the failure says why.
func (client *Client) Moderate(ctx context.Context, image []byte, contentID string) (*pb.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, client.options.Timeout)
	defer cancel()
	if client.options.APIKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+client.options.APIKey)
	}
	content := &pb.Content{Image: image, ContentId: contentID}
	response, err := client.Stub.Moderate(ctx, &pb.ModerateRequest{Content: content})
	if err == nil && response.GetDecision() == nil {
		err = errors.New("the answer holds no decision")
	}
	if err == nil {
		return response.Decision, nil
	}
	if callersFault[status.Code(err)] {
		return nil, err
	}
	failure := &pb.Failure{
		Code:    pb.FailureCode_FAILURE_CODE_SERVICE_UNAVAILABLE,
		Message: err.Error(),
	}
	return &pb.Decision{
		ContentId: contentID, Action: client.options.OnUnavailable, Failure: failure,
	}, nil
}

func onThisMachine(target string) bool {
	for _, address := range strings.Split(strings.TrimPrefix(target, "dns:///"), ",") {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return false
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
