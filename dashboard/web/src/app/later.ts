/** What the first screen does not need, in one piece: small ones compress badly, and are fetched one after the other anyway. */

export * as save from "../charts/save";
export { default as chat } from "../chat/ChatPanel.svelte";
export { default as alerts } from "../screens/Alerts.svelte";
export { default as board } from "../screens/Board.svelte";
export { default as boards } from "../screens/Boards.svelte";
export { default as connect } from "../screens/Connect.svelte";
export { default as device } from "../screens/Device.svelte";
export { default as devices } from "../screens/Devices.svelte";
export { default as errors } from "../screens/Errors.svelte";
export { default as firstRun } from "../screens/FirstRun.svelte";
export { default as query } from "../screens/Query.svelte";
export { default as settings } from "../screens/Settings.svelte";
export { default as topics } from "../screens/Topics.svelte";
export { default as help } from "../shell/Help.svelte";
export { default as more } from "../shell/More.svelte";
export { default as palette } from "../shell/Palette.svelte";
export { default as past } from "../shell/PastBanner.svelte";
export { default as range } from "../shell/RangePicker.svelte";
export { default as travel } from "../shell/TravelDialog.svelte";
