// SPDX-License-Identifier: Apache-2.0
// The names of the hosted platform: both surfaces, on the same objects.

import { assert, test, until } from '../lib/check.js';
import { countFrames } from '../lib/people.js';
import { world } from '../lib/world.js';

/**
 * Two members of a group on bare pages, each with `api` (a started `mesibo`), `gid`, and a `log` of what its listener hears: [name, ...values].
 * @param {{name: string, settings?: object}} options
 * @param {(test: {server: import('../lib/server.js').Server, group: any, tokens: string[], olga: import('playwright-core').Page,
 *   otto: import('playwright-core').Page, person: (name: string) => import('../lib/people.js').Person}) => Promise<void>} run
 */
function pair({ name, settings = {} }, run) {
  return world({ name: `mesibo-${name}` }, async ({ server, person }) => {
    const tokens = [await server.token('Olga'), await server.token('Otto')];
    const group = await server.api({ op: 'setgroup', token: tokens[0], name: 'Call', resolution: 0, type: 0, ...settings });
    assert.equal(group.result, 'OK', JSON.stringify(group));
    await server.api({ op: 'joingroup', token: tokens[1], gid: group.gid, pin: group.pin });
    const pages = [];
    for (const [index, who] of ['Olga', 'Otto'].entries()) {
      const { page } = await person(who).bare();
      await page.evaluate(begin, { token: tokens[index], gid: group.gid });
      pages.push(page);
    }
    const [olga, otto] = pages;
    await run({ server, group, tokens, olga, otto, person });
  });
}

/** Runs in the page. @param {{token: string, gid: number}} who */
async function begin({ token, gid }) {
  const sdk = await import('/sdk/millrace.js');
  const log = [];
  const ids = ['own', 'screen', 'other', 'other-screen'];
  document.body.replaceChildren(...ids.map((id) => {
    const video = Object.assign(document.createElement('video'), { id, muted: true });
    video.style.cssText = 'width:640px;height:360px;display:block';
    return video;
  }));
  const api = new sdk.mesibo();
  api.setAppName('test');
  api.setCredentials(token);
  // Every name is heard, whatever it is.
  const listener = new Proxy({}, {
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true }),
    ownKeys: () => ['ConnectionStatus', 'Participants', 'ParticipantUpdated', 'Subscriber', 'Permission', 'Error'].map((of) => `mesibo_on${of.toLowerCase()}`),
    get: (_, key) => (...values) => log.push([String(key).replace('mesibo_on', ''), ...values]),
  });
  api.setListener(listener);
  const calls = {};
  for (const of of ['Publisher', 'Subscriber', 'Connected', 'Video', 'Audio', 'Mute', 'Talking', 'VideoSourceChanged', 'Hangup']) {
    calls[`MesiboGroupcall_on${of}`] = (...values) => log.push([of, ...values]);
  }
  const heard = (name) => log.filter(([of]) => of === name).map(([, ...values]) => values);
  Object.assign(window, { sdk, api, gid, log, calls, heard, until: window.h.until });
  api.start();
}

test('mesibo: two sources of one publisher are two streams, and what is done to it reaches both', () => pair({ name: 'sources' }, async ({ olga, otto }) => {
  await otto.evaluate(() => { window.call = window.api.initGroupCall(); window.call.setRoom(window.gid); });
  await olga.evaluate(async () => {
    window.call = window.api.initGroupCall();
    window.call.setRoom(window.gid);
    window.own = window.call.getLocalParticipant(0, 'Olga', 'olga');
    window.streams = [];
    window.statuses = [];
    for (const [source, element] of [[window.sdk.STREAM_CAMERA, 'own'], [window.sdk.STREAM_SCREEN, 'screen']]) {
      window.own.call({ source, audio: true, video: true }, element, (p) => window.streams.push(p), (p, status) => window.statuses.push([p.getType(), status]));
    }
    await window.until(() => window.statuses.filter(([, status]) => status === 0x30).length === 2);
  });
  const remote = () => otto.evaluate(() => (window.heard('participants').at(-1)?.[0] ?? []).map((p) => [p.getType(), p.muteStatus(true, true)]).sort().join());
  await until(async () => (await remote()) === '0,false,1,false', { what: 'a camera and a screen' });

  // Each element shows the source that was called for it.
  const shown = await olga.evaluate(async () => {
    const ok = (id) => new Promise((resolve) => window.own.attach(id, resolve));
    const attached = [await ok('own'), await ok('screen')];
    const [camera, screen] = ['own', 'screen'].map((id) => document.getElementById(id).srcObject);
    const types = window.streams.map((p) => p.getType());
    return { attached, same: camera === screen, tracks: [camera, screen].map((media) => media.getVideoTracks()[0].getSettings().displaySurface ?? 'camera'), types };
  });
  assert.deepEqual(shown.attached, [true, true]);
  assert.equal(shown.same, false, 'two elements, two streams');
  assert.equal(shown.tracks[0], 'camera');
  assert.notEqual(shown.tracks[1], 'camera');
  assert.ok(shown.types.includes(0) && shown.types.includes(1), `getType of what the callbacks are given: ${shown.types}`);

  assert.equal(await olga.evaluate(() => window.own.toggleMute(true)), true);
  await until(async () => (await remote()) === '0,true,1,true', { what: 'both are muted' });
  assert.equal(await olga.evaluate(() => window.own.toggleMute(true)), false);
  await until(async () => (await remote()) === '0,false,1,false', { what: 'both are back' });
  assert.equal(await olga.evaluate(() => window.streams.find((p) => p.getType() === 1).toggleMute(true)), true);
  await until(async () => (await remote()) === '0,false,1,true', { what: 'the screen alone is muted' });
  assert.equal(await olga.evaluate(() => window.own.muteStatus(true)), false, 'not all of it is muted');

  await olga.evaluate(() => window.own.hangup());
  await until(async () => (await remote()) === '', { what: 'both are gone' });
  assert.deepEqual(await olga.evaluate(() => window.statuses.filter(([, status]) => status >= 0x40).sort()), [[0, 0x40], [1, 0x40]]);
}), { chromium: 'without a display Firefox has no screen to share' });

