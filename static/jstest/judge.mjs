/**
 * Applies the rules to readings for internal/obs. Each line of the input is a JSON array, [reading,
 * limits]; each line of the output has its findings. TestRulesAlike compares them with the findings
 * of the Go rules.
 */
import { createInterface } from 'node:readline';
import { check } from '../lib/obs-check.js';
import { inEnglish } from '../lib/strings.js';
import './words.js';

const lines = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [reading, limits] = JSON.parse(line);
  lines.push(
    JSON.stringify(
      check(reading, limits).map(({ id, level, text, values, change, blocks = false }) => ({
        id,
        level,
        text: inEnglish(text, values),
        params: change.params ?? {},
        video: change.video ?? {},
        encoder: change.encoder ?? null,
        blocks,
      })),
    ),
  );
}
process.stdout.write(`${lines.join('\n')}\n`);
