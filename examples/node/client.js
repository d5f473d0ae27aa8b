// A client of the moderation service that always comes back with an action.
//
// Whoever needs more than `moderate` finds every RPC on `client.stub`.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../protos", import.meta.url));
const MAX_MESSAGE_BYTES = 64 * 2 ** 20;

// The same as in the Python client, moderation/client/channel.py, but for two status codes:
// here gRPC itself waits for as long as the server says (grpc-retry-pushback-ms). A server that
// stops cancels what still arrives.
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "moderation.v1.ModerationService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"],
      },
    },
  ],
  retryThrottling: { maxTokens: 20, tokenRatio: 0.1 },
};

const CHANNEL_OPTIONS = {
  "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
  "grpc.service_config_disable_resolution": 1, // a TXT record of the DNS shall not replace it
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  // What does not fit here is never sent again; the default is 1 MiB.
  "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
  "grpc.retry_buffer_size": 4 * MAX_MESSAGE_BYTES,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
};

const ON_THIS_MACHINE = /^(dns:(\/\/\/)?)?(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$|^unix:/;

// Only the caller can mend these; every other failure means that nothing was judged.
const CALLERS_FAULT = new Set([
  grpc.status.INVALID_ARGUMENT,
  grpc.status.NOT_FOUND,
  grpc.status.FAILED_PRECONDITION,
  grpc.status.OUT_OF_RANGE,
  grpc.status.UNAUTHENTICATED,
  grpc.status.PERMISSION_DENIED,
  grpc.status.UNIMPLEMENTED,
]);

// `target` is a gRPC target: "127.0.0.1:50051", "dns:///moderation.uploads.svc:50051", or
// several servers as "ipv4:10.0.0.1:50051,10.0.0.2:50051". `tls` names PEM files: `ca` of the
// server's authority, and `certificate` and `key` for a server that wants to know its clients;
// `serverName` is looked for in the server's certificate instead of the target. Without `tls` the
// connection is plain text. `apiKey` says who calls: a text, or a function that is asked for it
// before each call. It does not go to another machine in plain text, unless `plainTextKey` says
// that something else encrypts the way there.
export function openClient(
  target,
  {
    timeoutMs = 10_000,
    onUnavailable = "ACTION_REVIEW",
    tls = null,
    apiKey = "",
    plainTextKey = false,
  } = {},
) {
  if (apiKey && !tls && !plainTextKey && !ON_THIS_MACHINE.test(target)) {
    throw new Error(`the API key would go to ${target} in plain text; give tls, or plainTextKey`);
  }
  const definition = protoLoader.loadSync("moderation/v1/moderation.proto", {
    includeDirs: [PROTOS],
    keepCase: true, // names as in the proto, in requests and in answers
    enums: String,
    longs: String,
    defaults: true,
  });
  const { ModerationService } = grpc.loadPackageDefinition(definition).moderation.v1;
  const stub = new ModerationService(target, credentialsOf(tls), {
    ...CHANNEL_OPTIONS,
    ...(tls?.serverName && { "grpc.ssl_target_name_override": tls.serverName }),
  });

  // The decision on one image, a Buffer. Rejects only with what the caller has to mend.
  function moderate(image, { contentId = "", profile = "" } = {}) {
    const request = { content: { image, content_id: contentId }, options: { profile } };
    const deadline = new Date(Date.now() + timeoutMs);
    return new Promise((resolve, reject) => {
      stub.Moderate(request, metadataOf(apiKey), { deadline }, (error, response) => {
        if (!error) resolve(response.decision);
        else if (CALLERS_FAULT.has(error.code)) reject(error);
        else resolve(withoutAnswer(error, contentId));
      });
    });
  }

  function withoutAnswer(error, contentId) {
    const failure = { code: "FAILURE_CODE_SERVICE_UNAVAILABLE", message: error.message };
    return { content_id: contentId, action: onUnavailable, verdicts: [], failure };
  }

  return { moderate, stub, close: () => stub.close() };
}

function metadataOf(apiKey) {
  const metadata = new grpc.Metadata();
  const key = typeof apiKey === "function" ? apiKey() : apiKey;
  if (key) metadata.set("authorization", `Bearer ${key.trim()}`);
  return metadata;
}

function credentialsOf(tls) {
  if (!tls) return grpc.credentials.createInsecure();
  const pem = (path) => (path ? readFileSync(path) : null);
  return grpc.credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.certificate));
}
