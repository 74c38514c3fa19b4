// SPDX-License-Identifier: Apache-2.0
// Before the call: signing in by e-mail, one's rooms, a new one, and the invitations by which others come in.

import { come, copied, giveCode, linkIn, makeRoom, signIn } from '../lib/account.js';
import { assert, test, until } from '../lib/check.js';
import { runBefore } from '../lib/people.js';
import { world } from '../lib/world.js';

test('signed in by a code one makes a room, and both invitations lead in with the right rights', () => world({ name: 'landing' }, async ({ person }) => {
  const ada = person('Ada');
  const page = await signIn(ada);
  assert.ok(await page.isVisible('#rooms-empty'));
  await makeRoom(page, 'Garden club');
  const texts = { participants: await copied(page, 'participants'), viewers: await copied(page, 'viewers') };
  for (const text of Object.values(texts)) assert.match(text, /Garden club[^]*https?:\/\/\S+gid=\d+&pin=\d{8}[^]*room \d+ with pin \d{4} \d{4}/);
  assert.notEqual(linkIn(texts.participants), linkIn(texts.viewers));

  const bob = await come(person('Bob'), linkIn(texts.participants));
  const eve = await come(person('Eve'), linkIn(texts.viewers));
  await bob.tile('Bob').waitFor();
  await eve.tile('Bob').waitFor();
  assert.ok(await bob.page.isVisible('#mic'));
  assert.ok(await eve.page.isHidden('#mic'), 'a viewer has no microphone button');
  // Who may not see the pins passes on the one they have.
  await eve.page.click('#copy');
  assert.deepEqual(await eve.page.locator('#invite .invite').evaluateAll((all) => all.map((one) => /** @type {HTMLElement} */ (one).dataset.for)), ['viewers']);
  assert.equal(linkIn(await eve.page.textContent('#invite .invite-text')), linkIn(texts.viewers));

  // My rooms, after a reload: the room, and who is in it.
  await page.goto(new URL('/', ada.server.link).href);
  await page.waitForSelector('.room .live:not([hidden])');
  assert.match(await page.textContent('.room'), /Garden club.*Owner.*Conference.*Bob/s);
  await page.click('.room-open');
  await page.waitForSelector('#join:not([hidden])');
  assert.equal(await page.textContent('#join-as'), 'You come as Ada.');
  await page.click('#join-button');
  await ada.tile('Bob').waitFor();
  await bob.tile('Ada').waitFor();

  // The same invitations in the call, for who may see the pins.
  await page.click('#copy');
  await page.waitForSelector('#invite .invite[data-for=viewers] .primary');
  assert.equal(await copied(page, 'participants'), texts.participants);
  await page.click('#invite-close');
  await page.reload();
  await ada.tile('Bob').waitFor();
  await page.click('#leave');
  await page.click('#ended-home');
  await page.waitForSelector('.room');

  await page.click('#sign-out');
  await page.waitForSelector('#home:not([hidden])');
  await page.reload();
  await page.waitForSelector('#home:not([hidden])');
}));

test('a room is renamed, its pin made anew and its call ended by deleting it', () => world({ name: 'my-rooms' }, async ({ person }) => {
  const ada = person('Ada');
  const page = await signIn(ada);
  await makeRoom(page, 'Draft');
  const before = linkIn(await copied(page, 'participants'));
  const bob = await come(person('Bob'), before);
  await bob.tile('Bob').waitFor();

  await page.click('.invite[data-for=participants] .more');
  await page.click('#menu >> text=New pin');
  await page.click('#ask-yes');
  const after = await until(async () => {
    const link = linkIn(await page.textContent('.invite[data-for=participants] .invite-text').catch(() => '') ?? '');
    return link !== before && link;
  }, { what: 'another link' });
  const eve = await come(person('Eve'), before);
  await until(() => eve.page.textContent('#join-error'), { what: 'the old link is refused' });
  const dan = await come(person('Dan'), after);
  await dan.tile('Bob').waitFor();

  await page.click('.invite[data-for=viewers] .more');
  await page.click('#menu >> text=Remove pin');
  await page.click('#ask-yes');
  await page.waitForSelector('.invite[data-for=viewers] >> text=Make a pin');

  await page.goto(new URL('/', ada.server.link).href);
  // By the keyboard alone, which is that of the page in front.
  await page.bringToFront();
  await page.focus('.room .more');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#menu [role=menuitem]:focus');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Rename');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Final');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.room b:text-is("Final")');
  await page.reload();
  await page.waitForSelector('.room b:text-is("Final")');

  await page.click('.room .more');
  await page.click('#menu >> text=Delete');
  await page.click('#ask-yes');
  await page.waitForSelector('#rooms-empty:not([hidden])');
  await bob.page.waitForSelector('#ended:not([hidden])');
}));