test('mesibo: a subscriber is somebody, and permission is told of the room that was set, when it changes', () => pair({ name: 'told' }, async ({ server, group, tokens, olga, otto }) => {
  // A second group, in which the stream is shown as well, and where Otto may do nothing.
  const second = await server.api({ op: 'setgroup', token: tokens[1], name: 'Second', type: 0 });
  const uids = await Promise.all([olga, otto].map((page) => page.evaluate(async () => {
    await window.until(() => window.api.client.self);
    return window.api.client.self.uid;
  })));
  await otto.evaluate(async (gids) => {
    window.call = window.api.initGroupCall();
    window.call.setRoom(window.gid);
    window.call.getLocalParticipant(0, 'Otto', '').call({ groupid: gids, source: 1 }, 'own', () => {}, () => {});
    await window.until(() => window.heard('permission').length > 0 && window.api.client.rooms.size === 2);
    await window.until(() => [...window.api.client.rooms.values()].every(({ name }) => name));
  }, [group.gid, second.gid]);
  assert.deepEqual(await otto.evaluate(() => window.heard('permission')), [[true]], 'once, for the room that was set');

  await olga.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    await window.until(() => window.heard('Publisher').length > 0);
    window.p = window.heard('Publisher')[0][0];
    window.p.call(true, true);
  });
  const [[uid, name, address, type, local]] = await until(() => otto.evaluate(() => {
    const all = window.heard('subscriber');
    return all.length && all.map(([s]) => [s.getId(), s.getName(), s.getAddress(), s.getType(), s.isLocal()]);
  }));
  assert.deepEqual([uid, name, type, local], [uids[0], 'Olga', 0, false]);
  assert.equal(address, await olga.evaluate(() => window.api.client.self.address));

  // A right that has nothing to do with publishing is no news.
  const edit = (rights) => olga.evaluate(([who, r]) => window.call.room.edit([who], { rights: r }), [uids[1], rights]);
  await edit({ send: false });
  await otto.evaluate(() => window.until(() => window.call.room.rights.send === false));
  assert.deepEqual(await otto.evaluate(() => window.heard('permission')), [[true]]);
  await edit({ publish: false });
  await until(() => otto.evaluate(() => window.heard('permission').length === 2));
  assert.deepEqual(await otto.evaluate(() => window.heard('permission')), [[true], [false]]);
}));

