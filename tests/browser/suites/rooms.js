// SPDX-License-Identifier: Apache-2.0
// What people see and do in a room.

import { assert, note, test, time, until } from '../lib/check.js';
import { countFrames } from '../lib/people.js';
import { world } from '../lib/world.js';

/**
 * Clicks a button in the page itself and answers when: the driver's own way there would be in the figure.
 * @param {import('../lib/people.js').Person} one
 * @param {string} id
 */
async function clickOn(one, id) {
  return one.page.evaluate((button) => {
    document.getElementById(button).click();
    return Date.now();
  }, id);
}

/**
 * When the page has, or has no longer, what the selector says.
 * @param {import('../lib/people.js').Person} one
 * @param {string} selector
 * @param {boolean} there
 */
function whenSeen(one, selector, there) {
  return one.page.evaluate(async ([wanted, present]) => {
    const end = performance.now() + 30_000;
    while (Boolean(document.querySelector(wanted)) !== present) {
      if (performance.now() > end) throw new Error(`Not within 30 s: ${wanted} ${present}`);
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    return Date.now();
  }, /** @type {const} */ ([selector, there]));
}

test('the printed link: two tabs are two people who see each other', () => world({ name: 'link' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const bob = person('Bob');
  await bob.open();
  await bob.page.goto(bob.server.link.href);
  await bob.page.fill('#name', 'Bob');
  // Playwright's own waiting would be in the figure, so the page takes the time.
  const first = await bob.page.evaluate(async () => {
    const started = performance.now();
    document.getElementById('join-button').click();
    for (;;) {
      const video = document.querySelector('.tile:not(.local) video');
      if (video?.videoWidth) return performance.now() - started;
      if (performance.now() - started > 30_000) throw new Error('no remote frame within 30 s');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  time('click to first remote frame', first, 1000);
  await until(() => ada.page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth > 0), { what: 'Ada sees Bob' });
  await until(() => bob.page.evaluate(() => document.querySelector('.tile:not(.local) video')?.videoWidth === 1280), { what: 'Bob sees 720p' });
  await until(async () => (await bob.tile('Ada').locator('.badge .size').textContent()) === '1280×720', { what: 'the badge says 1280×720' });

  const muted = whenSeen(bob, '.tile.muted-audio:not(.local)', true);
  time('mute is seen', -(await clickOn(ada, 'mic')) + await muted, 200);
  await ada.page.keyboard.press('v');
  await bob.page.waitForSelector('.tile.dark:not(.local)');
  await ada.page.keyboard.press('v');
  await bob.page.waitForSelector('.tile:not(.dark):not(.local)');
  await ada.page.click('#mic');
  await bob.page.waitForSelector('.tile:not(.muted-audio):not(.local)');

  await bob.page.click('#people-toggle');
  await until(async () => (await bob.page.locator('#people-list li').count()) === 2, { what: 'both are in the list' });

  const left = whenSeen(bob, '.tile:not(.local)', false);
  time('leave is seen', -(await clickOn(ada, 'leave')) + await left, 200);
  await ada.page.waitForSelector('#ended:not([hidden])');
}));

test('what is pressed last holds, however quickly', () => world({ name: 'toggles' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const bob = await person('Bob').joinRoom();
  await bob.page.waitForSelector('.tile:not(.local):not(.muted-audio):not(.dark)');
  const presses = (/** @type {number} */ times) => ada.page.evaluate((count) => {
    for (let press = 0; press < count; press += 1) for (const id of ['mic', 'cam']) document.getElementById(id).click();
  }, times);
  await presses(3);
  await bob.page.waitForSelector('.tile.muted-audio.dark:not(.local)');
  await ada.page.waitForSelector('.tile.local.muted-audio.dark');
  await presses(3);
  await bob.page.waitForSelector('.tile:not(.local):not(.muted-audio):not(.dark)');
  await ada.page.waitForSelector('.tile.local:not(.muted-audio):not(.dark)');
  const frames = await countFrames(bob.page, '.tile:not(.local) video');
  await until(async () => (await frames()) > 10, { what: 'the picture moves again' });
}));

test('a reload keeps the person, a closed page is gone', () => world({ name: 'reload' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  await ada.tile('Ada').waitFor();
  const bob = await person('Bob').joinRoom();
  await bob.page.waitForSelector('.tile:not(.local)');
  const key = await bob.page.getAttribute('.tile:not(.local)', 'data-stream');
  await ada.page.reload();
  await ada.tile('Bob').waitFor();
  await until(async () => (await bob.page.locator('.tile:not(.local)').count()) === 1, { what: 'one Ada' });
  await until(() => bob.page.evaluate(() => document.querySelector('.tile:not(.local):not(.stale) video')?.videoWidth > 0), { what: 'Ada is seen again' });
  assert.equal(await bob.page.getAttribute('.tile:not(.local)', 'data-stream'), key);
  await ada.page.close();
  await until(async () => (await bob.page.locator('.tile:not(.local)').count()) === 0, { what: 'Ada is gone' });
}));

test('roster changes arrive at once', () => world({ name: 'roster' }, async ({ person }) => {
  const a = await person('Ada').bare();
  const b = await person('Bob').bare();
  await Promise.all([a.enter(), b.enter()]);
  const asked = await a.page.evaluate(async () => {
    const { client } = window.h;
    const publisher = client.publisher({ source: 'camera' });
    window.h.publisher = publisher;
    const answered = new Promise((resolve) => {
      const set = RTCPeerConnection.prototype.setRemoteDescription;
      RTCPeerConnection.prototype.setRemoteDescription = function (...values) {
        resolve(Date.now());
        return set.apply(this, values);
      };
    });
    await publisher.start();
    return answered;
  });
  const joined = await until(() => b.page.evaluate(() => window.h.rosterAt.find((r) => r.joined)));
  time('joined, from the answer to the publisher', Math.max(0, joined.at - asked), 200);
  const muted = await a.page.evaluate(async () => {
    const at = Date.now();
    await window.h.publisher.mute({ audio: true });
    return at;
  });
  const changed = await until(() => b.page.evaluate(() => window.h.rosterAt.find((r) => r.changed)));
  time('muted', changed.at - muted, 200);
  assert.equal(await b.page.evaluate(() => [...window.h.room.streams.values()][0].muted.audio), true);
  const left = await a.page.evaluate(() => {
    window.h.client.leave(window.h.room.gid);
    return Date.now();
  });
  const gone = await until(() => b.page.evaluate(() => window.h.rosterAt.find((r) => r.left)));
  time('left', gone.at - left, 200);
  assert.equal(await b.page.evaluate(() => window.h.room.streams.size), 0);
}));

test('a wrong pin is refused', () => world({ name: 'pin' }, async ({ server, person }) => {
  const link = new URL(server.link);
  link.searchParams.set('pin', server.pin === '00000000' ? '11111111' : '00000000');
  const eve = await person('Eve').joinRoom({ link: link.href });
  await until(() => eve.page.locator('#join-error').textContent(), { what: 'a sentence about it' });
  note(await eve.page.locator('#join-error').textContent());
  assert.ok(await eve.page.isHidden('#call'));
  const refused = await eve.page.evaluate(() => fetch('/api?op=guest&gid=999999&pin=1&name=x').then((r) => r.json()));
  assert.equal(refused.result, 'FAIL');
}));

test('a holder of the subscriber pin cannot publish, not even by hand', () => world({ name: 'spin' }, async ({ server, person }) => {
  const owner = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token: owner, name: 'Lecture', resolution: 0, type: 0 });
  assert.equal(group.result, 'OK', JSON.stringify(group));
  const a = await person('Olga').bare();
  const b = await person('Spy').bare();
  await a.enter({ gid: group.gid, pin: group.pin, token: owner });
  const { rights } = await b.enter({ gid: group.gid, pin: group.spin, token: await server.token('Spy') });
  assert.equal(rights.publish, false);
  assert.equal(rights.subscribe, true);
  const refused = await b.page.evaluate(async (gid) => {
    const pc = new RTCPeerConnection();
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly' });
    await pc.setLocalDescription(await pc.createOffer());
    try {
      await window.h.client.request('publish', { gids: [gid], sid: 0, source: 1, sdp: pc.localDescription.sdp, muted: { audio: false, video: false } });
      return 'published';
    } catch (error) {
      return error.code;
    }
  }, group.gid);
  assert.equal(refused, 'NOTALLOWED');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await a.page.evaluate(() => window.h.room.streams.size), 0);
  await a.publish({ source: 'camera' });
  time('yet it may watch: first frame', await b.watch(640, 360));
}));

