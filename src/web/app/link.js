// SPDX-License-Identifier: Apache-2.0

/**
 * @param {number} gid
 * @param {string} pin
 * @param {boolean} watch whether it is a viewer's: the page asks for no camera then
 */
export function linkTo(gid, pin, watch) {
  const link = new URL('/', location.href);
  link.search = new URLSearchParams({ gid: String(gid), pin, ...(watch && { watch: '1' }) }).toString();
  return link.href;
}
