// SPDX-License-Identifier: Apache-2.0
// What guests who come by a link do not need, and so do not load.

export { Home } from './home.js';
export { RoomPage } from './room-page.js';
export { Rooms } from './rooms.js';