test('camera and screen at once are two streams', () => world({ name: 'screen' }, async ({ person }) => {
  const ada = await person('Ada').joinRoom();
  const bob = await person('Bob').joinRoom();
  await bob.tile('Ada').waitFor();
  await ada.page.keyboard.press('s');
  await until(() => bob.page.evaluate(() => document.querySelector('#stage .tile.screen video')?.videoWidth > 0), { what: 'the screen is on the stage' });
  await ada.page.keyboard.press('s');
  await until(async () => (await bob.page.locator('.tile.screen').count()) === 0, { what: 'the screen is gone' });
  assert.equal(await bob.page.locator('.tile:not(.local)').count(), 1);
}), { chromium: 'without a display Firefox has no screen to share' });

test('the mesibo names: publish and view by callbacks', () => world({ name: 'mesibo' }, async ({ server, person }) => {
  const owner = await server.token('Olga');
  const group = await server.api({ op: 'setgroup', token: owner, name: 'Call', resolution: 0, type: 0 });
  const other = await server.token('Otto');
  const joined = await server.api({ op: 'joingroup', token: other, gid: group.gid, pin: group.pin });
  assert.equal(joined.result, 'OK', JSON.stringify(joined));
  const a = await person('Olga').bare();
  const b = await person('Otto').bare();
  const begin = (who, token) => who.page.evaluate(async ({ token, gid }) => {
    const { mesibo } = await import('/sdk/millrace.js');
    const log = (window.log = { status: [], participants: [], attached: [] });
    document.body.insertAdjacentHTML('beforeend', '<video id="own" width="320" height="180"></video><video id="other" width="640" height="360" muted></video>');
    const api = new mesibo();
    api.setAppName('test');
    api.setCredentials(token);
    api.setDatabase('none');
    api.setListener({
      Mesibo_onConnectionStatus: (status) => log.status.push(status),
      Mesibo_OnParticipants: (all, latest) => {
        log.participants.push([all.length, latest.length]);
        for (const p of latest) p.call(null, 'other', (q) => q.attach('other', (ok) => log.attached.push(ok), 100, 50), () => {});
      },
    });
    window.call = api.initGroupCall();
    window.call.setRoom(gid);
    api.start();
  }, { token, gid: group.gid });
  await begin(a, owner);
  await begin(b, other);
  await a.page.evaluate((gid) => {
    window.own = window.call.getLocalParticipant(0, 'Olga', 'olga');
    window.own.call({ peer: 0, name: 'Olga', groupid: gid, source: 1, audio: true, video: true }, 'own', (p) => p.attach('own'), (p, status) => window.log.status.push(status));
  }, group.gid);
  await until(() => b.page.evaluate(() => document.getElementById('other').videoWidth > 0), { what: 'Otto sees Olga' });
  await until(() => a.page.evaluate(() => window.log.status.includes(0x30)), { what: 'the channel is up' });
  assert.ok(await b.page.evaluate(() => window.log.status.includes(1)));
  await a.page.evaluate(() => window.own.toggleMute(false));
  await a.page.evaluate(() => window.own.hangup());
  await until(() => b.page.evaluate(() => window.log.participants.at(-1).join() === '0,0'), { what: 'a shorter list' });
}));
