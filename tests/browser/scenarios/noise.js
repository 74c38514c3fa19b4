// SPDX-License-Identifier: Apache-2.0
// A camera's picture that is hard to compress, so that encoders fill their rate: soft noise over a gradient, new in a part
// of the picture with each frame.

import { closeSync, openSync, writeSync } from 'node:fs';

/** The same numbers each time (xorshift32). @param {number} state */
function random(state) {
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * Writes an uncompressed film.
 * @param {string} file
 * @param {{width: number, height: number, fps: number, frames: number}} film
 */
export function writeNoise(file, { width, height, fps, frames }) {
  const next = random(4711);
  const block = 4;
  const columns = width / block;
  const rows = height / block;
  const grain = new Float32Array(columns * rows);
  const luma = Buffer.alloc(width * height);
  const chroma = Buffer.alloc((width / 2) * (height / 2), 128);
  const out = openSync(file, 'w');
  writeSync(out, `YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`);
  for (let frame = 0; frame < frames; frame += 1) {
    for (let at = 0; at < grain.length; at += 1) {
      if (frame === 0 || next() < 0.15) grain[at] = (next() - 0.5) * 36;
    }
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const soft = 128 + 50 * Math.sin((x + frame * 5) / 90) * Math.cos(y / 70);
        luma[y * width + x] = soft + grain[((y / block) | 0) * columns + ((x / block) | 0)];
      }
    }
    writeSync(out, 'FRAME\n');
    for (const plane of [luma, chroma, chroma]) writeSync(out, plane);
  }
  closeSync(out);
}
