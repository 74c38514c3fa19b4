// SPDX-License-Identifier: Apache-2.0
// Microphones and cameras change in a running call, and go away.

import { assert, test, until } from '../lib/check.js';
import { world } from '../lib/world.js';

/** Chromium's own fake devices: four cameras, of which the second gives WebRTC no picture, and three microphones. */
const SEVERAL = ['--use-fake-device-for-media-stream=device-count=4,fps=30'];

/** What is captured of a kind: of which device, and since when. @param {import('../lib/people.js').Person} one @param {string} kind */
const captured = (one, kind) => one.page.evaluate((wanted) => {
  const tracks = window.h.publisher.media.getTracks().filter((track) => track.kind === wanted);
  return tracks.map(({ id, label, readyState }) => ({ id, label, readyState }));
}, kind);

test('another camera and microphone are chosen in a running call, and viewers never miss a picture', () => world({ name: 'devices', chromium: SEVERAL }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.watch(640, 360);
  const cameras = await ada.page.evaluate(() => window.h.client.devices.list('video'));
  assert.equal(cameras.length, 4, JSON.stringify(cameras));
  const [before] = await captured(ada, 'video');
  const other = cameras[3];
  assert.notEqual(other.label, before.label);

  // The old one is let go after the new one is open and sent, not before.
  const order = await ada.page.evaluate(async (id) => {
    const { publisher } = window.h;
    const [old] = publisher.media.getVideoTracks();
    const seen = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      const stream = await open(constraints);
      seen.push(`opened while the old is ${old.readyState}`);
      return stream;
    };
    publisher.on('device', ({ label }) => seen.push(`told of ${label}, the old is ${old.readyState}`));
    await publisher.setDevice('video', id);
    navigator.mediaDevices.getUserMedia = open;
    return seen;
  }, other.deviceId);
  assert.deepEqual(order, ['opened while the old is live', `told of ${other.label}, the old is ended`]);
  assert.deepEqual((await captured(ada, 'video')).map(({ label }) => label), [other.label]);
  const decoded = (await bob.inbound()).framesDecoded;
  await until(async () => (await bob.inbound()).framesDecoded > decoded + 20, { what: 'Bob sees the other camera' });

  // What cannot be opened changes nothing.
  const refused = await ada.page.evaluate(() => window.h.publisher.setDevice('video', 'no such device').catch(({ name }) => name));
  assert.equal(refused, 'OverconstrainedError');
  assert.deepEqual((await captured(ada, 'video')).map(({ label, readyState }) => [label, readyState]), [[other.label, 'live']]);

  // A microphone that is chosen while muted is the one that is opened.
  const microphones = await ada.page.evaluate(() => window.h.client.devices.list('audio'));
  const [microphone] = await captured(ada, 'audio');
  const second = microphones.find(({ label, deviceId }) => label !== microphone.label && deviceId !== 'default');
  await ada.page.evaluate(async (id) => {
    const { publisher } = window.h;
    await publisher.mute({ audio: true });
    await publisher.setDevice('audio', id);
    await publisher.mute({ audio: false });
  }, second.deviceId);
  assert.deepEqual((await captured(ada, 'audio')).map(({ label }) => label), [second.label]);
}), { chromium: 'which has more fake devices than one' });

test('a camera of another size has layers of its own, and a tile gets the one that suits it', () => world({ name: 'smaller-camera', chromium: SEVERAL }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.watch(1280, 720);
  const layer = () => bob.page.evaluate(() => [window.h.view.layer.width, window.h.view.layer.height].join('x'));
  await until(async () => (await layer()) === '1280x720', { what: 'Bob gets the largest' });
  await ada.page.evaluate(async () => {
    const { client, publisher } = window.h;
    const cameras = await client.devices.list('video');
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    // Chromium's fake cameras can all do all sizes; this one cannot.
    navigator.mediaDevices.getUserMedia = (wanted) => open({ ...wanted, video: { ...wanted.video, width: { exact: 640 }, height: { exact: 480 } } });
    await publisher.setDevice('video', cameras[3].deviceId);
  });
  await until(async () => (await layer()) === '640x480', { what: 'Bob gets the largest there is' });
  await until(() => bob.page.evaluate(() => window.h.box.videoWidth === 640 && window.h.box.videoHeight === 480), { what: 'and sees it' });
}), { chromium: 'which has more fake devices than one' });

