// node moderate.js [--ca FILE] [--cert FILE --key FILE] [--server-name NAME] TARGET PICTURE...:
// prints the action and the reason for each picture. MODERATION_API_KEY says who asks, if it is set.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { openClient } from "./client.js";

async function main() {
  const text = { type: "string" };
  const { values, positionals } = parseArgs({
    options: { ca: text, cert: text, key: text, "server-name": text },
    allowPositionals: true,
  });
  const [target, ...pictures] = positionals;
  if (!target || pictures.length === 0) {
    console.error("usage: node moderate.js [--ca FILE] [--cert FILE --key FILE] TARGET PICTURE...");
    process.exit(64);
  }

  const { ca, cert: certificate, key, "server-name": serverName } = values;
  const tls = Object.keys(values).length > 0 ? { ca, certificate, key, serverName } : null;
  const client = openClient(target, { tls, apiKey: process.env.MODERATION_API_KEY });
  for (const picture of pictures) {
    const image = await readFile(picture);
    const decision = await client.moderate(image, { contentId: basename(picture) });
    const reason = decision.failure?.message || decision.deciding_policy_id || "no policy";
    console.log(`${picture}: ${decision.action} (${reason})`);
  }
  client.close();
}

main().catch((error) => {
  console.error(`moderate.js: ${error.message}`);
  process.exit(error.syscall ? 66 : 1); // 66: a file cannot be read
});
