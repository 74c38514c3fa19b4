// SPDX-License-Identifier: Apache-2.0
// The SDK in an app that Vite builds: by its address, and as a package with types.

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assert, test } from '../lib/check.js';
import { world } from '../lib/world.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(HERE, '..', '..', '..');
const run = promisify(execFile);
const TYPES = { '.html': 'text/html', '.js': 'text/javascript' };

/** The script of the document on embedding. @param {string} name @param {'js' | 'ts'} language */
function example(name, language) {
  const text = readFileSync(join(ROOT, 'docs', 'embedding.md'), 'utf8');
  const [, script] = new RegExp(`<!-- example: ${name} -->\\n\`\`\`${language}\\n([^]*?)\n\`\`\``).exec(text) ?? [];
  assert.ok(script, `docs/embedding.md has an example ${name}`);
  return script;
}

/**
 * Builds an app of this script, serves it at an origin of its own, and sees that Ada, who opens it, is seen by Bob.
 * @param {{name: string, language: 'js' | 'ts', prepare?: (folder: string) => Promise<void>}} app
 */
async function built({ name, language, prepare }) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-app-'));
  const web = createServer((request, response) => {
    const path = request.url === '/' ? '/index.html' : new URL(request.url, 'http://app').pathname;
    try {
      const body = readFileSync(join(folder, 'dist', path));
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
      response.end(body);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  const url = `http://localhost:${web.address().port}`;
  try {
    await world({ name, args: ['--origin', url] }, async ({ server, person }) => {
      let script = example(name, language);
      for (const [what, here] of [['https://meet.example', server.link.origin], ['1000', String(server.gid)], ["'12345678'", `'${server.pin}'`]]) {
        assert.ok(script.includes(what), `the script names ${what}`);
        script = script.replaceAll(what, here);
      }
      writeFileSync(join(folder, `main.${language}`), script);
      writeFileSync(join(folder, 'index.html'), `<!doctype html><title>App</title><video muted autoplay playsinline></video><script type="module" src="/main.${language}"></script>`);
      await prepare?.(folder);
      const { build } = await import('vite');
      await build({ root: folder, logLevel: 'error', configFile: false, build: { target: 'esnext' } });
      const bob = await person('Bob').bare();
      await bob.enter();
      const ada = await person('Ada').open();
      await ada.goto(url);
      await ada.waitForFunction(() => document.querySelector('video').videoWidth > 0);
      await bob.watch(320, 180);
      assert.equal(await bob.page.evaluate(async () => (await window.h.stream()).name), 'Ada');
    });
  } finally {
    web.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

test('an app built by Vite imports the SDK by its address', () => built({ name: 'bundler', language: 'js' }));

test('an app in TypeScript built by Vite has the SDK as a package with types', () => built({
  name: 'typescript',
  language: 'ts',
  async prepare(folder) {
    const { stdout } = await run(join(ROOT, 'tools', 'sdk-package'), [folder]);
    const installed = join(folder, 'node_modules', 'millrace-sdk');
    mkdirSync(installed, { recursive: true });
    // What npm does with it; it depends on nothing.
    await run('tar', ['-xzf', stdout.trim(), '-C', installed, '--strip-components=1']);
    const options = { strict: true, noEmit: true, target: 'esnext', module: 'esnext', moduleResolution: 'bundler', lib: ['esnext', 'dom', 'dom.iterable'], types: [] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['main.ts'] }));
    const compiler = join(HERE, '..', 'node_modules', 'typescript', 'bin', 'tsc');
    await run(process.execPath, [compiler, '-p', folder]).catch(({ stdout: said }) => assert.fail(said));
    // An event that does not exist, and a detail that has no such member, are found where they are written.
    writeFileSync(join(folder, 'wrong.ts'), `import type { Room } from 'millrace-sdk';\nexport function wrong(room: Room) {\n  room.on('rooster', () => {});\n  room.on('roster', ({ come }) => come);\n}\n`);
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['wrong.ts'] }));
    const found = await run(process.execPath, [compiler, '-p', folder]).then(() => '', ({ stdout: said }) => said);
    assert.match(found, /wrong\.ts\(3,/);
    assert.match(found, /wrong\.ts\(4,/);
  },
}));