test('a device that goes away is replaced, or one is muted, and the page is told', () => world({ name: 'device-lost', chromium: SEVERAL }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  const [first, , , second] = await ada.page.evaluate(async () => {
    await window.h.publish({ source: 'camera' });
    window.told = [];
    window.changes = [];
    window.h.publisher.on('device', ({ kind, lost, label, error }) => window.told.push({ kind, lost, label, ...(error && { error: error.name }) }));
    window.h.client.devices.on('changed', ({ added, removed }) => window.changes.push({ added: added.map(({ label }) => label), removed: removed.map(({ label }) => label) }));
    return window.h.client.devices.list('video');
  });
  await bob.watch(640, 360);
  const told = (/** @type {number} */ count) => until(async () => {
    const all = await ada.page.evaluate(() => window.told);
    return all.length >= count && all[count - 1];
  }, { what: `Ada's page is told ${count} times` });
  const bobSees = async (/** @type {string} */ what) => {
    const decoded = (await bob.inbound()).framesDecoded;
    await until(async () => (await bob.inbound()).framesDecoded > decoded + 20, { what });
  };

  // The browser's process that captures pictures dies: tracks end as they do when a camera is unplugged. It is still there: it is had again.
  await endProcess(ada.browser, 'video_capture');
  assert.deepEqual(await told(1), { kind: 'video', lost: first.label, label: first.label });
  await bobSees('Bob sees the camera again');

  // One that is there no more is replaced by another. Which devices there are is Chromium's to say, and its fake ones are never unplugged.
  await ada.page.evaluate(async (id) => {
    await window.h.publisher.setDevice('video', id);
    const all = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
    navigator.mediaDevices.enumerateDevices = async () => (await all()).filter(({ deviceId }) => deviceId !== id);
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  }, second.deviceId);
  assert.equal((await told(2)).label, second.label);
  await ada.page.evaluate(() => window.h.until(() => window.changes.length > 0));
  assert.deepEqual(await ada.page.evaluate(() => window.changes), [{ added: [], removed: [second.label] }]);
  await endProcess(ada.browser, 'video_capture');
  assert.deepEqual(await told(3), { kind: 'video', lost: second.label, label: first.label });
  await bobSees('Bob sees the first camera');
  assert.equal(await ada.page.evaluate(() => window.h.publisher.muted.video), false);

  // Where none can be had the publisher is muted, for everyone to see, and unmuting tries again.
  const refuse = () => ada.page.evaluate(() => {
    window.open0 = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('No such device', 'NotFoundError'); };
  });
  await refuse();
  await endProcess(ada.browser, 'audio.');
  const { lost, error } = await told(4);
  assert.deepEqual({ lost, error }, { lost: 'Fake Default Audio Input', error: 'NotFoundError' });
  await bob.page.evaluate(async () => window.h.until(async () => (await window.h.stream()).muted.audio));
  await ada.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = window.open0;
    return window.h.publisher.mute({ audio: false });
  });
  await bob.page.evaluate(async () => window.h.until(async () => !(await window.h.stream()).muted.audio));
  assert.deepEqual((await captured(ada, 'audio')).map(({ readyState }) => readyState), ['live']);
}), { chromium: 'which has more fake devices than one' });

test('what is watched is heard where the page says, and there also what comes later', () => world({ name: 'output', chromium: SEVERAL }, async ({ person }) => {
  const ada = await person('Ada').bare();
  const bob = await person('Bob').bare();
  await Promise.all([ada.enter(), bob.enter()]);
  await ada.publish({ source: 'camera' });
  await bob.watch(320, 180);
  const sinks = await bob.page.evaluate(async () => {
    const { client, box, view } = window.h;
    // Who was allowed no device is told of none.
    (await navigator.mediaDevices.getUserMedia({ audio: true })).getTracks().forEach((track) => track.stop());
    const output = (await client.devices.list('output')).find(({ deviceId }) => deviceId !== 'default');
    await client.playback.setOutput(output.deviceId);
    const later = document.createElement('video');
    await view.attach(later);
    const refused = await client.playback.setOutput('no such device').catch(({ name }) => name);
    return { wanted: output.deviceId, first: box.sinkId, later: later.sinkId, refused, output: client.playback.output };
  });
  assert.deepEqual(sinks, { wanted: sinks.wanted, first: sinks.wanted, later: sinks.wanted, refused: 'NotFoundError', output: sinks.wanted });
}), { chromium: 'which has more fake devices than one' });

/**
 * Ends a service process of this browser.
 * @param {import('playwright-core').Browser} browser
 * @param {string} name how its name begins
 */
async function endProcess(browser, name) {
  const control = await browser.newBrowserCDPSession();
  const { processInfo } = await control.send('SystemInfo.getProcessInfo');
  const found = processInfo.find(({ type }) => type.startsWith(name));
  assert.ok(found, `a process ${name}`);
  process.kill(found.id, 'SIGKILL');
  await control.detach();
}
