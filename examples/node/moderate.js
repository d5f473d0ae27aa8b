// node moderate.js TARGET PICTURE...: prints the action and the reason for each picture.

import { readFile } from "node:fs/promises";
import { openClient } from "./client.js";

const [target, ...pictures] = process.argv.slice(2);
if (!target || pictures.length === 0) {
  console.error("usage: node moderate.js TARGET PICTURE...");
  process.exit(64);
}

const client = openClient(target);
for (const picture of pictures) {
  const decision = await client.moderate(await readFile(picture), { contentId: picture });
  const reason = decision.failure?.message || decision.deciding_policy_id || "no policy";
  console.log(`${picture}: ${decision.action} (${reason})`);
}
client.close();
