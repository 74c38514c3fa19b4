// SPDX-License-Identifier: Apache-2.0
// Files in the chat: sent by the SDK, shown by the page, saved by a click.

import { readFileSync } from 'node:fs';
import { assert, test } from '../lib/check.js';
import { world } from '../lib/world.js';

test('a file is sent with its progress, shown in the chat and saved under its name', () => world({ name: 'files' }, async ({ person }) => {
  const ann = await person('Ann').bare();
  await ann.enter();
  const bob = await person('Bob').joinRoom();
  await bob.page.click('#chat-toggle');
  const sent = await ann.page.evaluate(async () => {
    const bytes = new Uint8Array(300_000).map((_, n) => n % 251);
    const progress = [];
    const file = new File([bytes], 'r\u00e9port.pdf', { type: 'application/pdf' });
    const message = await window.h.room.chat.sendFile(file, { text: 'Read this', onProgress: (done, total) => progress.push([done, total]) });
    return { file: message.file, status: message.status, last: progress.at(-1) };
  });
  assert.deepEqual({ ...sent.file, id: '' }, { id: '', name: 'r\u00e9port.pdf', type: 'application/pdf', size: 300_000 });
  assert.equal(sent.last[0], sent.last[1]);
  const saved = bob.page.waitForEvent('download');
  await bob.page.click('#chat-log .file');
  const download = await saved;
  assert.equal(download.suggestedFilename(), 'r\u00e9port.pdf');
  const bytes = readFileSync(await download.path());
  assert.ok(bytes.length === 300_000 && bytes.every((byte, n) => byte === n % 251));

  await bob.page.setInputFiles('#chat-file', { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('note') });
  await ann.page.evaluate(() => window.h.until(() => window.h.room.chat.messages.some(({ file }) => file?.name === 'note.txt')));
  const refused = await ann.page.evaluate(() => window.h.room.chat.sendFile(new File(['x'], 'a.html', { type: 'text/html' })).catch((error) => error.code));
  assert.equal(refused, 'BADTYPE');
}));