test('mesibo: the later surface, from joining to leaving', () => pair({ name: 'later' }, async ({ olga, otto }) => {
  await olga.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join(window.calls);
    window.own = window.call.createPublisher(0);
    window.own.setVideoSource(window.sdk.MESIBOCALL_VIDEOSOURCE_CAMERADEFAULT);
    window.own.setVideoView('own');
    window.own.call(true, true, window.calls);
    window.own.setName('Olga on the stage');
    await window.until(() => window.heard('Connected').some(([p, on]) => p === window.own && on));
  });
  await otto.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    await window.until(() => window.heard('Publisher').length > 0);
    const [p, joined] = window.heard('Publisher')[0];
    window.p = p;
    window.first = { joined, local: p.isLocal(), name: p.getName(), talked: p.getTalkTimestamp() };
    // The view may be set before there is anything to see, and as an element.
    p.setVideoView(document.getElementById('other'), (ok) => { window.set = ok; }, 100, 250);
    p.call(true, true, window.calls);
    await window.until(() => document.getElementById('other').videoWidth > 0 && window.set);
  });
  assert.deepEqual(await otto.evaluate(() => window.first), { joined: true, local: false, name: 'Olga on the stage', talked: 0 });
  await until(() => olga.evaluate(() => document.getElementById('own').videoWidth > 0), { what: 'Olga sees herself' });
  await otto.evaluate(() => window.until(() => window.heard('Audio').length && window.heard('Video').some(([p, ratio, on]) => p === window.p && on && Math.abs(ratio - 16 / 9) < 0.01)));
  assert.ok(await otto.evaluate(() => window.heard('Connected').some(([p, on]) => p === window.p && on)));
  await until(() => olga.evaluate(() => window.heard('Subscriber').some(([s, on]) => s.getName() === 'Otto' && on)), { what: 'Olga hears of Otto' });

  // The fake microphone beeps.
  await otto.evaluate(() => window.until(() => window.heard('Talking').some(([p, on]) => p === window.p && on)));
  const talked = await otto.evaluate(() => [window.p.getTalkTimestamp(), Date.now()]);
  assert.ok(talked[0] > talked[1] - 60_000 && talked[0] <= talked[1], `talked at ${talked[0]}, now is ${talked[1]}`);

  // Each side's mute, and what the other one hears of it.
  assert.equal(await olga.evaluate(() => window.own.toggleAudioMute()), true);
  await otto.evaluate(() => window.until(() => window.heard('Mute').some(([p, a, v, remote]) => p === window.p && a && !v && remote)));
  assert.deepEqual(await otto.evaluate(() => [window.p.muteStatus(false), window.p.muteStatus(false, true), window.p.getMuteStatus(false)]), [false, true, true]);
  assert.equal(await olga.evaluate(() => window.own.toggleAudioMute()), false);
  assert.equal(await otto.evaluate(() => window.p.toggleVideoMute()), true);
  await otto.evaluate(() => window.until(() => window.heard('Mute').some(([p, a, v, remote]) => p === window.p && !a && v && !remote) && !window.p.hasVideo()));
  assert.equal(await otto.evaluate(() => window.p.toggleVideoMute()), false);
  await otto.evaluate(() => window.until(() => window.p.hasVideo()));
  assert.ok(await olga.evaluate(() => window.heard('Mute').every(([p, , , remote]) => p === window.own && !remote)));

  await otto.evaluate(() => window.p.hangup());
  assert.deepEqual(await otto.evaluate(() => window.heard('Hangup').map(([p, reason]) => [p === window.p, reason])), [[true, 1]], 'USER');
  await until(() => olga.evaluate(() => window.heard('Subscriber').some(([, on]) => !on)), { what: 'Olga hears that Otto looks away' });
  await otto.evaluate(async () => {
    window.p.call(true, true);
    await window.until(() => window.p.isCallConnected());
  });
  await olga.evaluate(() => window.call.leave());
  assert.deepEqual(await olga.evaluate(() => window.heard('Hangup').map(([p, reason]) => [p === window.own, reason])), [[true, 1]], 'USER');
  await otto.evaluate(() => window.until(() => window.heard('Publisher').some(([p, joined]) => p === window.p && !joined)));
  assert.equal(await otto.evaluate(() => window.heard('Hangup').at(-1)[1]), 2, 'REMOTE');
  assert.equal(await olga.evaluate(() => window.api.client.rooms.size), 0);
}));

test('mesibo: what is not visible is not sent, and what fills the screen is large', () => pair({ name: 'visibility' }, async ({ olga, otto }) => {
  await olga.evaluate(() => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    window.call.createPublisher(0).call(true, true);
  });
  await otto.evaluate(async () => {
    document.getElementById('other').style.cssText = 'width:160px;height:90px';
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    await window.until(() => window.heard('Publisher').length > 0);
    [[window.p]] = window.heard('Publisher');
    window.p.call(true, true);
    window.p.setVideoView('other');
    window.width = () => document.getElementById('other').videoWidth;
    await window.until(() => window.width() === 320);
  });
  await otto.evaluate(() => window.p.setVisibility(true, true, 7));
  await otto.evaluate(() => window.until(() => window.width() === 1280));
  await otto.evaluate(() => window.p.setVisibility(true, false, 7));
  await otto.evaluate(() => window.until(() => window.width() === 320));
  const frames = await countFrames(otto, '#other');
  await otto.evaluate(() => window.p.setVisibility(false));
  await until(() => otto.evaluate(() => [...window.api.client.viewer.views.values()][0].layer.why === 'inactive'), { what: 'the server sends nothing' });
  const before = await frames();
  await new Promise((resolve) => setTimeout(resolve, 500));
  // One may have been on its way.
  assert.ok((await frames()) - before <= 2, 'no frames while nobody sees them');
  await otto.evaluate(() => window.p.setVisibility(true));
  await until(async () => (await frames()) > before + 10, { what: 'frames again' });
}));

