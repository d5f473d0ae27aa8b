// node node_load.js TARGET PICTURE COUNT: judges COUNT different copies of a JPEG, some at a time,
// writes a line for each answer, and at last what came of them as JSON.

import { readFile } from "node:fs/promises";
import { openClient } from "../../examples/node/client.js";

const CONCURRENCY = 8;
const [target, picture, count] = process.argv.slice(2);
const jpeg = await readFile(picture);
const client = openClient(target);
const outcomes = { answered: 0, lost: 0, messages: [] };
let next = 0;

// The service remembers what it judged by the bytes: a comment of its own makes each one new.
function anotherCopy(number) {
  const comment = Buffer.from([0xff, 0xfe, 0, 6, 0, 0, 0, 0]);
  comment.writeUInt32BE(number, 4);
  return Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2)]);
}

async function judge() {
  while (next < Number(count)) {
    const decision = await client.moderate(anotherCopy(next++));
    if (decision.failure) {
      outcomes.lost += 1;
      outcomes.messages.push(decision.failure.message);
    } else {
      outcomes.answered += 1;
    }
    console.log("one");
  }
}

await Promise.all(Array.from({ length: CONCURRENCY }, judge));
console.log(JSON.stringify(outcomes));
client.close();
