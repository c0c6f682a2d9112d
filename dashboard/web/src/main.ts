import "./app.css";
import { show } from "./app/language";
import { start } from "./app/live";
import { begin } from "./app/range.svelte";

start();
begin();
await show();