test('a webinar is made with the limits behind more, and renamed on its page', () => world({ name: 'webinar-page' }, async ({ person }) => {
  const page = await signIn(person('Ada'));
  await page.click('#room-first');
  await page.fill('#create [name=name]', 'Lecture');
  await page.check('#create [name=type][value="1"]');
  await page.click('#create summary');
  await page.selectOption('#create [name=resolution]', '2');
  await page.click('#create [type=submit]');
  await page.waitForSelector('#room .invite[data-for=participants] .primary');
  assert.match(await page.textContent('#room-kind'), /Webinar/);
  const bob = await come(person('Bob'), linkIn(await copied(page, 'participants')));
  await bob.tile('Bob').waitFor();
  await page.fill('#room-form [name=name]', 'Lecture 2');
  assert.equal(await page.inputValue('#room-form [name=resolution]'), '2');
  await page.click('#room-form [type=submit]');
  await page.waitForSelector('#room-saved:text-is("Saved.")');
  // In the running call, too.
  await until(async () => (await bob.page.textContent('#room-name')) === 'Lecture 2', { what: 'the call has the new name' });
}));

test('a wrong code is told, and a server without mail says that nobody can sign in', () => world({ name: 'codes', args: ['--mail-server', 'smtp://127.0.0.1:9', '--mail-from', 'no-reply@example.org'] }, async ({ person }) => {
  const ada = person('Ada');
  const page = await ada.open();
  await page.goto(new URL('/', ada.server.link).href);
  await page.fill('#sign-name', 'Ada');
  await page.fill('#sign-email', 'ada@example.org');
  await page.click('#sign-button');
  await until(async () => /could not be sent/.test(await page.textContent('#sign-error') ?? ''), { what: 'a sentence about the mail' });
  // What comes next is the same page with another server behind it.
  await page.route('**/api', (route) => route.fulfill({ json: { op: 'login', ts: 0, result: route.request().postData()?.includes('code=') ? 'FAIL' : 'OK', error: 'BADCODE' } }));
  await page.click('#sign-button');
  await page.waitForSelector('#code-form:not([hidden])');
  await page.fill('#code', '000000');
  await until(async () => /wrong or too old/.test(await page.textContent('#code-error') ?? ''), { what: 'a sentence about the code' });
  await page.route('**/config.json', (route) => route.fulfill({ json: { signal: '', hashes: [] } }));
  await page.reload();
  await page.waitForSelector('#sign-off:not([hidden])');
  assert.ok(await page.isHidden('#sign-form'));
}), { chromium: 'whose driver shows what is posted' });

test('a room number and a pin, or a whole link, are enough to come in', () => world({ name: 'enter' }, async ({ server, person }) => {
  const page = await person('Bob').open();
  await page.goto(new URL('/', server.link).href);
  await page.fill('#enter-room', String(server.gid));
  await page.fill('#enter-pin', server.pin.replace(/(....)/, '$1 '));
  await page.keyboard.press('Enter');
  await page.fill('#name', 'Bob');
  await page.click('#join-button');
  await page.waitForSelector('#call:not([hidden]) .tile.local');
  await page.goBack();
  await page.waitForSelector('#home:not([hidden])');
  await page.fill('#enter-room', server.link.href);
  await page.waitForSelector('#join:not([hidden])');
}));