test('mesibo: another format, and another source, in a running call', () => pair({ name: 'format' }, async ({ olga, otto }) => {
  await olga.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    window.own = window.call.createPublisher(0);
    window.own.call(true, true);
    await window.until(() => window.own.isCallConnected());
    window.publisher = () => [...window.api.client.publishers.values()][0];
    window.captured = () => window.publisher().media.getVideoTracks()[0].getSettings();
    window.encodings = () => window.publisher().pc.getSenders().find(({ track }) => track?.kind === 'video')?.getParameters().encodings ?? [];
  });
  await otto.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    await window.until(() => window.heard('Publisher').length > 0);
    [[window.p]] = window.heard('Publisher');
    window.p.setVideoView('other');
    window.p.setVisibility(true, true);
    window.p.call(true, true);
    window.size = () => `${document.getElementById('other').videoWidth}x${document.getElementById('other').videoHeight}`;
    await window.until(() => window.size() === '1280x720');
  });
  await olga.evaluate(() => window.own.changeVideoFormat(640, 360, 10));
  await otto.evaluate(() => window.until(() => window.size() === '640x360'));
  await until(() => olga.evaluate(() => window.captured().frameRate <= 10 && window.encodings().length === 2 && window.encodings().every(({ maxFramerate }) => maxFramerate === 10)), { what: 'captured and encoded so' });

  await olga.evaluate(() => window.own.switchSource());
  await olga.evaluate(() => window.until(() => window.heard('VideoSourceChanged').some(([p, now, before]) => p === window.own && now === 2 && before === 1)));
  await otto.evaluate(() => window.until(() => window.heard('VideoSourceChanged').some(([p, now, before]) => p === window.p && now === 2 && before === 1)));
  assert.ok(await olga.evaluate(() => 'displaySurface' in window.captured()), 'a screen is captured');
  assert.equal(await olga.evaluate(() => window.publisher().media.getAudioTracks().length), 1, 'and the microphone still');
  const frames = await countFrames(otto, '#other');
  const before = await frames();
  await until(async () => (await frames()) > before + 3, { what: 'the screen is seen' });
  await olga.evaluate(() => window.own.setVideoSource(window.sdk.MESIBOCALL_VIDEOSOURCE_CAMERADEFAULT));
  await olga.evaluate(() => window.until(() => window.heard('VideoSourceChanged').at(-1)[1] === 1 && !('displaySurface' in window.captured())));
  assert.equal(await olga.evaluate(() => window.own.getVideoSource()), 1);
  await otto.evaluate(() => window.until(() => window.size() === '640x360'));
  assert.deepEqual(await otto.evaluate(() => window.heard('Hangup')), [], 'the stream went on');
  assert.equal(await otto.evaluate(() => window.heard('Publisher').length), 1);

  // The page is put away.
  await olga.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  assert.deepEqual(await olga.evaluate(() => window.heard('Hangup').map(([, reason]) => reason)), [4], 'BACKGROUND');
}), { chromium: 'without a display Firefox has no screen to share' });

test('mesibo: what ends a call is told: its duration, an error', () => pair({ name: 'reasons', settings: { callDuration: 3 } }, async ({ olga, otto }) => {
  await olga.evaluate(async () => {
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    window.own = window.call.createPublisher(0);
    window.own.call(true, true);
    await window.until(() => window.own.isCallConnected());
  });
  await otto.evaluate(async () => {
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };
    window.call = window.api.groupCall(window.calls, window.gid);
    window.call.join();
    window.own = window.call.createPublisher(0);
    window.own.call(true, true);
    await window.until(() => window.heard('Publisher').length > 0 && window.heard('Hangup').length > 0);
    [[window.p]] = window.heard('Publisher');
    window.p.call(true, true);
  });
  assert.deepEqual(await otto.evaluate(() => window.heard('Hangup').map(([p, reason]) => [p === window.own, reason])), [[true, 3]], 'ERROR');
  await olga.evaluate(() => window.until(() => window.heard('Hangup').length > 0));
  assert.deepEqual(await olga.evaluate(() => window.heard('Hangup').map(([p, reason]) => [p === window.own, reason])), [[true, 5]], 'DURATION');
  await until(() => otto.evaluate(() => window.heard('Hangup').length > 1), { what: 'the end of what Otto watches' });
  assert.ok([2, 5].includes(await otto.evaluate(() => window.heard('Hangup')[1][1])), 'REMOTE or DURATION, whichever comes first');
}));
