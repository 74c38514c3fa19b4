// SPDX-License-Identifier: Apache-2.0
// A call in a page of the hosted platform's names: who is there, camera and screen, mute on both sides, messages.
// It is used by call.html, where the names come from a classic script, and by call-module.html, where they are imported.

function startCall(sdk) {
  var settings = new URLSearchParams(location.search);
  var gid = Number(settings.get('gid'));
  var name = settings.get('name');
  var element = function (id) { return document.getElementById(id); };
  var idOf = function (p) { return 'video-' + p.getId() + '-' + p.getType(); };
  var participants = [];

  function mute(p, video, remote) {
    p.toggleMute(video, remote);
    show();
  }

  function button(text, onClick) {
    var made = document.createElement('button');
    made.textContent = text;
    made.onclick = onClick;
    return made;
  }

  /** The list of those who publish, with what is muted on either side. */
  function show() {
    var list = element('participants');
    list.replaceChildren();
    participants.forEach(function (p) {
      var entry = document.createElement('li');
      entry.id = 'entry-' + p.getId() + '-' + p.getType();
      entry.append(p.getName() + (p.getType() ? ' (screen)' : '') + (p.isTalking() ? ' talks' : ''));
      ['audio', 'video'].forEach(function (kind) {
        var video = kind === 'video';
        if (p.muteStatus(video, true)) entry.append(' no ' + kind);
        if (p.muteStatus(video)) entry.append(' hidden ' + kind);
        entry.append(button('Toggle ' + kind, function () { mute(p, video, false); }));
        entry.append(button('Ask to toggle ' + kind, function () { mute(p, video, true); }));
      });
      list.append(entry);
    });
  }

  function subscribe(p) {
    var video = document.createElement('video');
    video.id = idOf(p);
    video.muted = video.autoplay = video.playsInline = true;
    element('others').append(video);
    p.call(null, video.id, function (q) { q.attach(video.id, null, 100, 50); show(); }, function (q, status) {
      if (status >= sdk.MESIBO_CALLSTATUS_COMPLETE) video.remove();
    });
  }

  var api = new sdk.mesibo();
  api.setAppName('sample');
  api.setDatabase('sample');
  api.setListener({
    Mesibo_OnConnectionStatus: function (status) { element('status').textContent = 'status ' + status; },
    Mesibo_OnParticipants: function (all, latest) {
      participants = all;
      latest.forEach(subscribe);
      show();
    },
    Mesibo_OnParticipantUpdated: show,
    Mesibo_OnPermission: function (on) { element('camera').disabled = element('share').disabled = !on; },
    Mesibo_OnMessage: function (m, data) {
      var line = document.createElement('li');
      line.textContent = m.name + ': ' + data;
      element('messages').append(line);
    },
    Mesibo_OnError: function (error) { element('error').textContent = error.message; },
  });
  api.setCredentials(settings.get('token'));
  api.start();

  var call = api.initGroupCall();
  call.setRoom(gid);
  var publisher = call.getLocalParticipant(0, name, '');

  function publish(source, id) {
    publisher.call({ source: source, audio: true, video: true }, id, function (p) { p.attach(id, null, 100, 50); }, function (p, status) {
      element(id + '-status').textContent = status;
    });
  }

  function status() {
    element('own-mute').textContent = 'audio ' + publisher.muteStatus(false) + ', video ' + publisher.muteStatus(true);
  }

  element('camera').onclick = function () { publish(sdk.STREAM_CAMERA, 'own'); };
  element('share').onclick = function () { publish(sdk.STREAM_SCREEN, 'own-screen'); };
  element('mute-audio').onclick = function () { publisher.toggleMute(false); status(); };
  element('mute-video').onclick = function () { publisher.toggleMute(true); status(); };
  element('hangup').onclick = function () { publisher.hangup(); };
  var said = 0;
  element('say').onsubmit = function (event) {
    event.preventDefault();
    said += 1;
    api.sendMessage({ groupid: gid }, said, element('text').value);
    element('text').value = '';
  };
  status();
}