test('a room without guests wants people signed in, who come back to it and have it in their list', () => world({ name: 'no-guests' }, async ({ server, person }) => {
  const page = await signIn(person('Ada'));
  await page.click('#room-first');
  await page.fill('#create [name=name]', 'Board');
  await page.click('#create summary');
  await page.uncheck('#create [name=guests]');
  await page.click('#create [type=submit]');
  await page.waitForSelector('#room .invite[data-for=participants] .primary');
  const text = await copied(page, 'participants');
  assert.match(text, /sign in with your e-mail/);
  const bob = await come(person('Bob'), linkIn(text));
  await until(async () => /sign in/.test(await bob.page.textContent('#join-error') ?? ''), { what: 'a sentence about it' });
  await bob.page.click('#mast-in');
  await bob.page.waitForSelector('#home:not([hidden])');
  await bob.page.fill('#sign-name', 'Bob');
  await bob.page.fill('#sign-email', 'bob@example.org');
  await bob.page.click('#sign-button');
  await bob.page.waitForSelector('#code-form:not([hidden])');
  await giveCode(bob, '#join:not([hidden])');
  assert.equal(await bob.page.textContent('#join-as'), 'You come as Bob.');
  await bob.page.click('#join-button');
  await bob.tile('Bob').waitFor();
  await bob.page.goto(new URL('/', server.link).href);
  await bob.page.waitForSelector('.room');
  assert.match(await bob.page.textContent('.room') ?? '', /Board.*Member/s);
  await bob.page.click('.room .more');
  await bob.page.click('#menu >> text=Take off my list');
  await bob.page.click('#ask-yes');
  await bob.page.waitForSelector('#rooms-empty:not([hidden])');
}));

test('what is wrong with a device is said in the lobby, with what to do', () => world({ name: 'lobby' }, async ({ server, person }) => {
  const page = await person('Ada').open();
  await runBefore(page, () => {
    const { mediaDevices } = navigator;
    // From the start: where the browser was allowed before, the lobby looks by itself.
    window.fails = { audio: 'NotAllowedError', video: 'NotAllowedError' };
    const open = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const failure = window.fails?.[wanted?.video ? 'video' : 'audio'];
      if (failure) throw new DOMException('no', failure);
      return open(wanted);
    };
  });
  await page.goto(server.link.href);
  const said = async (/** @type {Record<string, string>} */ fails, /** @type {RegExp} */ sentence) => {
    await page.evaluate((all) => { window.fails = all; }, fails);
    await page.dispatchEvent('#preview-start', 'click');
    await until(async () => sentence.test(await page.textContent('#device-error') ?? ''), { what: String(sentence) });
  };
  await said({ audio: 'NotAllowedError', video: 'NotAllowedError' }, /^Your browser blocks the camera and microphone: allow them/);
  await said({ audio: 'NotFoundError', video: 'NotFoundError' }, /^No camera and microphone were found: plug them in/);
  await said({ video: 'NotReadableError' }, /^The camera is in use by another program: close that one/);
  await page.waitForSelector('#preview-level:not([hidden])');
  await said({}, /^$/);
  await page.waitForSelector('#preview.live');
  await page.waitForSelector('#video-device:not(:disabled)');
  // Joined muted, others hear nothing from the first moment on.
  await page.click('#preview-mic');
  await page.waitForSelector('#preview-level', { state: 'hidden' });
  await page.fill('#name', 'Ada');
  await page.click('#join-button');
  await page.waitForSelector('.tile.local.muted-audio');
  const bob = await come(person('Bob'), server.link.href);
  await bob.page.waitForSelector('.tile.muted-audio:not(.local):not(.dark)');
}));
