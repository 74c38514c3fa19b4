// SPDX-License-Identifier: Apache-2.0
// Larger than the page, and smaller: full screen, and picture in picture.

/** Whether the browser has either. */
export const has = {
  full: document.fullscreenEnabled,
  float: document.pictureInPictureEnabled ?? false,
};

/**
 * Full screen for an element, or its end if that is what is shown so.
 * @param {Element} element
 */
export async function toggleFull(element) {
  if (document.fullscreenElement === element) await document.exitFullscreen();
  else await element.requestFullscreen();
}

/**
 * A window of its own above all others, or its end.
 * @param {HTMLVideoElement} video
 */
export async function toggleFloat(video) {
  if (document.pictureInPictureElement === video) await document.exitPictureInPicture();
  else await video.requestPictureInPicture();
}
