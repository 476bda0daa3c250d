/**
 * Judges readings for internal/obs: one JSON object per line of the input, [reading, limits]; one
 * line of findings each. TestRulesAlike there compares them with its own.
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
