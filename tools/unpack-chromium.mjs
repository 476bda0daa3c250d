// Unpacks the Chromium builds that the docks of OBS are made of from their npm packages into
// .cache/. Chromium 103 is the engine of OBS 28 to 30, 127 that of OBS 31 and 32.
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
 * @param {string} to the folder, which appears when it is whole: an interrupted run leaves none
 */
async function unpack(from, to) {
  const part = to + '.part';
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  const binary = join(part, 'chromium');
  await decompress(join(from, 'chromium.br'), binary);
  await chmod(binary, 0o755);
  // Software GL, without which 127 does not start.
  await untar(join(from, 'swiftshader.tar.br'), part);
  await rename(part, to);
}

/**
 * The archive is written out whole first: tar stops reading at the end mark, before the padding
 * behind it, and a pipe would break at that.
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
