import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";
import { start } from "./app/live";

start();
mount(App, { target: document.getElementById("app") as HTMLElement });
