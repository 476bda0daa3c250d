// Unpacks Chromium builds from their npm packages into .cache/. OBS shows docks with these versions
// of Chromium: OBS 28 to 30 with 103, OBS 31 and 32 with 127.
import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { access, chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

for (const name of ['chromium-103', 'chromium-127']) {
  const folder = join(root, '.cache', name);
  if (
    await access(folder).then(
      () => true,
      () => false,
    )
  )
    continue;
  console.log(`unpacking ${name} into .cache/`);
  await unpack(join(root, 'node_modules', name, 'bin'), folder);
}

/**
 * @param {string} from
 * @param {string} to the folder. It gets this name when it is complete, so that the next run
 *   repeats an interrupted one.
 */
async function unpack(from, to) {
  const part = to + '.part';
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  const binary = join(part, 'chromium');
  await decompress(join(from, 'chromium.br'), binary);
  await chmod(binary, 0o755);
  // SwiftShader renders OpenGL in software. Without it, Chromium 127 does not start.
  await untar(join(from, 'swiftshader.tar.br'), part);
  await rename(part, to);
}

/**
 * Unpacks a compressed archive by way of a file. A pipe to tar would fail, because tar stops
 * reading at the end mark of the archive, before the padding.
 *
 * @param {string} archive
 * @param {string} folder
 */
async function untar(archive, folder) {
  const whole = join(folder, 'archive.tar');
  await decompress(archive, whole);
  execFileSync('tar', ['-x', '-f', whole, '-C', folder], { stdio: 'inherit' });
  await rm(whole);
}

/** @param {string} from @param {string} to */
function decompress(from, to) {
  return pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
}
